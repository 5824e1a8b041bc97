"""A store with one video that shows its frame numbers, with made-up faces, labels and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.labels import ALL_EXPRESSIONS, Edition
from data.schema import FACES, PREDICTIONS_VERSION, Status
from data.store.catalogue import Dataset, Video, write_catalogue
from data.store.shards import file_sha256, write_folder, write_manifest, write_parquet
from data.video.pyav import probe, read_with_pyav
from data.warehouse.predictions import write_predictions
from data.warehouse.views import publish
from support.little_store import label, write_labels

UNITS = (1, 2, 4, 6, 12, 15, 20, 25)


def times_of(path: Path) -> NDArray[np.float64]:
    """The times of the frames as extraction reads them."""
    chunks = read_with_pyav(path, probe(path), "cpu", 16, 0)
    return np.array([time_s for chunk in chunks for time_s in chunk.times_s], float)


def view_store(
    store: Path,
    path: Path,
    *,
    tracks: Sequence[str] = ("one",),
    statuses: Mapping[int, Status] | None = None,
    doubts: Sequence[str] = (),
    systems: Mapping[int, Sequence[str]] | None = None,
    labelled: bool = True,
) -> Path:
    """Writes the store; `systems` are the tasks that each model version answers."""
    facts, times_s_F = probe(path), times_of(path)
    size = {"width_px": facts.width_px, "height_px": facts.height_px}
    with write_folder(store / "faces" / "f1") as partial:
        for number, track_id in enumerate(tracks):
            rows = [
                _face(track_id, path.stem, index, times_s_F, number, statuses or {}) for index in range(len(times_s_F))
            ]
            write_parquet(pa.Table.from_pylist(rows, schema=FACES), partial / f"{track_id}.parquet")
        about = {"video_id": path.stem, "num_frames": len(times_s_F), "doubts": list(doubts), **size}
        write_manifest(partial, about)
    if labelled:
        with write_folder(store / "labels" / "l1") as partial:
            given = {"valence": 0.5, "arousal": -0.5, "expression": 3, "video_id": path.stem}
            rows = [{**label(tracks[0], index, au12=index % 20 < 10), **given} for index in range(len(times_s_F))]
            write_labels(partial / "labels.parquet", rows)
            write_manifest(partial, {"splits": {"rule": "guarded"}, "split_of": {}})
    for version, tasks in (systems or {1: ("va", "expr", "au")}).items():
        with write_folder(store / "predictions" / f"p{version}") as partial:
            for track_id in tracks:
                answers = _answers(tasks, len(times_s_F), version)
                faces_file = store / "faces" / "f1" / f"{track_id}.parquet"
                write_predictions(partial / f"{track_id}.parquet", faces_file, answers, model_version=version)
            write_manifest(
                partial,
                {"faces": "f1", "video_id": path.stem, "model_version": version, "version": PREDICTIONS_VERSION},
            )
    video = Video(path.stem, path.name, "f1", file_sha256(path), tuple(tracks))
    edition = Edition.ABAW_2020 if labelled else None
    write_catalogue(Dataset("set-v", str(path.parent), (video,), edition, "l1" if labelled else None), store)
    publish(store)
    return store


def _face(
    track_id: str,
    video_id: str,
    index: int,
    times_s_F: NDArray[np.float64],
    number: int,
    statuses: Mapping[int, Status],
) -> dict[str, Any]:
    status = statuses.get(index, Status.OK)
    has_face = status in (Status.OK, Status.INTERPOLATED)
    x, y = 20.0 + 40 * number + index % 20, 40.0
    return {
        "track_id": track_id,
        "video_id": video_id,
        "frame_index": index,
        "time_s": None if np.isnan(times_s_F[index]) else times_s_F[index],
        "status": status.value,
        "box": {"x": x, "y": y, "w": 24.0, "h": 32.0} if has_face else None,
        "landmarks": [x + 6, y + 10, x + 18, y + 10, x + 12, y + 16, x + 8, y + 24, x + 16, y + 24]
        if has_face
        else None,
        "score": 0.9 if has_face else None,
    }


def _answers(tasks: Sequence[str], num_frames: int, version: int) -> dict[str, NDArray[np.float32]]:
    frames_F = np.arange(num_frames)
    wave_F: NDArray[np.float32] = np.sin(frames_F / 9 + version).astype(np.float32)
    answers: dict[str, NDArray[np.float32]] = {}
    if "va" in tasks:
        answers |= {"valence": wave_F, "arousal": -wave_F / np.float32(2), "smoothed_valence": wave_F * np.float32(0.9)}
        answers["smoothed_arousal"] = -wave_F * np.float32(0.45)
    if "expr" in tasks:
        chosen_F = (frames_F // 10 + version) % 7
        answers["expression"] = chosen_F.astype(np.float32)
        for number, name in enumerate(ALL_EXPRESSIONS[:7]):
            answers[f"p_{name}"] = np.where(chosen_F == number, 0.7, 0.05).astype(np.float32)
    if "au" in tasks:
        answers |= {f"au{unit}": (0.5 + 0.5 * np.sin(frames_F / unit)).astype(np.float32) for unit in UNITS}
    return answers

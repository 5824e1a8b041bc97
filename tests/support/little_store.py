"""Writes the smallest real shards: tracks of a few faces, and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from numpy.typing import NDArray

from data.batches.augment import Augmentation
from data.labels import Edition, Split, Task
from data.schema import FACES, LABELS, Status
from data.store.catalogue import Dataset, Video
from data.store.shards import write_folder, write_manifest

STILL = Augmentation(flip=0, crop=0, colour=0)
"""Changes nothing."""


def face(level: int, size_px: int = 112) -> NDArray[np.uint8]:
    """A picture that says who it is: grey of the given level, its left half a little darker."""
    image_HWC = np.full((size_px, size_px, 3), level, dtype=np.uint8)
    image_HWC[:, : size_px // 2] = level // 2
    return image_HWC


def jpeg(image_HWC: NDArray[np.uint8]) -> bytes:
    content: bytes = simplejpeg.encode_jpeg(image_HWC, quality=95, colorsubsampling="444")
    return content


def write_track(
    folder: Path,
    track_id: str,
    num_frames: int,
    *,
    video_id: str | None = None,
    status: Mapping[int, Status] | None = None,
    crops: Mapping[int, bytes | None] | None = None,
    landmarks: Mapping[int, NDArray[np.float64]] | None = None,
    rows_per_group: int = 4,
) -> Path:
    """A faces file; frame k is a face of level 10 k + 5, unless `status` or `crops` say otherwise."""
    rows = []
    for frame_index in range(num_frames):
        state = (status or {}).get(frame_index, Status.OK)
        has_face = state in (Status.OK, Status.INTERPOLATED)
        crop = jpeg(face((10 * frame_index + 5) % 256)) if has_face else None
        points_52 = (landmarks or {}).get(frame_index)
        rows.append(
            {
                "track_id": track_id,
                "video_id": video_id or track_id,
                "frame_index": frame_index,
                "time_s": frame_index / 25,
                "status": state.value,
                "landmarks": points_52.flatten().tolist() if points_52 is not None else None,
                "face_jpeg": (crops or {}).get(frame_index, crop),
            }
        )
    path = folder / f"{track_id}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=FACES), path, row_group_size=rows_per_group)
    return path


def label(track_id: str, frame_index: int, *, split: str | Mapping[str, str | None] = "train", **values: Any) -> Any:
    """A row of labels; `split` is one for all tasks, or one per task."""
    splits = split if isinstance(split, Mapping) else dict.fromkeys(Task, split)
    return {
        "track_id": track_id,
        "video_id": track_id,
        "frame_index": frame_index,
        "edition": "2020",
        **{f"split_{task}": splits.get(task) for task in Task},
        **values,
    }


def write_labels(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=LABELS), path)
    return path


def learnable_store(folder: Path, *, tracks: int = 3, frames: int = 24) -> tuple[list[Path], Path]:
    """Tracks whose labels follow the brightness of the face; the last one is for validation."""
    files, rows = [], []
    for track in range(tracks):
        track_id = f"video{track}"
        levels = [(40 * frame + 13 * track) % 250 for frame in range(frames)]
        crops = {frame: jpeg(face(level)) for frame, level in enumerate(levels)}
        files.append(write_track(folder, track_id, frames, crops=crops))
        split = Split.VALIDATION if track == tracks - 1 else Split.TRAIN
        rows += [
            label(
                track_id,
                frame,
                split=split.value,
                valence=level / 125 - 1,
                arousal=1 - level / 125,
                expression=level // 50,
                **{f"au{unit}": level > 125 for unit in (1, 2, 4, 6, 12, 15, 20, 25)},
            )
            for frame, level in enumerate(levels)
        ]
    return files, write_labels(folder / "labels.parquet", rows)


def little_dataset(store: Path) -> Dataset:
    """A data set in a store: one video with the tracks of `learnable_store`."""
    with write_folder(store / "faces" / "f1") as folder, write_folder(store / "labels" / "l1") as labels:
        learnable_store(folder)
        (folder / "labels.parquet").rename(labels / "labels.parquet")
        write_manifest(folder, {})
        write_manifest(labels, {"splits": {"rule": "guarded"}, "split_of": {}})
    video = Video("video", "video.mp4", "f1", "s", ("video0", "video1", "video2"))
    return Dataset("tiny", str(store), (video,), Edition.ABAW_2020, "l1")

"""Writes a store as it is after a training: videos, labels, and versions whose predictions are the labels and noise.

There are no networks behind them, only a file in the place of one: what is tested is all that comes after the
predictions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.batches.labelled_frames import frame_indices
from data.labels import EXPRESSIONS, Edition, action_unit_columns
from data.schema import PREDICTIONS_VERSION, Status
from data.store.catalogue import Dataset, Video, write_catalogue
from data.store.shards import parquet_files, write_folder, write_manifest
from data.warehouse.predictions import write_predictions
from model.training.checkpoint import MODEL
from support.little_store import label, write_labels, write_track
from tasks.scoring.evaluate import predictions_folder
from tasks.tracking import artifacts, registry, runs
from tasks.tracking.registry import NAME, SYNTHETIC, WEIGHTS, Version

EDITION = Edition.ABAW_2020
TRAINING = ("201", "202")
VALIDATION = ("video45_1", "video45_2", "video59", "4-30-640x360", "107", "108", "109", "110")
"""Two of one recording, and one of two people."""
FRAMES = 40
BLIND = {5: Status.NO_FACE, 6: Status.DECODE_ERROR}
Columns = dict[str, NDArray[np.float32]]


def truth_of(track_id: str, edition: Edition = EDITION) -> Columns:
    """The labels of all frames of a track, with holes; faces are missing elsewhere."""
    generator = np.random.default_rng(sum(map(ord, track_id)))
    names = ("valence", "arousal")
    columns = {name: np.cumsum(generator.normal(0, 0.15, FRAMES)).clip(-1, 1) for name in names}
    columns["expression"] = np.repeat(generator.integers(0, 6, FRAMES // 8), 8).astype(float)
    units = {unit: np.repeat(generator.random(FRAMES // 4) < 0.3, 4) for unit in action_unit_columns(edition)}
    columns |= {name: active.astype(float) for name, active in units.items()}
    for column in columns.values():
        column[generator.random(FRAMES) < 0.1] = np.nan
    if track_id == "108":
        columns |= {name: np.full(FRAMES, np.nan) for name in names}
    return {name: column.astype(np.float32) for name, column in columns.items()}


def make_store(
    store: Path,
    videos: tuple[str, ...] = VALIDATION,
    edition: Edition = EDITION,
    training: tuple[str, ...] = TRAINING,
) -> Dataset:
    """Faces, labels and the data set `set-a`; video 110 validates one task and is held out by the others."""
    entries, rows = [], []
    for video_id in (*training, *videos):
        tracks = ("video59_left", "video59_right") if video_id == "video59" else (video_id,)
        with write_folder(store / "faces" / f"faces-{video_id}") as partial:
            for track_id in tracks:
                write_track(partial, track_id, FRAMES, video_id=video_id, status=BLIND)
                rows += _labels(track_id, video_id, "train" if video_id in training else "validation", edition)
            write_manifest(partial, {"video_id": video_id, "num_frames": FRAMES})
        entries.append(Video(video_id, f"{video_id}.mp4", f"faces-{video_id}", f"hash of {video_id}", tracks))
    with write_folder(store / "labels" / "l1") as partial:
        write_labels(partial / "labels.parquet", rows)
        write_manifest(partial, {"edition": edition})
    dataset = Dataset("set-a", "somewhere", tuple(entries), edition, "l1")
    write_catalogue(dataset, store)
    return dataset


def add_version(
    store: Path,
    dataset: Dataset,
    *,
    noise: float,
    seed: int = 0,
    edition: Edition = EDITION,
    synthetic: bool = False,
) -> Version:
    """A registered version that says what the labels say and so much noise, and its run."""
    client = runs.connect(store)
    key = f"training-{noise}-{seed}"
    tags = {"experiment": "made-up", "config_digest": "c", "code_revision": "r", "data_digest": dataset.digest}
    found = client.get_experiment_by_name("made-up")
    # The default experiment would put its files into the folder that the tests run in.
    experiment = found.experiment_id if found else client.create_experiment("made-up", artifacts.PLACE)
    run = client.create_run(experiment, tags={**tags, "edition": edition.value, runs.TRAINING_DIGEST: key})
    if not client.search_registered_models():
        client.create_registered_model(NAME)
    source = store / "mlflow" / key
    (source / "data" / WEIGHTS).mkdir(parents=True)
    (source / "data" / WEIGHTS / MODEL).write_bytes(b"no network")
    of_version = {runs.TRAINING_DIGEST: key, SYNTHETIC: str(synthetic).lower()}
    made = client.create_model_version(NAME, source=source.as_uri(), run_id=run.info.run_id, tags=of_version)
    version = registry.find_version(store, str(made.version))
    generator = np.random.default_rng(seed)
    for video in dataset.videos:
        with write_folder(predictions_folder(store, version, video)) as partial:
            for file in parquet_files(store / "faces" / video.faces):
                says = _says(file, noise, generator, dataset.edition or edition)
                write_predictions(partial / file.name, file, says, model_version=version.number)
            write_manifest(partial, {"faces": video.faces, "version": PREDICTIONS_VERSION})
    return version


def _labels(track_id: str, video_id: str, split: str, edition: Edition) -> list[dict[str, object]]:
    truth = truth_of(track_id, edition)
    splits = {"va": "held_out", "expr": "held_out", "au": "validation"} if video_id == "110" else split
    return [
        {
            **label(track_id, frame, split=splits),
            "video_id": video_id,
            "edition": edition.value,
            **{name: _value(name, column[frame]) for name, column in truth.items()},
        }
        for frame in range(FRAMES)
    ]


def _value(name: str, value: float) -> object:
    if np.isnan(value):
        return None
    return float(value) if name in ("valence", "arousal") else int(value) if name == "expression" else bool(value)


def _says(faces_file: Path, noise: float, generator: np.random.Generator, edition: Edition) -> Columns:
    frames, units = len(frame_indices(faces_file)), action_unit_columns(edition)
    known = {name: np.nan_to_num(column) for name, column in truth_of(faces_file.stem, edition).items()}
    says: Columns = {
        name: (known[name] + noise * generator.normal(size=frames)).clip(-1, 1) for name in ("valence", "arousal")
    }
    says |= {unit: (known[unit] * 0.8 + 0.1 + noise * generator.normal(size=frames)).clip(0, 1) for unit in units}
    number = len(EXPRESSIONS[edition])
    likely_NE = np.eye(number)[known["expression"].astype(int)] + noise * generator.random((frames, number)) * 4
    likely_NE /= likely_NE.sum(axis=1, keepdims=True)
    says |= {f"p_{name}": column for name, column in zip(EXPRESSIONS[edition], likely_NE.T, strict=True)}
    says["expression"] = likely_NE.argmax(axis=1)
    blind = np.isin(np.arange(frames), list(BLIND))
    return {name: np.where(blind, np.nan, column).astype(np.float32) for name, column in says.items()}

"""Fits a system that learns at once, from the points of the training faces."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.labels import Split
from data.landmarks.kept import keep_landmarks, landmarks_folder, points_of_frames
from data.store.access import hold
from data.store.catalogue import Dataset, Video
from data.store.shards import parquet_files
from model.scores.metrics import scores
from model.systems.geometry_pls.fit import fit
from model.systems.geometry_pls.network import GeometryPls
from model.systems.geometry_pls.predictions import predict_points
from model.systems.geometry_pls.settings import GeometrySettings
from model.systems.registry import build_network, load_checkpoint
from model.training.checkpoint import MODEL, Checkpoint, save_checkpoint
from model.training.step import Record
from tasks.config import AnyTrainConfig, MachineConfig
from tasks.progress import log, stage
from tasks.tracking import runs
from tasks.training.epochs import cores, training_digest
from tasks.training.frames import split_frames


def fit_at_once(config: AnyTrainConfig, dataset: Dataset, machine: MachineConfig, run_id: str, *, name: str) -> Record:
    """Fits in the training's folder unless it is done; logs to the run and returns the metrics.

    Raises:
        ValueError: The data set has no labels, or too few, in a split that is needed.
        ModuleNotFoundError: What the system needs is not installed.
    """
    store, key = machine.store, training_digest(config, dataset, machine.store)
    with hold(store, f"models-{key}", what="this training"):
        path = store / "models" / key / MODEL
        record = load_checkpoint(path).records[0] if path.with_suffix(".json").is_file() else None
        if record is None:
            record = _fit(config, dataset, machine, path, key)
            log.info("%s: fitted in %.1f s; CCC %.3f", name, record["seconds"], record.get("validation/ccc", np.nan))
    if not runs.logged_steps(store, run_id, "seconds"):
        runs.log_epoch(store, run_id, 0, record)
    return record


def keep_points(video: Video, machine: MachineConfig) -> tuple[Path, int]:
    """The folder with the points of a video's tracks, and how many rows were not there before."""
    folder = landmarks_folder(machine.store, video.faces)
    files = parquet_files(machine.store / "faces" / video.faces)
    return folder, keep_landmarks(folder, files, store=machine.store, threads=cores())


def _keep_points(videos: Sequence[Video], machine: MachineConfig) -> dict[str, Path]:
    """The folder with the points of each track."""
    folders: dict[str, Path] = {}
    with stage("landmarks", len(videos), "videos", counts_frames=True) as shown:
        for video in videos:
            folder, num_rows = keep_points(video, machine)
            shown.count(num_rows)
            shown.advance()
            folders |= dict.fromkeys(video.tracks, folder)
    return folders


def _fit(config: AnyTrainConfig, dataset: Dataset, machine: MachineConfig, path: Path, key: str) -> Record:
    training, validation = (split_frames(config, dataset, machine, split) for split in (Split.TRAIN, Split.VALIDATION))
    labelled = {
        frames.track_ids[number] for frames in (training, validation) for number in np.unique(frames.track_index_N)
    }
    folders = _keep_points([video for video in dataset.videos if labelled.intersection(video.tracks)], machine)
    video_of = {track_id: video.video_id for video in dataset.videos for track_id in video.tracks}
    video_N = np.array([video_of[track_id] for track_id in training.track_ids])[training.track_index_N]
    settings, start_s = config.part(GeometrySettings), time.perf_counter()
    found = fit(points_of_frames(training, folders), training.valence_arousal_N2, video_N, settings)
    seconds = time.perf_counter() - start_s
    log.info("components by cross-validated CCC: %s; taken: %d", found.cross_validated or "not tried", found.components)
    network = build_network(training.edition, settings)
    assert isinstance(network, GeometryPls), "the network of these settings"
    network.take(found)
    predicted = predict_points(network, points_of_frames(validation, folders), training.edition)
    scored = scores(predicted, validation.truth(), training.edition)
    record = {
        "epoch": 0.0,
        "seconds": seconds,
        "components": float(found.components),
        **{f"validation/{score}": value for score, value in scored.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"training_digest": key, "data_digest": dataset.digest, "cross_validated": found.cross_validated}
    checkpoint = Checkpoint(
        network=network,
        edition=training.edition,
        system=config.system,
        architecture=settings,
        records=(record,),
        about={**about, "knobs": config.model_dump(mode="json")},
    )
    save_checkpoint(path, checkpoint)
    return record

"""A model over data: predictions of every frame, scores on a split, and which version is the champion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from data.frames import LabelledFrames, labelled_frames
from data.labels import Edition, Split
from data.predictions import read_predictions, write_predictions
from data.shards import digest, is_whole, parquet_files, write_folder, write_manifest
from data.video import resolve_device
from model.checkpoint import Checkpoint, load_checkpoint
from model.inference import Predictions, place, predict
from model.metrics import batch_averaged_scores, constant_guess, scores
from model.training import MODEL
from tasks import plots, registry, tracking
from tasks.catalogue import Dataset, Video
from tasks.config import MachineConfig
from tasks.progress import log, stage
from tasks.registry import Version
from tasks.training import use_all_cores
from tasks.warehouse import write_run

VERSION = 1
"""Raised when the same model would say something else of the same faces."""

SHOWN_TRACKS = 4
"""As many timelines are drawn."""

Scores = dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model version on a split of a data set, beside those of a constant guess."""

    model: Version
    dataset: str
    data_digest: str
    split: Split
    num_frames: int
    scores: Scores
    batch_averaged: Scores
    constant_guess: Scores

    @property
    def total(self) -> float:
        """The official scores that there are, added up."""
        return official_total(self.scores)


def official_total(found: Scores) -> float:
    """The sum of `ccc`, `expression` and `action_units`, as far as they are there; what is not a number counts as 0."""
    parts = (found.get(name, 0.0) for name in ("ccc", "expression", "action_units"))
    return sum(part for part in parts if math.isfinite(part))


def predictions_folder(store: Path, model: Version, video: Video) -> Path:
    training = model.tags[tracking.TRAINING_DIGEST]
    return store / "predictions" / digest("predictions", VERSION, training, model.number, video.faces)


def predict_dataset(model: Version, dataset: Dataset, machine: MachineConfig) -> list[Path]:
    """A predictions folder for each video: those that are there, and new ones for the others."""
    folders = [predictions_folder(machine.store, model, video) for video in dataset.videos]
    missing = [video for video, folder in zip(dataset.videos, folders, strict=True) if not is_whole(folder)]
    if not missing:
        log.info("predictions: nothing new, %s has all of %s", model, dataset.name)
        return folders
    use_all_cores()
    device = resolve_device(machine.device)
    checkpoint = load_checkpoint(registry.checkpoint_folder(machine.store, model) / MODEL)
    place(checkpoint.network, device)
    with stage("predictions", len(missing), "videos") as shown:
        for video in missing:
            num_frames = predict_video(model, checkpoint, video, machine)
            shown.count(num_frames)
            shown.advance()
    return folders


@task(task_run_name="predict-{video.video_id}", cache_policy=NO_CACHE)
def predict_video(model: Version, checkpoint: Checkpoint, video: Video, machine: MachineConfig) -> int:
    """Writes a prediction for every frame of every track of a video; gives their number."""
    num_rows = 0
    with write_folder(predictions_folder(machine.store, model, video)) as partial:
        for faces_file in parquet_files(machine.store / "faces" / video.faces):
            frame_index_N, columns = predict(
                checkpoint.network, faces_file, checkpoint.edition, device=resolve_device(machine.device)
            )
            write_predictions(partial / faces_file.name, faces_file, columns, model_version=model.number)
            num_rows += len(frame_index_N)
        facts = {"video_id": video.video_id, "faces": video.faces, "video_sha256": video.sha256}
        made_by = {"model_version": model.number, "run_id": model.run_id}
        write_manifest(partial, {**facts, **made_by, "training_digest": model.tags[tracking.TRAINING_DIGEST]})
    return num_rows


@task(task_run_name="evaluate-v{model.number}-{split}", cache_policy=NO_CACHE)
def evaluate(model: Version, dataset: Dataset, split: Split, machine: MachineConfig) -> Evaluation:
    """The pooled official scores of the predictions on a split, and with what to compare them.

    Raises:
        ValueError: The data set has no labels of the split, or of another edition than the model knows.
    """
    store = machine.store
    edition = check_edition(model, dataset, store)
    files = dataset.faces_files(store)
    labels = dataset.labels_file(store)
    frames = labelled_frames(files, labels, split=split, edition=edition)
    training = labelled_frames(files, labels, split=Split.TRAIN, edition=edition)
    predicted, truth = _predicted(model, dataset, frames, store), frames.truth()
    evaluation = Evaluation(
        model=model,
        dataset=dataset.name,
        data_digest=dataset.digest,
        split=split,
        num_frames=len(frames),
        scores=scores(predicted, truth, edition),
        batch_averaged=batch_averaged_scores(predicted, truth, edition),
        constant_guess=constant_guess(training.truth(), truth, edition),
    )
    if _log(evaluation, store):
        _log_pictures(evaluation, frames, predicted, edition, store)
    return evaluation


def check_edition(model: Version, dataset: Dataset, store: Path) -> Edition:
    """The edition that model and labels have in common.

    Raises:
        ValueError: They have none.
    """
    trained_on = Edition(tracking.run_tags(store, model.run_id)["edition"])
    if dataset.edition is not None and dataset.edition != trained_on:
        raise ValueError(
            f"{model} knows the expressions and action units of edition {trained_on}, "
            f"the labels of {dataset.name} are of edition {dataset.edition}: they cannot be compared"
        )
    return trained_on


def _predicted(model: Version, dataset: Dataset, frames: LabelledFrames, store: Path) -> Predictions:
    """What the shards say of labelled frames, in their order."""
    folders = {track: predictions_folder(store, model, video) for video in dataset.videos for track in video.tracks}
    names = list(frames.truth())
    columns = {name: np.full(len(frames), np.nan, np.float32) for name in names}
    for track_index in np.unique(frames.track_index_N):
        track_id = frames.track_ids[track_index]
        row_N = np.flatnonzero(frames.track_index_N == track_index)
        found = read_predictions(folders[track_id] / f"{track_id}.parquet", names, frames.frame_index_N[row_N])
        for name, values in found.items():
            columns[name][row_N] = values
    return columns


def _log(evaluation: Evaluation, store: Path) -> bool:
    """Writes the scores into the model's run, and into the store for SQL; says whether the run had others before."""
    tags = tracking.run_tags(store, evaluation.model.run_id)
    own = evaluation.data_digest == tags["data_digest"] and evaluation.split is Split.VALIDATION
    prefix = "" if own else f"{evaluation.dataset}_{evaluation.split}_"
    groups = {
        "final": evaluation.scores,
        "batch_averaged": {
            name.removeprefix("batch_averaged_"): value for name, value in evaluation.batch_averaged.items()
        },
        "constant_guess": evaluation.constant_guess,
    }
    named = {f"{prefix}{group}/{name}": value for group, found in groups.items() for name, value in found.items()}
    are_new = tracking.log_scores(store, evaluation.model.run_id, named)
    registry.annotate_version(store, evaluation.model, {_total_tag(evaluation): f"{evaluation.total:.6f}"})
    facts: dict[str, object] = {
        "run_id": evaluation.model.run_id,
        "model_version": evaluation.model.number,
        "experiment": tags["experiment"],
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "code_revision": tags["code_revision"],
        "config_digest": tags["config_digest"],
        "data_digest": evaluation.data_digest,
        "scores": {
            **evaluation.scores,
            **evaluation.batch_averaged,
            **{f"constant_guess_{name}": value for name, value in evaluation.constant_guess.items()},
        },
    }
    write_run(store, f"{evaluation.model.run_id}-{evaluation.dataset}-{evaluation.split}", facts)
    return are_new


def _log_pictures(
    evaluation: Evaluation, frames: LabelledFrames, predicted: Predictions, edition: Edition, store: Path
) -> None:
    truth = frames.truth()
    shown: dict[str, plots.Timeline] = {}
    for track_index in np.unique(frames.track_index_N):
        row_N = np.flatnonzero(frames.track_index_N == track_index)
        if len(shown) < SHOWN_TRACKS and not np.isnan(truth["valence"][row_N]).all():
            said, labelled = ({name: column[row_N] for name, column in side.items()} for side in (predicted, truth))
            shown[frames.track_ids[track_index]] = (frames.frame_index_N[row_N], said, labelled)
    figures = {
        "confusion": plots.confusion(predicted, truth, edition),
        "action_units": plots.action_unit_bars(evaluation.scores, evaluation.constant_guess, edition),
        **({"timelines": plots.timelines(shown)} if shown else {}),
    }
    folder = f"plots/{evaluation.dataset}-{evaluation.split}"
    for name, figure in figures.items():
        tracking.log_figure(store, evaluation.model.run_id, f"{folder}/{name}.png", figure)


def _total_tag(evaluation: Evaluation) -> str:
    return total_tag(evaluation.data_digest, evaluation.split)


def total_tag(data_digest: str, split: Split) -> str:
    """The tag of a version that holds its official total on these very data."""
    return f"total.{split}.{data_digest}"

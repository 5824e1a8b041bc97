"""Predicts every frame of a data set with a model, and scores the predictions on a split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from data.annotations.splits import groups_of
from data.batches.labelled_frames import LabelledFrames, labelled_frames
from data.labels import EXPRESSIONS, Edition, Split
from data.schema import PREDICTIONS_VERSION
from data.store.access import hold
from data.store.catalogue import Dataset, Video
from data.store.shards import digest, is_whole, parquet_files, write_folder, write_manifest
from data.video.frames import resolve_device
from data.warehouse.predictions import read_predictions, write_predictions
from model.answers import task_columns
from model.finished import Finished, finished_columns, load_finished, predict_track
from model.inference import Predictions
from model.scores.metrics import batch_averaged_scores, constant_guess, scores
from model.scores.tallies import tally
from model.systems.settings import SYSTEMS
from tasks.config import MachineConfig
from tasks.progress import log, stage
from tasks.scoring.pictures import log_pictures
from tasks.scoring.records import write_down
from tasks.scoring.result import Evaluation
from tasks.tracking import registry, runs
from tasks.tracking.registry import CannotAnswerError, Version
from tasks.training.at_once import keep_points
from tasks.training.epochs import cores, use_all_cores

VERSION = 1
"""Increased when a code change makes the same model give different predictions for the same faces."""


def predictions_folder(store: Path, model: Version, video: Video) -> Path:
    training = model.tags[runs.TRAINING_DIGEST]
    return (
        store / "predictions" / digest("predictions", VERSION, PREDICTIONS_VERSION, training, model.number, video.faces)
    )


def predict_dataset(model: Version, dataset: Dataset, machine: MachineConfig) -> list[Path]:
    """The predictions folder of each video; computes predictions that are missing.

    Raises:
        CannotAnswerError: Predictions are missing, and the model's weights are missing or damaged.
    """
    folders = [predictions_folder(machine.store, model, video) for video in dataset.videos]
    missing = [video for video, folder in zip(dataset.videos, folders, strict=True) if not is_whole(folder)]
    if not missing:
        log.info("predictions: nothing new, %s has already predicted all of %s", model, dataset.name)
        return folders
    use_all_cores()
    finished = load_model(model, machine)
    with stage("predictions", len(missing), "videos") as shown:
        for video in missing:
            num_frames = predict_video(model, finished, video, machine)
            shown.count(num_frames)
            shown.advance()
    return folders


def load_model(model: Version, machine: MachineConfig) -> Finished:
    """Loads a version's model onto the device.

    Raises:
        CannotAnswerError: The weights are missing or damaged.
    """
    device, folder = resolve_device(machine.device), registry.checkpoint_folder(machine.store, model)
    try:
        return load_finished(folder, device=device)
    except ValueError as error:
        raise CannotAnswerError(f"the weights of {model} cannot be used: {error}") from error


@task(task_run_name="predict-{video.video_id}", cache_policy=NO_CACHE)
def predict_video(model: Version, finished: Finished, video: Video, machine: MachineConfig) -> int:
    """Predicts every frame of every track of a video, unless already done; returns the number of new predictions."""
    folder, num_rows = predictions_folder(machine.store, model, video), 0
    device = resolve_device(machine.device)
    with hold(machine.store, f"predictions-{folder.name}", what=f"the predictions of {video.video_id}"):
        if is_whole(folder):
            return num_rows  # written by another run in the meantime
        needs_points = SYSTEMS[registry.system_of(model.tags)].needs == "points"
        landmarks = keep_points(video, machine)[0] if needs_points else None
        with write_folder(folder) as partial:
            for faces_file in parquet_files(machine.store / "faces" / video.faces):
                frame_index_N, predicted = predict_track(
                    finished, faces_file, device=device, threads=cores(), landmarks=landmarks
                )
                columns = {**predicted, **finished_columns(finished, frame_index_N, predicted)}
                write_predictions(partial / faces_file.name, faces_file, columns, model_version=model.number)
                num_rows += len(frame_index_N)
            facts = {"video_id": video.video_id, "faces": video.faces, "video_sha256": video.sha256}
            made_by = {
                "model_version": model.number,
                "run_id": model.run_id,
                "version": PREDICTIONS_VERSION,
                "training_digest": model.tags[runs.TRAINING_DIGEST],
                registry.SYSTEM: registry.system_of(model.tags),
                "trained_on_synthetic": registry.is_synthetic(machine.store, model),
            }
            write_manifest(partial, {**facts, **made_by})
    return num_rows


@task(task_run_name="evaluate-v{model.number}-{split}", cache_policy=NO_CACHE)
def evaluate(model: Version, dataset: Dataset, split: Split, machine: MachineConfig) -> Evaluation:
    """Scores the predictions on a split, pooled over its frames as the challenge does, and scores a constant guess.

    Logs the scores to the model's run and writes them for SQL. Draws pictures if the scores are new.

    Raises:
        ValueError: The data set has no labels in the split.
        CannotAnswerError: The labels are from another edition than the model, or a labelled face has no prediction.
    """
    store = machine.store
    edition = check_edition(model, dataset, store)
    files = dataset.faces_files(store)
    labels = dataset.labels_file(store)
    tasks = registry.tasks_of(model)
    frames = labelled_frames(files, labels, split=split, edition=edition, tasks=tasks)
    training = labelled_frames(files, labels, split=Split.TRAIN, edition=edition, tasks=tasks)
    predicted, truth = answers(model, dataset, frames, store), frames.truth()
    videos, video_N, people = videos_and_people(frames, dataset)
    run_tags = runs.run_tags(store, model.run_id)
    evaluation = Evaluation(
        model=model,
        dataset=dataset.name,
        data_digest=dataset.digest,
        split=split,
        num_frames=len(frames),
        scores=scores(predicted, truth, edition),
        batch_averaged=batch_averaged_scores(predicted, truth, edition),
        constant_guess=constant_guess(training.truth(), truth, edition),
        videos=tally(predicted, truth, edition, group_N=video_N, groups=videos, people=people),
        leaking_videos=int(run_tags.get("leaking_videos", "0")),
        corruption=run_tags.get("corruption", ""),
    )
    if write_down(evaluation, store):
        log_pictures(evaluation, frames, predicted, video_N, store)
    return evaluation


def check_edition(model: Version, dataset: Dataset, store: Path) -> Edition:
    """The edition of both the model and the labels.

    Raises:
        CannotAnswerError: Their editions differ.
    """
    trained_on = Edition(runs.run_tags(store, model.run_id)["edition"])
    if dataset.edition is not None and dataset.edition != trained_on:
        raise CannotAnswerError(
            f"{model} was trained on labels of edition {trained_on}, but {dataset.name} has labels of edition "
            f"{dataset.edition}, with other expressions or action units; use a data set of edition {trained_on}"
        )
    return trained_on


def videos_and_people(
    frames: LabelledFrames, dataset: Dataset
) -> tuple[tuple[str, ...], NDArray[np.int64], tuple[str, ...]]:
    """As `videos_of`, and whom each of the videos shows, where that is known."""
    video_of = {track_id: video.video_id for video in dataset.videos for track_id in video.tracks}
    videos, video_N = videos_of(frames, video_of)
    group_of = groups_of(dataset.subjects)
    return videos, video_N, tuple(group_of[video_id] for video_id in videos) if group_of else ()


def videos_of(frames: LabelledFrames, video_of: Mapping[str, str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The ids of the videos that the frames come from, sorted, and for each frame the position of its video."""
    video_T = np.array([video_of[track_id] for track_id in frames.track_ids])
    videos, video_N = np.unique(video_T[frames.track_index_N], return_inverse=True)
    return tuple(map(str, videos)), video_N.astype(np.int64)


def answers(model: Version, dataset: Dataset, frames: LabelledFrames, store: Path) -> Predictions:
    """Reads the predictions for labelled frames from the shards, in the order of the frames.

    Raises:
        CannotAnswerError: A frame has no prediction.
    """
    folders = {track: predictions_folder(store, model, video) for video in dataset.videos for track in video.tracks}
    names = [*frames.truth(), *(f"p_{name}" for name in EXPRESSIONS[frames.edition])]
    columns = {name: np.full(len(frames), np.nan, np.float32) for name in names}
    for track_index in np.unique(frames.track_index_N):
        track_id = frames.track_ids[track_index]
        row_N = np.flatnonzero(frames.track_index_N == track_index)
        found = read_predictions(folders[track_id] / f"{track_id}.parquet", names, frames.frame_index_N[row_N])
        for name, values in found.items():
            columns[name][row_N] = values
    answered = [name for task in registry.tasks_of(model) for name in task_columns(task, frames.edition)]
    missing_N = np.isnan(np.stack([columns[name] for name in answered])).any(axis=0)
    if missing_N.any():
        # Scores ignore frames without a prediction, so a model could gain by skipping hard frames.
        frame = frames.name(int(missing_N.argmax()))
        raise CannotAnswerError(f"no prediction by {model} for {frame}, which has a face and a label")
    return columns

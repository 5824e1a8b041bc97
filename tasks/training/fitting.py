"""Postprocessing of a model's answers, fitted once after its training."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from data.annotations.splits import groups_of, recording_of
from data.batches.labelled_frames import Integers, labelled_frames
from data.labels import Edition, Split, Task
from data.landmarks.kept import landmarks_folder
from data.store.catalogue import Dataset
from data.store.shards import is_whole
from data.video.frames import resolve_device
from model.finished import FITTED, load_finished, predict_track, save_fits
from model.postprocessing.crossfit import cross_fit, fit_kept, frames_to_fit
from model.postprocessing.fitting import Arrays, TaskFrames
from tasks.config import MachineConfig
from tasks.progress import log
from tasks.training.epochs import cores


def fit_answers(folder: Path, dataset: Dataset, machine: MachineConfig) -> None:
    """Fits the postprocessing of the model in a folder on all validation videos, unless it exists.

    Steps without a cross-fitted gain are omitted. Scores on these videos would be too high, so they are not reported.
    """
    if (folder / FITTED).is_file():
        return
    device = resolve_device(machine.device)
    model = load_finished(folder, device=device)

    def predicted_of(faces_file: Path) -> tuple[Integers, Arrays]:
        kept = landmarks_folder(machine.store, faces_file.parent.name)
        landmarks = kept if is_whole(kept) else None
        return predict_track(model, faces_file, device=device, threads=cores(), landmarks=landmarks)

    frames = split_to_fit(dataset, Split.VALIDATION, model.edition, model.network.tasks, machine.store, predicted_of)
    fits = {task: fit_kept(found, cross_fit(found)) for task, found in frames.items()}
    save_fits(folder, fits, {"data_digest": dataset.digest, "split": Split.VALIDATION})
    log.info("fitted on the validation videos: %s", "; ".join(f"{task} {fit}" for task, fit in fits.items()))


def split_to_fit(
    dataset: Dataset,
    split: Split,
    edition: Edition,
    tasks: Collection[Task],
    store: Path,
    predicted_of: Callable[[Path], tuple[Integers, Arrays]],
) -> dict[Task, TaskFrames]:
    """The frames to fit each task on; `predicted_of` returns the answers for a faces file, before postprocessing."""
    labelled = labelled_frames(
        dataset.faces_files(store), dataset.labels_file(store), split=split, edition=edition, tasks=tasks
    )
    group_of = groups_of(dataset.subjects)
    recordings = {
        track: group_of.get(video.video_id, recording_of(video.video_id))
        for video in dataset.videos
        for track in video.tracks
    }
    found = frames_to_fit(labelled, predicted_of, recordings)
    return {task: frames for task, frames in found.items() if task in tasks}

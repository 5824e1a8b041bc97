"""The frames that a training learns from and is validated on, with their labels and what its system needs besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from safetensors.numpy import load_file

from data.batches.corruption import corrupted
from data.batches.labelled_frames import LabelledFrames, labelled_frames
from data.batches.stored_faces import with_landmarks
from data.labels import Split, Task
from data.store.catalogue import Dataset
from model.systems.settings import SYSTEMS
from tasks.config import AnyTrainConfig, MachineConfig
from tasks.progress import log

TEACHER_FILE = "teacher.safetensors"
"""In the folder of a model that had a teacher: what it gave for each training frame, in their order."""


def split_frames(config: AnyTrainConfig, dataset: Dataset, machine: MachineConfig, split: Split) -> LabelledFrames:
    """The labelled frames of a split, as the settings want them.

    Raises:
        ValueError: There are none.
    """
    frames = complete_frames(config, dataset, machine, split)
    if split is not Split.TRAIN or not config.corruption.is_on:
        return frames
    left = corrupted(frames, config.corruption, keeps_unlabelled=_needs(config) == "teacher")
    log.info(
        "training labels are corrupted (%s): %d of %d frames have any left", config.corruption, len(left), len(frames)
    )
    return left


def complete_frames(
    config: AnyTrainConfig, dataset: Dataset, machine: MachineConfig, split: Split, *, tasks: Sequence[Task] = ()
) -> LabelledFrames:
    """The labelled frames of a split before their labels are corrupted; of the system's tasks unless others are given.

    Raises:
        ValueError: There are none.
    """
    shuffled = config.shuffle_labels and split is Split.TRAIN
    labels_file = dataset.labels_file(machine.store)
    assert dataset.edition is not None, "a data set with labels knows their edition"
    return labelled_frames(
        dataset.faces_files(machine.store),
        labels_file,
        split=split,
        edition=dataset.edition,
        tasks=tasks or config.tasks,
        frame_step=config.frame_step,
        shuffle_labels_seed=config.seed if shuffled else None,
    )


def training_frames(config: AnyTrainConfig, dataset: Dataset, machine: MachineConfig, folder: Path) -> LabelledFrames:
    """The training frames, with what the system needs besides labels (`System.needs`).

    Args:
        folder: That of the model.
    """
    frames, needs = split_frames(config, dataset, machine, Split.TRAIN), _needs(config)
    if needs == "landmarks":
        return with_landmarks(frames)
    if needs == "teacher":
        return replace(frames, extras=load_file(folder / TEACHER_FILE))
    if needs == "two label sets" and config.corruption.is_on:
        complete = complete_frames(config, dataset, machine, Split.TRAIN)
        second = corrupted(complete, config.corruption, draw=1)
        extras = {"expression_1": second.expression_N, "valence_arousal_1": second.valence_arousal_N2}
        return replace(frames, extras=extras)
    return frames


def _needs(config: AnyTrainConfig) -> str | None:
    return SYSTEMS[config.system].needs

"""Trains any system: epoch by epoch, with a teacher before that, or at once."""

from __future__ import annotations

import numpy as np

from data.labels import Split
from data.store.catalogue import Dataset
from model.systems.dense_detection.network import DenseDetection, detected, part_names
from model.systems.registry import load_checkpoint
from model.systems.settings import SYSTEMS
from model.training.loop import MODEL
from model.training.step import Record
from tasks.config import AnyTrainConfig, EpochsConfig, MachineConfig
from tasks.plots.windows import fired_windows
from tasks.tracking import runs
from tasks.training.at_once import fit_at_once
from tasks.training.epochs import run_epochs, training_digest
from tasks.training.frames import TEACHER_FILE, complete_frames, split_frames
from tasks.training.teacher import ask_teacher, teacher_of

SHOWN_FACES = 6
"""In the picture of what windows fire at, each from another track."""


def run_training(
    config: AnyTrainConfig, dataset: Dataset, machine: MachineConfig, run_id: str, *, name: str = "training"
) -> Record:
    """Trains in the training's folder and logs to the run; returns the metrics of the model.

    Raises:
        ValueError: The data set has no labels, or none in a split that is needed; or the pretrained weights do not fit.
    """
    if not isinstance(config, EpochsConfig):
        return fit_at_once(config, dataset, machine, run_id, name=name)
    if SYSTEMS[config.system].needs == "teacher":
        _teach(config, dataset, machine, run_id, name)
    record = run_epochs(config, dataset, machine, run_id, name=name)
    if SYSTEMS[config.system].needs == "landmarks":
        _draw_windows(config, dataset, machine, run_id)
    return record


def _draw_windows(config: EpochsConfig, dataset: Dataset, machine: MachineConfig, run_id: str) -> None:
    """Logs a picture of what the windows fire at, in faces of different validation tracks."""
    network = load_checkpoint(
        machine.store / "models" / training_digest(config, dataset, machine.store) / MODEL
    ).network
    assert isinstance(network, DenseDetection), "the network of this system"
    frames = split_frames(config, dataset, machine, Split.VALIDATION)
    first_of_track = np.unique(frames.track_index_N, return_index=True)[1]
    faces_NHWC, probabilities_NPGG = detected(network, frames.take(first_of_track[:SHOWN_FACES]))
    figure = fired_windows(faces_NHWC, probabilities_NPGG, part_names(network))
    runs.log_figure(machine.store, run_id, "plots/windows.png", figure)


def training_seconds(config: AnyTrainConfig, dataset: Dataset, machine: MachineConfig, num_frames: int) -> float:
    """How long a finished training on so many frames took, without validation; with that of its teacher."""
    folder = machine.store / "models" / training_digest(config, dataset, machine.store)
    records = load_checkpoint(folder / MODEL).records
    if not isinstance(config, EpochsConfig):
        return records[0]["seconds"]
    of_epoch = max(num_frames // config.batch_size * config.batch_size, min(num_frames, config.batch_size))
    seconds = sum(of_epoch / record["images_per_s"] for record in records)
    if SYSTEMS[config.system].needs == "teacher":
        seconds += training_seconds(teacher_of(config), dataset, machine, num_frames)
    return seconds


def _teach(config: EpochsConfig, dataset: Dataset, machine: MachineConfig, run_id: str, name: str) -> None:
    """Trains the teacher as a child of the run, and asks it for the missing labels; nothing if it is done."""
    store, key = machine.store, training_digest(config, dataset, machine.store)
    folder, teacher = store / "models" / key, teacher_of(config)
    if (folder / TEACHER_FILE).is_file():
        return
    with runs.open_run(
        store,
        experiment=runs.experiment_of(store, run_id),
        training_digest=f"teacher-{key}",
        run_name=f"{name}: teacher",
        params=teacher.model_dump(mode="json"),
        tags={},
        parent_id=run_id,
    ) as teacher_run_id:
        run_epochs(teacher, dataset, machine, teacher_run_id, name=f"{name}: teacher")
    ask_teacher(
        store / "models" / training_digest(teacher, dataset, store),
        folder,
        training=split_frames(config, dataset, machine, Split.TRAIN),
        complete=complete_frames(config, dataset, machine, Split.TRAIN),
        validation=split_frames(config, dataset, machine, Split.VALIDATION),
        config=config,
        machine=machine,
        run_id=run_id,
    )

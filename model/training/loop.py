"""The training loop: trains, validates and writes a checkpoint each epoch. An interrupted training resumes exactly.

All random numbers of an epoch are drawn from (seed, epoch), so an epoch depends only on the previous checkpoint. By
default the model is that of the last epoch, so that the validation data play no part in choosing it.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.batches.augment import Augmentation
from data.batches.balance import deal
from data.batches.batch import Batch
from data.batches.labelled_frames import LabelledFrames
from data.batches.loader import batches
from data.labels import Task
from data.machine import Device
from data.settings import Settings
from model.inference import predict_frames
from model.network import Network
from model.scores.metrics import scores
from model.training.checkpoint import MODEL
from model.training.distributed import (
    all_gather_columns,
    all_gather_labels,
    barrier,
    broadcast_from_first,
    check_same_on_all_ranks,
    rank,
    synchronise_batch_norm,
    world_size,
)
from model.training.learning import Learning, TaskWeights, halvings, learning_rate
from model.training.recipe import Recipe, recipe_for
from model.training.resume import Plan, finished, has_stalled, official_sums, save, start
from model.training.step import Method, Record, Run, memory_format, record_passes

__all__ = ["MODEL", "Machine", "Progress", "Record", "train"]

Progress = Callable[[int, int, int], None]
"""Called after each batch: epoch (from 0), batches finished, batches in the epoch."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The hardware to train on; `threads` does not affect results."""

    device: Device = "cpu"
    threads: int = 1
    """Threads that decode crops, in addition to torch's own."""


def train(
    folder: Path,
    training: LabelledFrames,
    validation: LabelledFrames,
    *,
    method: Method,
    architecture: Settings,
    learning: Learning,
    augment: Augmentation | None = None,
    machine: Machine | None = None,
    trunk: Mapping[str, Tensor] | None = None,
    about: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Iterator[Record]:
    """Trains, resuming from the newest checkpoint in `folder`, and writes `model.safetensors` and its JSON there.

    Yields one record per epoch, including epochs finished by an earlier call: `epoch`, `learning_rate` (of its last
    step), `images_per_s` (in training), `train/loss`, `train/loss_<task>`, `train/gradient_norm`,
    `train/weight_<task>`, and every score of `model.scores.metrics.scores` on all validation frames as
    `validation/<score>`.

    Args:
        folder: Used by this training only; created if missing.
        method: The system that is trained; `architecture` holds the settings that only it has.
        trunk: Initial weights of the trunk, by tensor name (`model.pretrained`).
        about: JSON-like metadata, written into the JSON of every checkpoint.

    Raises:
        FloatingPointError: A loss or the gradient is not finite; names the tracks and frames of the batch.
        ValueError: The folder holds a damaged checkpoint or one of another network; a crop cannot be read; or
            `keep_epoch` or `patience` needs the best epoch and the validation frames have no labels to choose it by.
    """
    machine = machine or Machine()
    plan = Plan(
        edition=training.edition, method=method, architecture=architecture, learning=learning, about=about or {}
    )
    folder.mkdir(parents=True, exist_ok=True)
    # Only the first process checks the folder, so that all processes take the same branch.
    done = broadcast_from_first(finished(folder, plan) if rank() == 0 else None)
    if done is not None:
        yield from done
        return
    run = start(folder, plan, machine.device, trunk)
    check_same_on_all_ranks(len(run.records), f"{folder}: the finished epochs")
    run.network = synchronise_batch_norm(run.network)
    recipe = recipe_for(training, learning, machine.device)
    yield from run.records
    for epoch in range(len(run.records), learning.epochs):
        record = _train_epoch(run, training, plan, recipe, augment, machine, epoch, progress)
        run.records.append(record | _validate(run.scored, validation, learning, machine))
        is_last = epoch + 1 == learning.epochs or has_stalled(run.records, learning.patience)
        if rank() == 0:
            save(folder, run, plan, is_last=is_last)
        barrier()
        yield run.records[-1]
        if is_last:
            return


def _train_epoch(
    run: Run,
    training: LabelledFrames,
    plan: Plan,
    recipe: Recipe,
    augment: Augmentation | None,
    machine: Machine,
    epoch: int,
    progress: Progress | None,
) -> Record:
    learning, step = plan.learning, plan.method.step
    assert step is not None, "a system that learns at once is not trained here"
    # Each process seeds its own dropout.
    seeds = np.random.SeedSequence((learning.seed, epoch), spawn_key=(rank(),) if rank() else ())
    torch.manual_seed(int(seeds.generate_state(1)[0]))
    run.network.train().to(memory_format=memory_format(learning))  # type: ignore[call-overload]
    if plan.method.records_passes:
        record_passes(run, learning)
    num_batches = max(len(training) // learning.batch_size, 1)
    halved = halvings(official_sums(run.records), learning.plateau) if learning.plateau else 0
    numbers = defaultdict[str, list[float]](list)
    rate, num_images, start_s = 0.0, 0, time.perf_counter()
    order = np.random.default_rng((learning.seed, epoch, 2))
    epoch_batches = batches(
        training,
        batch_size=learning.batch_size,
        device=machine.device,
        threads=machine.threads,
        shuffle=True,
        seed=learning.seed,
        epoch=epoch,
        augment=augment,
        chosen=deal(recipe.draws_N, order) if recipe.draws_N is not None else None,
        part=(rank(), world_size()),
    )
    for number, batch in enumerate(map(all_gather_labels, epoch_batches)):
        rate = learning_rate(learning, epoch, (number + 0.5) / num_batches, halved=halved)
        steps = epoch * num_batches + number
        for name, value in step(run, batch, learning, recipe.emphasis, rate=rate, steps=steps).items():
            numbers[name].append(value)
            if not math.isfinite(value):
                raise FloatingPointError(_not_finite(name, value, epoch, number, rate, batch, training))
        num_images += len(batch.frame_index_B)
        if progress is not None:
            progress(epoch, number + 1, num_batches)
    return {
        "epoch": float(epoch),
        "learning_rate": rate,
        "images_per_s": num_images / (time.perf_counter() - start_s),
        **{f"train/{name}": sum(values) / len(values) for name, values in numbers.items()},
        **_task_weights(run.network, learning.task_weights),
    }


def _validate(network: Network, validation: LabelledFrames, learning: Learning, machine: Machine) -> Record:
    part = np.array_split(np.arange(len(validation)), world_size())[rank()]
    predicted = predict_frames(
        network, validation.take(part), batch_size=learning.batch_size, device=machine.device, threads=machine.threads
    )
    found = scores(all_gather_columns(predicted), validation.truth(), validation.edition)
    return {f"validation/{name}": value for name, value in found.items()}


def _task_weights(network: Network, task_weights: TaskWeights) -> Record:
    """The current weight of each task's loss."""
    learned = (0.5 * torch.exp(-2 * network.log_sigma_T.detach())).tolist()
    values = learned if task_weights == "learned" else [1.0] * len(Task)
    return {f"train/weight_{task}": value for task, value in zip(Task, values, strict=True)}


def _not_finite(
    name: str, value: float, epoch: int, number: int, rate: float, batch: Batch, training: LabelledFrames
) -> str:
    frames = defaultdict[str, list[int]](list)
    for track_index, frame_index in zip(batch.track_index_B.tolist(), batch.frame_index_B.tolist(), strict=True):
        frames[training.track_ids[track_index]].append(frame_index)
    where = "; ".join(f"{track_id}: {sorted(indices)}" for track_id, indices in sorted(frames.items()))
    return (
        f"{name} is {value} in epoch {epoch}, batch {number}, at learning rate {rate:g}; "
        f"lower the rate, or check the faces and labels of these frames: {where}"
    )

"""Epochs of training, each with its numbers, its checkpoint and, after a kill, the same curve as without.

Whatever is random in an epoch is drawn anew from (seed, epoch), so an epoch depends on nothing but the checkpoint
before it. The model is that of the last epoch: the people it is scored on take no part in choosing it.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from data.augment import Augmentation
from data.batch import Batch
from data.frames import LabelledFrames
from data.labels import Task
from data.loader import Device, batches
from model.checkpoint import Checkpoint, load_checkpoint, newest_checkpoint, save_checkpoint
from model.inference import place, predict_frames
from model.learning import Learning, learning_rate, make_optimiser
from model.losses import TaskWeights, task_losses, total_loss
from model.metrics import scores
from model.network import Architecture, MTANet, build_network

MODEL = "model.safetensors"
"""The finished model's name in its folder."""

Record = dict[str, float]
Progress = Callable[[int, int, int], None]
"""Called after each batch: epoch (from 0), batches done, batches of the epoch."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What runs the training; changes no result on the same device."""

    device: Device = "cpu"
    threads: int = 1
    """That decode crops, beside torch's own."""


@dataclass
class _Run:
    network: MTANet
    optimiser: Optimizer
    records: list[Record] = field(default_factory=list)


def train(
    folder: Path,
    training: LabelledFrames,
    validation: LabelledFrames,
    *,
    architecture: Architecture,
    learning: Learning,
    augment: Augmentation | None = None,
    machine: Machine | None = None,
    about: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Iterator[Record]:
    """Trains, or goes on from the newest checkpoint in `folder`; ends with `model.safetensors` and its JSON there.

    Yields one record per epoch, those of epochs that an earlier call finished included: `epoch`, `learning_rate` (of
    its last step), `images_per_s` (of training), `train/loss`, `train/loss_<task>`, `train/weight_<task>` and every
    score of `model.metrics.scores` on all validation frames as `validation/<score>`.

    Args:
        folder: Made if need be; belongs to this training alone.
        about: Goes into the JSON of every checkpoint, JSON-like.

    Raises:
        FloatingPointError: A loss is not finite; names the tracks and frames of the batch.
        ValueError: The folder holds another network's checkpoint, or one that is damaged; or a crop cannot be read.
    """
    machine, about = machine or Machine(), about or {}
    folder.mkdir(parents=True, exist_ok=True)
    done = _finished(folder)
    if done is not None:
        yield from done
        return
    run = _start(folder, training, architecture, learning, machine)
    yield from run.records
    for epoch in range(len(run.records), learning.epochs):
        record = _train_epoch(run, training, learning, augment, machine, epoch, progress)
        run.records.append(record | _validate(run.network, validation, learning, machine))
        last = epoch + 1 == learning.epochs
        checkpoint = Checkpoint(
            network=run.network,
            edition=training.edition,
            architecture=architecture,
            optimiser={} if last else run.optimiser.state_dict()["state"],
            records=tuple(run.records),
            about=about,
        )
        path = folder / (MODEL if last else f"epoch-{epoch + 1:04}.safetensors")
        save_checkpoint(path, checkpoint)
        _tidy(folder, keep=path)
        yield run.records[-1]


def _finished(folder: Path) -> tuple[Record, ...] | None:
    model = folder / MODEL
    if not model.with_suffix(".json").is_file():
        return None
    records = load_checkpoint(model).records
    _tidy(folder, keep=model)
    return records


def _start(
    folder: Path, training: LabelledFrames, architecture: Architecture, learning: Learning, machine: Machine
) -> _Run:
    newest = newest_checkpoint(folder)
    _tidy(folder, keep=newest)
    if newest is None:
        torch.manual_seed(learning.seed)
        network = place(build_network(training.edition, architecture), machine.device)
        return _Run(network, make_optimiser(network, learning))
    checkpoint = load_checkpoint(newest)
    found = (checkpoint.edition, checkpoint.architecture)
    if found != (training.edition, architecture):
        raise ValueError(f"{newest}: expected {training.edition} {architecture}, found {found[0]} {found[1]}")
    network = place(checkpoint.network, machine.device)
    optimiser = make_optimiser(network, learning)
    optimiser.load_state_dict({**optimiser.state_dict(), "state": checkpoint.optimiser})
    return _Run(network, optimiser, list(checkpoint.records))


def _tidy(folder: Path, keep: Path | None) -> None:
    """Removes what a killed run left half-written, and checkpoints that a newer one replaces."""
    kept = {keep, keep.with_suffix(".json")} if keep else set()
    for path in (*folder.glob("*.partial"), *folder.glob("epoch-*"), *folder.glob(MODEL)):
        if path not in kept:
            path.unlink(missing_ok=True)


def _train_epoch(
    run: _Run,
    training: LabelledFrames,
    learning: Learning,
    augment: Augmentation | None,
    machine: Machine,
    epoch: int,
    progress: Progress | None,
) -> Record:
    torch.manual_seed(int(np.random.SeedSequence((learning.seed, epoch)).generate_state(1)[0]))
    run.network.train()
    num_batches = max(len(training) // learning.batch_size, 1)
    losses = defaultdict[str, list[float]](list)
    rate, num_images, start_s = 0.0, 0, time.perf_counter()
    epoch_batches = batches(
        training,
        batch_size=learning.batch_size,
        device=machine.device,
        threads=machine.threads,
        shuffle=True,
        seed=learning.seed,
        epoch=epoch,
        augment=augment,
    )
    for number, batch in enumerate(epoch_batches):
        rate = learning_rate(learning, epoch, (number + 0.5) / num_batches)
        for name, value in _step(run, batch, learning.task_weights, rate).items():
            losses[name].append(value)
            if not math.isfinite(value):
                raise FloatingPointError(_not_finite(name, value, epoch, number, rate, batch, training))
        num_images += len(batch.frame_index_B)
        if progress is not None:
            progress(epoch, number + 1, num_batches)
    return {
        "epoch": float(epoch),
        "learning_rate": rate,
        "images_per_s": num_images / (time.perf_counter() - start_s),
        **{f"train/{name}": sum(values) / len(values) for name, values in losses.items()},
        **_task_weights(run.network, learning.task_weights),
    }


def _validate(network: MTANet, validation: LabelledFrames, learning: Learning, machine: Machine) -> Record:
    predicted = predict_frames(
        network, validation, batch_size=learning.batch_size, device=machine.device, threads=machine.threads
    )
    found = scores(predicted, validation.truth(), validation.edition)
    return {f"validation/{name}": value for name, value in found.items()}


def _step(run: _Run, batch: Batch, task_weights: TaskWeights, rate: float) -> Record:
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    outputs = run.network(batch.faces_BCHW.contiguous(memory_format=torch.channels_last))
    losses = task_losses(outputs, batch)
    total = total_loss(losses, run.network.log_sigma_T, task_weights)
    run.optimiser.zero_grad()
    torch.autograd.backward(total)
    run.optimiser.step()
    return {name: loss.item() for name, loss in (("loss", total), *((f"loss_{task}", losses[task]) for task in losses))}


def _task_weights(network: MTANet, task_weights: TaskWeights) -> Record:
    """By how much each loss counts now."""
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
        f"lower the rate, or look at the faces and labels of these frames: {where}"
    )

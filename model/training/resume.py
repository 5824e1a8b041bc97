"""The folder of a training: where it goes on from after a kill, which epoch's network it keeps, what ends it.

An epoch is done when its `epoch-<n>` is whole; what a kill left beside it is removed and made again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.labels import Edition
from data.machine import Device
from model.architecture import Architecture
from model.inference import place
from model.network import MTANet, build_network
from model.training.checkpoint import MODEL, Checkpoint, load_checkpoint, newest_checkpoint, save_checkpoint
from model.training.distributed import rank
from model.training.learning import Learning
from model.training.step import Record, Run, make_optimiser, start_average

_OFFICIAL = ("validation/ccc", "validation/expression", "validation/action_units")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained, and how; `about` goes into the JSON of every checkpoint."""

    edition: Edition
    architecture: Architecture
    learning: Learning
    about: Mapping[str, Any] = field(default_factory=dict)


def finished(folder: Path) -> tuple[Record, ...] | None:
    """The records of a training that came to its end."""
    model = folder / MODEL
    if not model.with_suffix(".json").is_file():
        return None
    records = load_checkpoint(model).records
    _tidy(folder, model)
    return records


def start(folder: Path, plan: Plan, device: Device, trunk: Mapping[str, Tensor] | None) -> Run:
    """A new training, its trunk's weights as given, or the one that the newest whole checkpoint holds.

    Raises:
        ValueError: That is another network's, or damaged.
    """
    newest = newest_checkpoint(folder)
    if newest is None:
        _tidy(folder)
        torch.manual_seed(plan.learning.seed)
        network = build_network(plan.edition, plan.architecture)
        if trunk is not None:
            network.trunk.load_state_dict(trunk)
        return _run(place(network, device), plan.learning)
    checkpoint = load_checkpoint(newest)
    found = (checkpoint.edition, checkpoint.architecture)
    if found != (plan.edition, plan.architecture):
        raise ValueError(f"{newest}: expected {plan.edition} {plan.architecture}, found {found[0]} {found[1]}")
    _tidy(folder, newest, *_best_file(folder, checkpoint.records, plan.learning))
    run = _run(place(checkpoint.network, device), plan.learning)
    run.optimiser.load_state_dict({**run.optimiser.state_dict(), "state": checkpoint.optimiser})
    if run.average is not None:
        run.average.load_state_dict(checkpoint.average)
    run.records.extend(checkpoint.records)
    return run


def save(folder: Path, run: Run, plan: Plan, *, is_last: bool) -> None:
    """The network of the best epoch so far, if it is wanted; then where to go on from, or the finished model."""
    best = _best_file(folder, run.records, plan.learning)
    for path in best:
        if not path.with_suffix(".json").is_file():
            save_checkpoint(path, _checkpoint(run, plan, run.scored))
    if is_last:
        path = folder / MODEL
        network = load_checkpoint(best[0]).network if best else run.scored
        save_checkpoint(path, _checkpoint(run, plan, network))
        _tidy(folder, path)
    else:
        path = folder / f"epoch-{len(run.records):04}.safetensors"
        save_checkpoint(path, _checkpoint(run, plan, run.network, goes_on=True))
        _tidy(folder, path, *best)


def best_epoch(records: Sequence[Record]) -> int:
    """The epoch (from 0) with the highest official score, the first of several.

    That is the sum of the official scores of valence and arousal, expression and action units, as far as the validation
    frames have their labels. It may be below 0; a score that is not a number is below all others.

    Raises:
        ValueError: There are none of them.
    """
    if not any(name in records[0] for name in _OFFICIAL):
        raise ValueError(
            "the validation frames have no labels to choose the best epoch by; keep the last epoch, without patience"
        )
    sums = [sum(record.get(name, 0.0) for name in _OFFICIAL) for record in records]
    return max(range(len(records)), key=lambda epoch: -math.inf if math.isnan(sums[epoch]) else sums[epoch])


def kept_epoch(records: Sequence[Record], learning: Learning) -> int:
    """The epoch (from 0) whose network is the model."""
    return best_epoch(records) if learning.keep_epoch == "best" else len(records) - 1


def has_stalled(records: Sequence[Record], patience: int) -> bool:
    """Whether so many epochs went by since the best one; never with a patience of 0."""
    return patience > 0 and len(records) - 1 - best_epoch(records) >= patience


def _run(network: MTANet, learning: Learning) -> Run:
    average = start_average(network) if learning.ema_decay else None
    return Run(network, make_optimiser(network, learning), average)


def _checkpoint(run: Run, plan: Plan, network: MTANet, *, goes_on: bool = False) -> Checkpoint:
    return Checkpoint(
        network=network,
        edition=plan.edition,
        architecture=plan.architecture,
        optimiser=run.optimiser.state_dict()["state"] if goes_on else {},
        average=run.average.state_dict() if goes_on and run.average is not None else {},
        records=tuple(run.records),
        about=plan.about,
    )


def _best_file(folder: Path, records: Sequence[Record], learning: Learning) -> list[Path]:
    """Where the network of the best epoch is, if that is the one to keep."""
    if learning.keep_epoch == "last":
        return []
    return [folder / f"best-{kept_epoch(records, learning) + 1:04}.safetensors"]


def _tidy(folder: Path, *keep: Path) -> None:
    """Removes what a killed run left half-written, and checkpoints that a newer one replaces. One of a team does so."""
    if rank() > 0:
        return
    kept = {*keep, *(path.with_suffix(".json") for path in keep)}
    for path in (*folder.glob("*.partial"), *folder.glob("epoch-*"), *folder.glob("best-*"), *folder.glob(MODEL)):
        if path not in kept:
            path.unlink(missing_ok=True)

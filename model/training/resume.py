"""The training folder: resuming after an interruption, which epoch is kept, and early stopping.

An epoch is finished once its `epoch-<n>` checkpoint is complete. Partial files are removed and the epoch is repeated.
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
from data.settings import Settings
from model.inference import place
from model.network import Network
from model.training.checkpoint import MODEL, Checkpoint, newest_checkpoint, read_checkpoint, save_checkpoint
from model.training.distributed import rank
from model.training.learning import Learning
from model.training.step import Method, Record, Run, make_optimiser, start_average

_OFFICIAL = ("validation/ccc", "validation/expression", "validation/action_units")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train, and how; `about` is written into the JSON of every checkpoint."""

    edition: Edition
    method: Method
    architecture: Settings
    learning: Learning
    about: Mapping[str, Any] = field(default_factory=dict)

    def load(self, path: Path) -> Checkpoint:
        """Reads a checkpoint of this plan's system."""
        return read_checkpoint(path, lambda _: self.method)


def finished(folder: Path, plan: Plan) -> tuple[Record, ...] | None:
    """The records of a finished training; None if it is not finished."""
    model = folder / MODEL
    if not model.with_suffix(".json").is_file():
        return None
    records = plan.load(model).records
    _tidy(folder, model)
    return records


def start(folder: Path, plan: Plan, device: Device, trunk: Mapping[str, Tensor] | None) -> Run:
    """Resumes from the newest complete checkpoint, or starts a new training with the given weights of the trunk.

    Raises:
        ValueError: The checkpoint is damaged or of another network.
    """
    newest = newest_checkpoint(folder)
    if newest is None:
        _tidy(folder)
        torch.manual_seed(plan.learning.seed)
        network = plan.method.build(plan.edition, plan.architecture)
        if trunk is not None:
            network.get_submodule("trunk").load_state_dict(trunk)
        return _run(place(network, device), plan.learning)
    checkpoint = plan.load(newest)
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
    """Saves the best network so far (`keep_epoch="best"`), then the checkpoint to resume from or the finished model."""
    best = _best_file(folder, run.records, plan.learning)
    for path in best:
        if not path.with_suffix(".json").is_file():
            save_checkpoint(path, _checkpoint(run, plan, run.scored))
    if is_last:
        path = folder / MODEL
        network = plan.load(best[0]).network if best else run.scored
        save_checkpoint(path, _checkpoint(run, plan, network))
        _tidy(folder, path)
    else:
        path = folder / f"epoch-{len(run.records):04}.safetensors"
        save_checkpoint(path, _checkpoint(run, plan, run.network, can_resume=True))
        _tidy(folder, path, *best)


def best_epoch(records: Sequence[Record]) -> int:
    """The epoch (from 0) with the highest official score; the earliest of equals.

    The official score is the sum of the official scores of valence and arousal, expression and action units, skipping
    tasks without labels in the validation frames. It may be negative; NaN ranks below every other score.

    Raises:
        ValueError: The validation frames have no labels for any task.
    """
    if not any(name in records[0] for name in _OFFICIAL):
        raise ValueError(
            "the validation frames have no labels to choose the best epoch by; keep the last epoch, without patience"
        )
    sums = official_sums(records)
    return max(range(len(records)), key=lambda epoch: -math.inf if math.isnan(sums[epoch]) else sums[epoch])


def official_sums(records: Sequence[Record]) -> list[float]:
    """The sum of the official scores of each epoch; tasks without labels are skipped."""
    return [sum(record.get(name, 0.0) for name in _OFFICIAL) for record in records]


def kept_epoch(records: Sequence[Record], learning: Learning) -> int:
    """The epoch (from 0) whose network is the model."""
    return best_epoch(records) if learning.keep_epoch == "best" else len(records) - 1


def has_stalled(records: Sequence[Record], patience: int) -> bool:
    """Whether the last `patience` epochs brought no better one; always False with a patience of 0."""
    return patience > 0 and len(records) - 1 - best_epoch(records) >= patience


def _run(network: Network, learning: Learning) -> Run:
    average = start_average(network) if learning.ema_decay else None
    return Run(network, make_optimiser(network, learning), average)


def _checkpoint(run: Run, plan: Plan, network: Network, *, can_resume: bool = False) -> Checkpoint:
    return Checkpoint(
        network=network,
        edition=plan.edition,
        system=plan.method.name,
        architecture=plan.architecture,
        optimiser=run.optimiser.state_dict()["state"] if can_resume else {},
        average=run.average.state_dict() if can_resume and run.average is not None else {},
        records=tuple(run.records),
        about=plan.about,
    )


def _best_file(folder: Path, records: Sequence[Record], learning: Learning) -> list[Path]:
    """The file of the best epoch's network, if the best epoch is kept; otherwise empty."""
    if learning.keep_epoch == "last":
        return []
    return [folder / f"best-{kept_epoch(records, learning) + 1:04}.safetensors"]


def _tidy(folder: Path, *keep: Path) -> None:
    """Removes partial files of an interrupted run and outdated checkpoints. Only the first process does so."""
    if rank() > 0:
        return
    kept = {*keep, *(path.with_suffix(".json") for path in keep)}
    for path in (*folder.glob("*.partial"), *folder.glob("epoch-*"), *folder.glob("best-*"), *folder.glob(MODEL)):
        if path not in kept:
            path.unlink(missing_ok=True)

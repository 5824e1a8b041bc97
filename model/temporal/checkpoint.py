"""Checkpoints of the temporal head: one safetensors file with metadata in its header, written in one atomic step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from data.labels import Edition
from data.store.damage import DamagedError, names_damage
from data.store.shards import write_file
from model.temporal.head import TemporalHead, build_head
from model.temporal.settings import TemporalArchitecture

VERSION = 1
HEAD = "temporal.safetensors"
"""File name of the finished head."""

TRAIN_AGAIN = "delete it and train again, or restore it"
Record = dict[str, float]
_WEIGHTS = "head."
_OPTIMISER = "optimiser."


@dataclass(frozen=True, kw_only=True)
class HeadCheckpoint:
    """A head after the epochs in `records`; `optimiser` is the state by parameter number, empty in a finished head."""

    head: TemporalHead
    edition: Edition
    records: tuple[Record, ...] = ()
    optimiser: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)


def save_head(path: Path, checkpoint: HeadCheckpoint) -> None:
    tensors = {_WEIGHTS + name: tensor for name, tensor in checkpoint.head.state_dict().items()}
    for number, state in checkpoint.optimiser.items():
        tensors |= {f"{_OPTIMISER}{number}.{name}": tensor for name, tensor in state.items()}
    facts = {
        "version": VERSION,
        "edition": checkpoint.edition,
        "architecture": checkpoint.head.architecture.model_dump(mode="json"),
        "num_features": checkpoint.head.project.in_features,
        "records": checkpoint.records,
    }
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    facts["sha256"] = hashlib.sha256(save(content)).hexdigest()
    write_file(path, save(content, metadata={"facts": json.dumps(facts)}))


def load_head(path: Path) -> HeadCheckpoint:
    """Reads what `save_head` wrote, onto the CPU.

    Raises:
        ValueError: The file is missing, damaged or of another version.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such temporal head")
    try:
        with names_damage(path, TRAIN_AGAIN), safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
        tensors = load_file(path)
    except SafetensorError as error:
        raise DamagedError(path, error, TRAIN_AGAIN) from error
    # One of an earlier version has no hash.
    if "sha256" in facts and hashlib.sha256(save(tensors)).hexdigest() != facts["sha256"]:
        raise DamagedError(path, "its content has another hash than when it was written", TRAIN_AGAIN)
    if facts["version"] != VERSION:
        raise ValueError(f"{path}: expected version {VERSION}, found {facts['version']}; train again")
    edition = Edition(facts["edition"])
    with torch.random.fork_rng(devices=[]):
        head = build_head(edition, facts["num_features"], TemporalArchitecture(**facts["architecture"]))
    head.load_state_dict(
        {name.removeprefix(_WEIGHTS): tensor for name, tensor in tensors.items() if name.startswith(_WEIGHTS)}
    )
    optimiser: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMISER):
            number, key = name.removeprefix(_OPTIMISER).split(".")
            optimiser.setdefault(int(number), {})[key] = tensor
    return HeadCheckpoint(head=head, edition=edition, records=tuple(facts["records"]), optimiser=optimiser)

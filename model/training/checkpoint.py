"""Checkpoints: weights (safetensors), then a JSON beside them. A checkpoint that has its JSON is complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from data.labels import Edition
from data.settings import Settings
from data.store.damage import DamagedError, names_damage, read_json
from data.store.shards import file_sha256, write_file
from model.network import Network
from model.training.step import Method

VERSION = 1
MODEL = "model.safetensors"
"""File name of the finished model."""

TRAIN_AGAIN = "delete it and its JSON and train again, or restore both"
_WEIGHTS = "network."
_AVERAGE = "average."
_OPTIMISER = "optimiser."


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network after the epochs in `records`, with the state needed to resume training.

    `optimiser` holds the optimiser state by parameter number and `average` the averaged weights, if any; both are
    empty in a finished model. `records` holds the metrics of every epoch so far. `about` is JSON-like metadata from
    the caller (settings, digests).
    """

    network: Network
    edition: Edition
    system: str
    architecture: Settings
    optimiser: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)
    average: Mapping[str, Tensor] = field(default_factory=dict)
    records: tuple[dict[str, float], ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes `path` (`.safetensors`), then the JSON beside it; a checkpoint without its JSON is ignored."""
    tensors = {_WEIGHTS + name: tensor for name, tensor in checkpoint.network.state_dict().items()}
    tensors.update({_AVERAGE + name: tensor for name, tensor in checkpoint.average.items()})
    for number, state in checkpoint.optimiser.items():
        tensors.update({f"{_OPTIMISER}{number}.{name}": tensor for name, tensor in state.items()})
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_file(path, content)
    facts = {
        "version": VERSION,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "edition": checkpoint.edition,
        "system": checkpoint.system,
        "architecture": checkpoint.architecture.model_dump(mode="json"),
        "records": checkpoint.records,
        "about": checkpoint.about,
    }
    write_file(path.with_suffix(".json"), json.dumps(facts, indent=2) + "\n")


def read_checkpoint(path: Path, method_of: Callable[[str], Method]) -> Checkpoint:
    """Reads what `save_checkpoint` wrote, onto the CPU; `method_of` gives the method of a system.

    Raises:
        ValueError: The file is missing, incomplete, damaged or of another version, or its weights do not fit the
            network that its JSON describes.
    """
    facts = _read_facts(path)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise DamagedError(path, error, TRAIN_AGAIN) from error
    with names_damage(path.with_suffix(".json"), TRAIN_AGAIN):
        method = method_of(facts.get("system", "mtanet"))  # an earlier version knew no other
        architecture, edition = method.settings.model_validate(facts["architecture"]), Edition(facts["edition"])
        records, about = tuple(facts["records"]), facts["about"]
    with torch.random.fork_rng(devices=[]):
        network = method.build(edition, architecture)
    weights, average = (
        {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}
        for kind in (_WEIGHTS, _AVERAGE)
    )
    _check_fit(path, network, weights)
    network.load_state_dict(weights)
    return Checkpoint(
        network=network,
        edition=edition,
        system=method.name,
        architecture=architecture,
        optimiser=_optimiser_state(tensors),
        average=average,
        records=records,
        about=about,
    )


def newest_checkpoint(folder: Path) -> Path | None:
    """The complete checkpoint `epoch-<n>.safetensors` of the latest epoch in a folder, or None."""
    complete = sorted(path for path in folder.glob("epoch-*.safetensors") if path.with_suffix(".json").is_file())
    return complete[-1] if complete else None


def _read_facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint")
    if not path.with_suffix(".json").is_file():
        raise ValueError(f"{path}: incomplete (no {path.stem}.json beside it); delete it and train again")
    facts = read_json(path.with_suffix(".json"), TRAIN_AGAIN)
    if facts.get("version") != VERSION:
        raise ValueError(f"{path}: expected version {VERSION}, found {facts.get('version')}; train again")
    if path.stat().st_size != facts.get("bytes"):
        raise DamagedError(path, f"expected {facts.get('bytes')} bytes, found {path.stat().st_size}", TRAIN_AGAIN)
    # One of an earlier version has no hash.
    if "sha256" in facts and file_sha256(path) != facts["sha256"]:
        raise DamagedError(path, "its content has another hash than when it was written", TRAIN_AGAIN)
    return facts


def _check_fit(path: Path, network: Network, weights: Mapping[str, Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(expected | found):
        if expected.get(name) != found.get(name):
            raise ValueError(f"{path}: {name}: expected shape {expected.get(name)}, found {found.get(name)}")


def _optimiser_state(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMISER):
            number, key = name.removeprefix(_OPTIMISER).split(".")
            states.setdefault(int(number), {})[key] = tensor
    return states

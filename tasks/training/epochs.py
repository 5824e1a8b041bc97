"""The epochs of a training: from settings to a network, with progress and curves in MLflow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.labels import Split
from data.machine import num_cores
from data.store.access import hold
from data.store.catalogue import Dataset
from data.store.hashes import file_hash
from data.store.shards import digest
from data.text import counted
from data.video.frames import resolve_device
from model.pretrained import load_trunk
from model.systems.mtanet.settings import Architecture, Pretrained
from model.systems.registry import method_of
from model.training.distributed import broadcast_job, receive_job
from model.training.loop import Machine, Progress, Record, train
from model.training.resume import kept_epoch
from tasks.config import AnyTrainConfig, EpochsConfig, MachineConfig
from tasks.progress import log, stage
from tasks.tracking import runs
from tasks.training.frames import split_frames, training_frames

VERSION = 3
"""Raised when the same settings and data train a different network."""


WARNING = "warning.txt"
"""Artifact of a run that has something to warn of."""


def training_digest(config: AnyTrainConfig, dataset: Dataset, store: Path) -> str:
    """Identifies a training and its folder in `store/models`. Pretrained weights count by content, not by path.

    Raises:
        ValueError: The file of pretrained weights is missing.
    """
    values = config.model_dump(mode="json")
    if not config.corruption.is_on:
        del values["corruption"]
    if not values.get("plateau", 1):  # came later: a training without it is what it was
        del values["plateau"]
    if config.system != "mtanet":
        values["system"] = config.system
    if isinstance(config, Pretrained) and config.pretrained is not None:
        values["pretrained"] = file_hash(config.pretrained, store)
    return digest("training", VERSION, values, dataset.digest)


def cores() -> int:
    """Cores of this process, for decoding crops; processes that torchrun starts on a machine share its cores."""
    return max(num_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)


def use_all_cores() -> None:
    """For the thread that trains or predicts; those that extract videos share the cores among them."""
    torch.set_num_threads(cores())


def run_epochs(
    config: EpochsConfig, dataset: Dataset, machine: MachineConfig, run_id: str, *, name: str = "training"
) -> Record:
    """Trains in the training's folder and logs each epoch to a run once; returns the metrics of the model's epoch.

    Raises:
        ValueError: The data set has no labels, or none in a split that is needed; or the pretrained weights do not fit.
    """
    key = training_digest(config, dataset, machine.store)
    logged = runs.logged_steps(machine.store, run_id, "train/loss")
    with (
        hold(machine.store, f"models-{key}", what="this training"),
        stage("training", config.epochs, "epochs") as shown,
    ):
        # Only after no other run writes there, because the other processes of a team start at once.
        broadcast_job((config, dataset, machine, key))
        records: list[Record] = []

        def show(epoch: int, batch: int, batches: int) -> None:
            shown.set(epoch, note=f"batch {batch} of {batches}")

        for record in _epochs(config, dataset, machine, key, name, show):
            epoch = len(records)
            records.append(record)
            if epoch not in logged:
                runs.log_epoch(machine.store, run_id, epoch, record)
                shown.say("%s, epoch %d of %d: %s", name, epoch + 1, config.epochs, _sentence(record))
            shown.set(epoch + 1, note="")
    warning = method_of(config.system).warning(records)
    if warning is not None:
        log.warning("%s: %s", name, warning)
        runs.log_text(machine.store, run_id, WARNING, warning + "\n")
    return records[kept_epoch(records, config)]


def follow() -> None:
    """Takes part in every training that the first process of a team runs (`model.training.distributed`)."""
    while (job := receive_job()) is not None:
        for _ in _epochs(*job):
            pass


def _epochs(
    config: EpochsConfig,
    dataset: Dataset,
    machine: MachineConfig,
    key: str,
    name: str = "training",
    progress: Progress | None = None,
) -> Iterator[Record]:
    use_all_cores()
    folder = machine.store / "models" / key
    training = training_frames(config, dataset, machine, folder)
    validation = split_frames(config, dataset, machine, Split.VALIDATION)
    log.info("%s: %s, validation: %d", name, counted(len(training), "frames"), len(validation))
    trunk, pretrained = _pretrained(config)
    about = {"training_digest": key, "data_digest": dataset.digest, "pretrained": pretrained}
    yield from train(
        folder,
        training,
        validation,
        method=method_of(config.system),
        architecture=config.architecture,
        learning=config,
        augment=config if config.is_on else None,
        machine=Machine(device=resolve_device(machine.device), threads=cores()),
        trunk=trunk,
        about={**about, "knobs": config.model_dump(mode="json")},
        progress=progress,
    )


def _pretrained(config: EpochsConfig) -> tuple[Mapping[str, Tensor] | None, dict[str, Any] | None]:
    """The trunk to start from, and what to remember of it."""
    if not isinstance(config, Pretrained) or config.pretrained is None:
        return None, None
    trunk = load_trunk(config.pretrained, config.part(Architecture))
    left = ", ".join(trunk.left) or "nothing"
    log.info("pretrained: %d tensors of %s (%s); left: %s", len(trunk.taken), config.pretrained, trunk.naming, left)
    return trunk.weights, {"naming": trunk.naming, "taken": trunk.taken, "left": trunk.left}


def _sentence(record: Record) -> str:
    names = {
        "train/loss": "loss",
        "validation/ccc": "CCC",
        "validation/expression_macro_f1": "expression F1",
        "validation/action_units_mean_f1": "action unit F1",
        "images_per_s": "images/s",
    }
    digits = {"images_per_s": 0}
    return ", ".join(f"{says} {record[name]:.{digits.get(name, 3)}f}" for name, says in names.items() if name in record)

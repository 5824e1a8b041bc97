"""A data set to a registered model: one MLflow run a training, found again and continued after a kill."""

from __future__ import annotations

import os
import subprocess
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path

import torch
from prefect import runtime, task
from prefect.artifacts import create_link_artifact
from prefect.cache_policies import NO_CACHE

from data.augment import STILL, Augmentation
from data.frames import LabelledFrames, labelled_frames
from data.labels import Split
from data.shards import digest
from data.video import resolve_device
from model.learning import Learning
from model.network import Architecture
from model.training import MODEL, Machine, Record, train
from tasks import naming, registry, serving, tracking
from tasks.catalogue import Dataset
from tasks.config import Experiment, MachineConfig, TrainConfig
from tasks.progress import log, stage

VERSION = 1
"""Raised when the same knobs and data would train another network."""


def training_digest(knobs: TrainConfig, dataset: Dataset) -> str:
    return digest("training", VERSION, knobs.model_dump(mode="json"), dataset.digest)


@task(task_run_name="train-{experiment.name}", cache_policy=NO_CACHE)
def train_model(experiment: Experiment, dataset: Dataset, machine: MachineConfig) -> registry.Version:
    """The registered version of this training: trained, or found.

    Raises:
        ValueError: The data set has no labels, or none in a split that is needed.
    """
    key = training_digest(experiment.train, dataset)
    run_id = tracking.finished_run(machine.store, key)
    if run_id is not None:
        log.info("training: nothing new, run %s has it", run_id)
    else:
        run_id = _train(experiment, dataset, machine, key)
    known = tracking.logged_model(machine.store, run_id)
    assert known is not None, "a finished run has logged its model"
    return registry.register(machine.store, run_id, known)


def use_all_cores() -> None:
    """For the thread that trains or predicts; those that extract videos share the cores among them."""
    torch.set_num_threads(os.cpu_count() or 1)


def code_revision() -> str:
    """The commit of the code, with `-dirty` if files differ from it; without git the version of the package."""
    root = Path(__file__).parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version("mtanet")
    return found


def _train(experiment: Experiment, dataset: Dataset, machine: MachineConfig, key: str) -> str:
    store = machine.store
    folder = store / "models" / key
    name = naming.run_name(experiment, tracking.first_params(store, experiment.name))
    with tracking.open_run(
        store,
        experiment=_mlflow_experiment(dataset, store),
        training_digest=key,
        run_name=name,
        params=experiment.model_dump(mode="json"),
        tags=_tags(experiment, dataset),
    ) as run_id:
        link = tracking.run_page(store, run_id)
        create_link_artifact(key="mlflow-run", link=link, link_text=f"MLflow run {name}")
        tracking.log_dataset(name=dataset.name, path=Path(dataset.root), digest=dataset.digest, context="training")
        _run_epochs(experiment.train, dataset, machine, folder, run_id, key)
        if tracking.logged_model(store, run_id) is None:
            log.info("training: logging the model")
            serving.log_model(folder / MODEL)
    return run_id


def _mlflow_experiment(dataset: Dataset, store: Path) -> str:
    assert dataset.edition is not None, "a data set with labels knows their edition"
    return naming.experiment_name(dataset.edition, is_synthetic=dataset.is_synthetic(store))


def _tags(experiment: Experiment, dataset: Dataset) -> dict[str, str]:
    return {
        "experiment": experiment.name,
        "config_digest": experiment.digest,
        "code_revision": code_revision(),
        "dataset": dataset.name,
        "data_digest": dataset.digest,
        "edition": str(dataset.edition),
        "prefect.flow_run": str(runtime.flow_run.id),
        "prefect.flow_run_page": str(runtime.flow_run.ui_url),
    }


def _run_epochs(
    knobs: TrainConfig, dataset: Dataset, machine: MachineConfig, folder: Path, run_id: str, key: str
) -> None:
    use_all_cores()
    training, validation = (
        _frames(knobs, dataset, machine, Split.TRAIN),
        _frames(knobs, dataset, machine, Split.VALIDATION),
    )
    log.info("training: %d frames, validation: %d", len(training), len(validation))
    logged = tracking.logged_steps(machine.store, run_id, "train/loss")
    with stage("training", knobs.epochs, "epochs") as shown:
        records = train(
            folder,
            training,
            validation,
            architecture=Architecture(**{field.name: getattr(knobs, field.name) for field in fields(Architecture)}),
            learning=Learning(**{field.name: getattr(knobs, field.name) for field in fields(Learning)}),
            augment=_augmentation(knobs),
            machine=Machine(device=resolve_device(machine.device)),
            about={"training_digest": key, "data_digest": dataset.digest, "knobs": knobs.model_dump(mode="json")},
            progress=lambda epoch, batch, batches: shown.set(epoch, note=f"batch {batch} of {batches}"),
        )
        for epoch, record in enumerate(records):
            if epoch not in logged:
                tracking.log_epoch(machine.store, run_id, epoch, record)
                shown.say("epoch %d of %d: %s", epoch + 1, knobs.epochs, _sentence(record))
            shown.set(epoch + 1, note="")


def _augmentation(knobs: TrainConfig) -> Augmentation | None:
    augment = replace(Augmentation() if knobs.augment else STILL, blur=knobs.blur, erase=knobs.erase)
    return augment if augment != STILL else None


def _frames(knobs: TrainConfig, dataset: Dataset, machine: MachineConfig, split: Split) -> LabelledFrames:
    shuffled = knobs.shuffle_labels and split is Split.TRAIN
    labels_file = dataset.labels_file(machine.store)
    assert dataset.edition is not None, "a data set with labels knows their edition"
    return labelled_frames(
        dataset.faces_files(machine.store),
        labels_file,
        split=split,
        edition=dataset.edition,
        frame_step=knobs.frame_step,
        shuffle_labels_seed=knobs.seed if shuffled else None,
    )


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

"""A data set to a registered model: one MLflow run a training, found again and continued after a kill."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

from prefect import runtime, task
from prefect.artifacts import create_link_artifact
from prefect.cache_policies import NO_CACHE

from data.store.access import place_in
from data.store.catalogue import Dataset
from model.training.loop import MODEL
from tasks.config import AnyExperiment, MachineConfig
from tasks.progress import log
from tasks.tracking import naming, registry, runs
from tasks.tracking.views import SERVER_ENDS
from tasks.training.epochs import use_all_cores as use_all_cores
from tasks.training.fitting import fit_answers
from tasks.training.leaks import note_training_videos, refuse_leaks
from tasks.training.systems import run_training
from tasks.training.temporal import model_digest, train_over_time


@task(task_run_name="train-{experiment.name}", cache_policy=NO_CACHE)
def train_model(experiment: AnyExperiment, dataset: Dataset, machine: MachineConfig) -> registry.Version:
    """The registered version of this training: trained, or found.

    Raises:
        ValueError: The data set has no labels, or none in a split that is needed; or a video that one task holds out
            trains another, and the splits are not the official ones.
    """
    key = model_digest(experiment, dataset, machine.store)
    run_id = runs.finished_run(machine.store, key)
    if run_id is not None:
        log.info("training: nothing new, run %s is complete", run_id)
    else:
        run_id = _train(experiment, dataset, machine, key)
    known = runs.logged_model(machine.store, run_id)
    assert known is not None, "a finished run has logged its model"
    return registry.register(machine.store, run_id, known)


def code_revision() -> str:
    """The commit of the code, with `-dirty` if files differ from it; without git the version of the package."""
    root = Path(__file__).parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version("mtanet")
    return found


def _train(experiment: AnyExperiment, dataset: Dataset, machine: MachineConfig, key: str) -> str:
    store = machine.store
    leaks = refuse_leaks(dataset, store)
    name = naming.run_name(experiment, runs.first_params(store, experiment.name))
    with runs.open_run(
        store,
        experiment=mlflow_experiment(dataset, store),
        training_digest=key,
        run_name=name,
        params=experiment.model_dump(mode="json"),
        tags={
            **tags_of(experiment, dataset),
            "leaking_videos": str(len(leaks)),
            "failed_videos": str(len(dataset.failed)),
        },
    ) as run_id:
        link = runs.run_page(store, run_id)
        create_link_artifact(key="mlflow-run", link=link, link_text=f"MLflow run {name}")
        place = place_in(store, Path(dataset.root))
        runs.log_dataset(name=dataset.name, place=place, digest=dataset.digest, context="training")
        note_training_videos(dataset, store, run_id)
        run_training(experiment.train, dataset, machine, run_id)
        if experiment.temporal is not None:
            train_over_time(experiment, dataset, machine, run_id)
        fit_answers(store / "models" / key, dataset, machine)
        if runs.logged_model(store, run_id) is None:
            log.info("training: logging the model")
            registry.log_model(store / "models" / key / MODEL)
    return run_id


def mlflow_experiment(dataset: Dataset, store: Path) -> str:
    """The experiment of MLflow that trainings on a data set belong to."""
    assert dataset.edition is not None, "a data set with labels knows their edition"
    return naming.experiment_name(dataset.edition, is_synthetic=dataset.is_synthetic(store))


def tags_of(experiment: AnyExperiment, dataset: Dataset) -> dict[str, str]:
    """The origin of a run, as tags."""
    page = {} if SERVER_ENDS in os.environ else {"prefect.flow_run_page": str(runtime.flow_run.ui_url)}
    return {
        "experiment": experiment.name,
        registry.SYSTEM: experiment.system,
        "config_digest": experiment.digest,
        "code_revision": code_revision(),
        "dataset": dataset.name,
        "data_digest": dataset.digest,
        **({"corruption": str(corruption)} if (corruption := experiment.train.corruption).is_on else {}),
        "edition": str(dataset.edition),
        "prefect.flow_run": str(runtime.flow_run.id),
        **page,
    }

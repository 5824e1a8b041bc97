"""Flow `train-mtanet`: raw videos to a registered model, its scores, and its predictions in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prefect import flow, runtime

from data.labels import Split
from data.store.access import check_store
from data.store.catalogue import Dataset
from flows.ingest import ingest_aff_wild2
from tasks.config import Experiment, IngestConfig, MachineConfig, load_experiment
from tasks.ingest.failures import FailedVideosError, warn_of_failed
from tasks.ingest.sample import make_sample
from tasks.scoring.champion import choose_champion
from tasks.scoring.crossfit import cross_fit_answers
from tasks.scoring.evaluate import evaluate, predict_dataset
from tasks.scoring.reports import report_scores
from tasks.scoring.result import Evaluation
from tasks.tracking.registry import Version, find_version
from tasks.training.train import train_model
from tasks.warehouse import publish

ExperimentName = Literal["ablation", "paper", "sample", "strong", "temporal"]
"""The files in `flows/experiments/`."""


@dataclass(frozen=True)
class Trained:
    """A registered model with its scores and the gate's verdict."""

    model: Version
    evaluation: Evaluation
    verdict: str


def _run_name() -> str:
    experiment = runtime.flow_run.parameters["experiment"]
    return f"train-{experiment if isinstance(experiment, str) else Experiment.model_validate(experiment).name}"


@flow(name="train-mtanet", flow_run_name=_run_name)
def train_mtanet(
    experiment: ExperimentName | Experiment = "sample", machine: MachineConfig = MachineConfig()
) -> Trained:
    """Runs an experiment from its videos to its scores. Finished work is never redone.

    A failed video is skipped, and reported in the log, the report and the run; training uses the others.
    """
    check_store(machine.store)
    config = load_experiment(experiment) if isinstance(experiment, str) else experiment
    dataset = ingest_what_can_be(config, machine)
    model = train_model(config, dataset, machine)
    predict_dataset(model, dataset, machine)
    evaluation = evaluate(model, dataset, Split.VALIDATION, machine)
    verdict = choose_champion(evaluation, dataset, machine)
    cross_fit_answers(model, dataset, Split.VALIDATION, machine)
    report_scores(evaluation, verdict)
    publish(machine)
    warn_of_failed(dataset)
    return Trained(find_version(machine.store, str(model.number)), evaluation, verdict)


def ingest_what_can_be(config: Experiment, machine: MachineConfig) -> Dataset:
    """The experiment's data set, of the videos that did not fail."""
    try:
        return ingest_aff_wild2(data_of(config, machine), machine)
    except FailedVideosError as error:
        return error.dataset


def data_of(config: Experiment, machine: MachineConfig) -> IngestConfig:
    """The settings of the experiment's data: the synthetic sample, made if it is missing, or `ingest.root`."""
    if config.sample is None:
        return config.ingest
    root = make_sample(config.sample, machine)
    return config.ingest.but(root=root, name=config.ingest.name or "sample")

"""Flow `train-mtanet`: from raw videos to a registered model, its scores, and predictions that SQL can query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prefect import flow, runtime

from data.labels import Split
from data.store.access import check_store
from data.store.catalogue import Dataset
from flows.ingest import ingest_aff_wild2
from tasks.config import AnyExperiment, IngestConfig, MachineConfig
from tasks.experiments import load_experiment
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

ExperimentName = Literal[
    "ablation",
    "dense_detection",
    "expr_cnn",
    "geometry_pls",
    "noisy_labels",
    "paper",
    "sample",
    "sample_dense_detection",
    "sample_expr_cnn",
    "sample_geometry_pls",
    "sample_noisy_labels",
    "sample_weak_labels",
    "strong",
    "temporal",
    "weak_labels",
]
"""The names of the files in `flows/experiments/`."""


@dataclass(frozen=True)
class Trained:
    """A registered model with its scores and the gate's verdict."""

    model: Version
    evaluation: Evaluation
    verdict: str


def _run_name() -> str:
    experiment = runtime.flow_run.parameters["experiment"]
    name = experiment if isinstance(experiment, str) else dict(experiment)["name"]
    return f"train-{name}"


@flow(name="train-mtanet", flow_run_name=_run_name)
def train_mtanet(
    experiment: ExperimentName | AnyExperiment = "sample", machine: MachineConfig = MachineConfig()
) -> Trained:
    """Runs an experiment from its videos to its scores. Finished work is never redone.

    Skips failed videos and trains on the others. The log, the quality report and the run list the failures.
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


def ingest_what_can_be(config: AnyExperiment, machine: MachineConfig) -> Dataset:
    """Ingests the experiment's data; the data set lacks the videos that failed."""
    try:
        return ingest_aff_wild2(data_of(config, machine), machine)
    except FailedVideosError as error:
        return error.dataset


def data_of(config: AnyExperiment, machine: MachineConfig) -> IngestConfig:
    """The ingest settings of an experiment. If it uses the synthetic sample, renders it unless it exists."""
    if config.sample is None:
        return config.ingest
    root = make_sample(config.sample, machine)
    return config.ingest.but(root=root, name=config.ingest.name or "sample")

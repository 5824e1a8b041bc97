"""Names in MLflow: experiments by edition, runs by the settings that differ."""

from __future__ import annotations

import json
from collections.abc import Mapping

from data.labels import Edition
from tasks.config import AnyExperiment, Experiment, TemporalConfig
from tasks.experiments import EXPERIMENTS, load_experiment
from tasks.tracking.runs import flatten

PLACES = ("ingest.root", "ingest.name")
"""Settings that say where the data are; runs are not compared by them."""
_SYNTHETIC = "synthetic"


def experiment_name(edition: Edition, *, is_synthetic: bool) -> str:
    """`aff-wild2-2020`, or `synthetic-2020` for rendered people: scores of the two are not comparable."""
    return f"{_SYNTHETIC if is_synthetic else 'aff-wild2'}-{edition}"


def is_synthetic(experiment: str) -> bool:
    """Whether `experiment_name` called it so because the people are rendered."""
    return experiment.startswith(f"{_SYNTHETIC}-")


def run_name(experiment: AnyExperiment, first: Mapping[str, str]) -> str:
    """`sample` for an unchanged experiment, `sample epochs=3 seed=2` for one with these settings changed.

    Args:
        experiment: The experiment that runs.
        first: The parameters of the first MLflow run of that name, with which a user's own experiment is compared,
            because it has no file in `flows/experiments/`.
    """
    is_ours = (EXPERIMENTS / f"{experiment.name}.toml").is_file()
    usual = (
        {name: str(value) for name, value in _settings(load_experiment(experiment.name)).items()} if is_ours else first
    )
    set_otherwise = (
        f"{name.removeprefix('train.')}={_said(value)}"
        for name, value in _settings(experiment).items()
        if name not in PLACES and usual.get(name, str(value)) != str(value)
    )
    return " ".join([experiment.name, *set_otherwise])


def _settings(experiment: AnyExperiment) -> dict[str, object]:
    """Fills in a default temporal head if there is none, so that the name lists only what differs from the default."""
    if not isinstance(experiment, Experiment):
        return flatten(experiment.model_dump(mode="json"))
    temporal = experiment.temporal or TemporalConfig()
    every = experiment.but(temporal=temporal).model_dump(mode="json")
    return {"temporal": None if experiment.temporal is None else {}, **flatten(every)}


def _said(value: object) -> str:
    """The value as written after `--set`."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))

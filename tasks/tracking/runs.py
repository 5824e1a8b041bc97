"""MLflow runs, and where they are stored.

Everything is in the store (`mlflow.db`, `mlflow/`) unless `MLFLOW_TRACKING_URI` names a server. A run is identified by
the digest of its training, so a rerun continues it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.data import sources
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Run
from mlflow.tracking._tracking_service import utils

from tasks.tracking import artifacts
from tasks.tracking.views import AS_TRAINING, PAGES, experiment_tags

TRAINING_DIGEST = "training_digest"
_opened: set[str] = set()
SERVER = os.environ.get("MLFLOW_TRACKING_URI", "")
"""The tracking server that the user names. Read once: MLflow itself writes the store's database there later."""


def connect(store: Path) -> MlflowClient:
    """MLflow's client for the tracking server of the environment, or for the store's own database."""
    uri = SERVER
    if not uri:
        store.mkdir(parents=True, exist_ok=True)
        uri = artifacts.database_uri(store)
        if uri not in _opened and artifacts.database_path(store).is_file():
            artifacts.check_and_carry_over(store)
            _opened.add(uri)
    if mlflow.get_tracking_uri() != uri:
        utils._artifact_repos_cache.clear()  # it is kept by run, and a copied store has the same runs
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def open_run(
    store: Path,
    *,
    experiment: str,
    training_digest: str,
    run_name: str,
    params: Mapping[str, object],
    tags: Mapping[str, str],
    parent_id: str | None = None,
) -> Iterator[str]:
    """The run id of a training's run, new or continued; marked finished or failed when the block ends.

    The parameters are flattened (`train.width`) and logged once. System metrics are logged every 10 s. With an open
    parent run, the run becomes its child.
    """
    client = connect(store)
    found = _search(client, f"tags.{TRAINING_DIGEST} = '{training_digest}'")
    if found:
        which = {"run_id": found[0].info.run_id}
    else:
        which = {"experiment_id": _experiment_id(client, experiment), "run_name": run_name}
    all_tags = {"mlflow.source.name": "mtanet train", **tags, TRAINING_DIGEST: training_digest}
    with mlflow.start_run(
        **which, tags=all_tags, log_system_metrics=True, nested=parent_id is not None, parent_run_id=parent_id
    ) as run:
        if not run.data.params:
            mlflow.log_params(flatten(params))
        yield run.info.run_id


def finished_run(store: Path, training_digest: str) -> str | None:
    """The id of the run that came to the end of a training and logged its model, if there is one."""
    wanted = f"tags.{TRAINING_DIGEST} = '{training_digest}' and attributes.status = 'FINISHED'"
    found = _search(connect(store), wanted)
    return next((run.info.run_id for run in found if logged_model(store, run.info.run_id)), None)


def finished_metrics(store: Path, training_digest: str) -> dict[str, float]:
    """The last value of each metric of the run that came to its end; none if there was none."""
    wanted = f"tags.{TRAINING_DIGEST} = '{training_digest}' and attributes.status = 'FINISHED'"
    found = _search(connect(store), wanted)
    return dict(found[0].data.metrics) if found else {}


def first_params(store: Path, name: str) -> dict[str, str]:
    """The parameters of the first run that has a name as its tag `experiment`; none if there was none."""
    found = _search(connect(store), f"tags.experiment = '{name}'", order_by=["attributes.start_time ASC"])
    return dict(found[0].data.params) if found else {}


def log_dataset(*, name: str, place: str, digest: str, context: str) -> None:
    """Notes that the open run read a data set: its place and digest, no byte of it."""
    # MLflow creates the class on import, without an argument that its own base class requires.
    source = sources.LocalArtifactDatasetSource(place)  # type: ignore[attr-defined]
    dataset = MetaDataset(source, name=name, digest=digest)  # type: ignore[abstract]
    mlflow.log_input(dataset, context=context)


def log_epoch(store: Path, run_id: str, epoch: int, record: Mapping[str, float]) -> None:
    """Logs the numbers of an epoch, counted from 0."""
    connect(store)
    numbers = {name: value for name, value in record.items() if name != "epoch"}  # that is the step
    mlflow.log_metrics(numbers, step=epoch, run_id=run_id)


def logged_steps(store: Path, run_id: str, name: str) -> set[int]:
    """The steps of a metric that are already logged, which a resumed run must not log again."""
    return {int(metric.step) for metric in connect(store).get_metric_history(run_id, name)}


def log_scores(store: Path, run_id: str, scores: Mapping[str, float]) -> bool:
    """Logs scores that are new or different, to the run and its model; returns whether there were any."""
    known = connect(store).get_run(run_id).data.metrics
    new = {name: value for name, value in scores.items() if known.get(name) != value}
    if new:
        model_uri = logged_model(store, run_id)
        model_id = model_uri and model_uri.rpartition("/")[2]
        mlflow.log_metrics(new, step=0, run_id=run_id, model_id=model_id)
    return bool(new)


def log_text(store: Path, run_id: str, name: str, text: str) -> None:
    """Logs a text as an artifact of that name."""
    connect(store).log_text(run_id, text, name)


def logged_text(store: Path, run_id: str, name: str) -> str | None:
    """The text that `log_text` logged under a name, if any."""
    is_there = name in {file.path for file in connect(store).list_artifacts(run_id)}
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{name}")) if is_there else None


def log_figure(store: Path, run_id: str, name: str, figure: Any) -> None:
    """Logs a matplotlib figure as a picture of that name."""
    connect(store).log_figure(run_id, figure, name)


def logged_model(store: Path, run_id: str) -> str | None:
    """The address of the model that a run logged, if it came to that."""
    client = connect(store)
    experiment_id = client.get_run(run_id).info.experiment_id
    models = client.search_logged_models([experiment_id], filter_string=f"source_run_id = '{run_id}'")
    return next((str(model.model_uri) for model in models if str(model.status) == "READY"), None)


def run_tags(store: Path, run_id: str) -> dict[str, str]:
    return dict(connect(store).get_run(run_id).data.tags)


def experiment_of(store: Path, run_id: str) -> str:
    """The name of the experiment that a run belongs to."""
    client = connect(store)
    return str(client.get_experiment(client.get_run(run_id).info.experiment_id).name)


def run_page(store: Path, run_id: str) -> str:
    """The address of a run's page: on the tracking server, or on that of `mtanet up`, by default on port 5000."""
    experiment_id = connect(store).get_run(run_id).info.experiment_id
    server = SERVER if SERVER.startswith("http") else os.environ.get(PAGES, "http://127.0.0.1:5000")
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}?{AS_TRAINING}"


def flatten(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Flattens nested settings: `{"train": {"width": 64}}` becomes `{"train.width": 64}`."""
    flat: dict[str, object] = {}
    for name, value in config.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _search(client: MlflowClient, wanted: str, order_by: list[str] | None = None) -> list[Run]:
    """The runs of every experiment that a filter finds."""
    experiment_ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiment_ids, filter_string=wanted, order_by=order_by))


def _experiment_id(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = mlflow.get_tracking_uri().startswith("sqlite:")
    place = artifacts.PLACE if local else None
    return str(client.create_experiment(name, place, experiment_tags(int(time.time() * 1000))))

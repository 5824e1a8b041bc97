"""Runs, models and the registry: the only file with MLflow.

Everything lies in the store (`mlflow.db`, `mlflow/`) unless `MLFLOW_TRACKING_URI` names a server. A run is found again
by the digest of its training, a version by the same, so a rerun continues the one and never registers the other twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.data import sources
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature

NAME = "mtanet"
"""Of the MLflow experiment and of the registered model."""
CHECKPOINT = "checkpoint"
"""The artifact folder of a run that holds the network as `model.checkpoint` writes it."""
TRAINING_DIGEST = "training_digest"
UI = "http://127.0.0.1:5000"
"""Where `mtanet up` serves MLflow's pages."""
SERVER = os.environ.get("MLFLOW_TRACKING_URI", "")
"""The tracking server that the user names. Read once: MLflow itself writes the store's database there later."""


@dataclass(frozen=True)
class Version:
    """A registered version of the model; `tags` are those of the version."""

    number: int
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"{NAME} v{self.number}"


def connect(store: Path) -> MlflowClient:
    """MLflow's client for the tracking server of the environment, or for the store's own database."""
    uri = SERVER
    if not uri:
        store.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{store.resolve()}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def open_run(
    store: Path, *, training_digest: str, run_name: str, params: Mapping[str, object], tags: Mapping[str, str]
) -> Iterator[str]:
    """The run of a training, new or continued, by its id; shown as finished or failed when the block ends.

    The parameters are flattened (`train.width`) and logged once.
    """
    client = connect(store)
    experiment_id = _experiment_id(client, store)
    found = client.search_runs([experiment_id], filter_string=f"tags.{TRAINING_DIGEST} = '{training_digest}'")
    run_id = found[0].info.run_id if found else None
    all_tags = {**tags, TRAINING_DIGEST: training_digest}
    with mlflow.start_run(run_id, experiment_id=experiment_id, run_name=run_name, tags=all_tags) as run:
        if not run.data.params:
            mlflow.log_params(flatten(params))
        yield run.info.run_id


def finished_run(store: Path, training_digest: str) -> str | None:
    """The id of the run that came to the end of a training and logged its model, if there is one."""
    client = connect(store)
    wanted = f"tags.{TRAINING_DIGEST} = '{training_digest}' and attributes.status = 'FINISHED'"
    found = client.search_runs([_experiment_id(client, store)], filter_string=wanted)
    return next((run.info.run_id for run in found if logged_model(store, run.info.run_id)), None)


def log_dataset(*, name: str, path: Path, digest: str, context: str) -> None:
    """Notes that the open run read a data set: its place and digest, no byte of it."""
    # MLflow makes the class when it is imported, and leaves out what its own base class asks for.
    source = sources.LocalArtifactDatasetSource(str(path))  # type: ignore[attr-defined]
    dataset = MetaDataset(source, name=name, digest=digest)  # type: ignore[abstract]
    mlflow.log_input(dataset, context=context)


def log_epoch(store: Path, run_id: str, epoch: int, record: Mapping[str, float]) -> None:
    """Logs the numbers of an epoch, counted from 0."""
    connect(store)
    mlflow.log_metrics(dict(record), step=epoch, run_id=run_id)


def logged_steps(store: Path, run_id: str, name: str) -> set[int]:
    """The steps of a metric that are logged: those that a run which goes on must not log again."""
    return {int(metric.step) for metric in connect(store).get_metric_history(run_id, name)}


def log_scores(store: Path, run_id: str, scores: Mapping[str, float]) -> bool:
    """Logs scores that are new or other than before; says whether there were any."""
    known = connect(store).get_run(run_id).data.metrics
    new = {name: value for name, value in scores.items() if known.get(name) != value}
    if new:
        mlflow.log_metrics(new, step=0, run_id=run_id)
    return bool(new)


def log_figure(store: Path, run_id: str, name: str, figure: Any) -> None:
    """Logs a matplotlib figure as a picture of that name."""
    connect(store).log_figure(run_id, figure, name)


def log_model(network: Any, *, faces_BCHW: Any, outputs_BK: Any, outputs: list[str], checkpoint: Path) -> str:
    """Logs a network to the open run, as `pt2` with signature and input example, and its checkpoint.

    Args:
        network: A module in eval mode, from faces to one tensor: MLflow's own prediction takes no other.
        faces_BCHW: An example, an array of at least two faces: `torch.export` freezes a batch of one.
        outputs_BK: What the network says of it, an array.
        outputs: What its K columns are.
        checkpoint: The folder with the checkpoint.

    Returns:
        The model's address.
    """
    mlflow.log_artifacts(str(checkpoint), CHECKPOINT)
    info = mlflow.pytorch.log_model(
        network,
        name=NAME,
        input_example=faces_BCHW,
        signature=infer_signature(faces_BCHW, outputs_BK),
        metadata={"outputs": outputs},
        pip_requirements=[f"{name}=={version_of(name).partition('+')[0]}" for name in ("torch", "numpy")],
    )
    return str(info.model_uri)


def logged_model(store: Path, run_id: str) -> str | None:
    """The address of the model that a run logged, if it came to that."""
    client = connect(store)
    experiment_id = client.get_run(run_id).info.experiment_id
    models = client.search_logged_models([experiment_id], filter_string=f"source_run_id = '{run_id}'")
    return next((str(model.model_uri) for model in models if str(model.status) == "READY"), None)


def register(store: Path, run_id: str, model_uri: str) -> Version:
    """The version of a run's model: the one it has, or a new one, which becomes the challenger."""
    client = connect(store)
    run_tags = client.get_run(run_id).data.tags
    if not client.search_registered_models(filter_string=f"name = '{NAME}'"):
        client.create_registered_model(NAME, description="Valence, arousal, expression and action units of a face.")
    digest = run_tags[TRAINING_DIGEST]
    known = client.search_model_versions(f"name = '{NAME}' and tags.{TRAINING_DIGEST} = '{digest}'")
    if known:
        return find_version(store, str(known[0].version))
    tags = {TRAINING_DIGEST: digest, "experiment": run_tags.get("experiment", "")}
    model_id = model_uri.rpartition("/")[2]
    created = client.create_model_version(NAME, source=model_uri, run_id=run_id, tags=tags, model_id=model_id)
    client.set_registered_model_alias(NAME, "challenger", str(created.version))
    return find_version(store, str(created.version))


def find_version(store: Path, model: str) -> Version:
    """A version of the registered model by its number or alias.

    Raises:
        ValueError: There is no such version.
    """
    client = connect(store)
    try:
        by_alias = client.get_model_version_by_alias
        found: ModelVersion = client.get_model_version(NAME, model) if model.isdecimal() else by_alias(NAME, model)
        # A version that was found by an alias does not say its aliases.
        found = client.get_model_version(NAME, str(found.version))
    except MlflowException as error:
        numbers = sorted(int(version.version) for version in client.search_model_versions(f"name = '{NAME}'"))
        known = ", ".join(map(str, numbers)) or "none yet; `mtanet train` registers one"
        raise ValueError(f"no model '{model}': expected champion, challenger or a version number ({known})") from error
    return Version(int(found.version), str(found.run_id), tuple(found.aliases), dict(found.tags))


def champion(store: Path) -> Version | None:
    """The best version so far, if there is one."""
    named = connect(store).search_registered_models(filter_string=f"name = '{NAME}'")
    return find_version(store, "champion") if named and "champion" in named[0].aliases else None


def promote(store: Path, version: Version) -> None:
    """Makes a version the champion."""
    connect(store).set_registered_model_alias(NAME, "champion", str(version.number))


def annotate_version(store: Path, version: Version, tags: Mapping[str, str], description: str | None = None) -> None:
    """Writes tags and, if given, the description on a version."""
    client = connect(store)
    for name, value in tags.items():
        client.set_model_version_tag(NAME, str(version.number), name, value)
    if description is not None:
        client.update_model_version(NAME, str(version.number), description=description)


def checkpoint_folder(store: Path, version: Version) -> Path:
    """The folder with the version's checkpoint: where it lies, or a copy if it is on another machine."""
    return Path(connect(store).download_artifacts(version.run_id, CHECKPOINT))


def run_tags(store: Path, run_id: str) -> dict[str, str]:
    return dict(connect(store).get_run(run_id).data.tags)


def run_page(store: Path, run_id: str) -> str:
    """The address of a run's page: on the tracking server, or on the one that `mtanet up` starts."""
    experiment_id = connect(store).get_run(run_id).info.experiment_id
    return f"{SERVER if SERVER.startswith('http') else UI}/#/experiments/{experiment_id}/runs/{run_id}"


def flatten(knobs: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested knobs as one level: `{"train": {"width": 64}}` gives `{"train.width": 64}`."""
    flat: dict[str, object] = {}
    for name, value in knobs.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _experiment_id(client: MlflowClient, store: Path) -> str:
    found = client.get_experiment_by_name(NAME)
    if found is not None:
        return str(found.experiment_id)
    local = mlflow.get_tracking_uri().startswith("sqlite:")
    return str(client.create_experiment(NAME, (store.resolve() / "mlflow").as_uri() if local else None))

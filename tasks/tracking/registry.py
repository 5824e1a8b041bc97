"""The registered versions of the model: challenger, champion, their tags, and their weights.

A version is identified by the digest of its training, so none is registered twice.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature

from data.labels import Task
from model import serving
from model.finished import FILES
from model.systems.settings import SYSTEMS
from model.training.checkpoint import MODEL
from tasks.tracking import naming
from tasks.tracking.runs import TRAINING_DIGEST, connect, experiment_of

NAME = "mtanet"
"""Name of the registered model."""
WEIGHTS = "weights"
"""The folder in a logged model that holds the network as `model.training.checkpoint` writes it."""

SYSTEM = "system"
"""Tag of runs and versions: the system that was trained. Those of an earlier version lack it; it knew only mtanet."""
TASKS = "tasks"
"""Tag of runs and versions of networks that were trained elsewhere: the tasks that they answer."""
SYNTHETIC = "synthetic"
"""Tag of a version: `true` if it was trained on rendered people, else `false`."""
_NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's error code for something that does not exist, when the server was reached."""

DESCRIPTION = f"""\
Valence, arousal, expression and action units of a face: an aligned crop of 112 x 112 px, as a JPEG or an array.

    model = mlflow.pyfunc.load_model("models:/{NAME}@champion")
    model.predict(pandas.DataFrame({{"face": [jpeg]}}))

`champion` is the version that videos are predicted with, `challenger` the newest. The tag `verdict` says why.
"""


class CannotAnswerError(ValueError):
    """A version itself is the reason that it cannot answer, so a retry would not help."""


@dataclass(frozen=True)
class Version:
    """A registered version of the model; `tags` are those of the version."""

    number: int
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"{NAME} v{self.number}"


def system_of(tags: Mapping[str, str]) -> str:
    """The system that the tags of a run or a version name."""
    return tags.get(SYSTEM, "mtanet")


def tasks_of(version: Version) -> tuple[Task, ...]:
    """The tasks that a version answers."""
    named = version.tags.get(TASKS)
    return tuple(map(Task, named.split(","))) if named else SYSTEMS[system_of(version.tags)].tasks


def register(store: Path, run_id: str, model_uri: str) -> Version:
    """The version of a run's model: the one it has, or a new one, which becomes the challenger."""
    client = connect(store)
    run_tags = client.get_run(run_id).data.tags
    if not client.search_registered_models(filter_string=f"name = '{NAME}'"):
        client.create_registered_model(NAME, description=DESCRIPTION)
    digest = run_tags[TRAINING_DIGEST]
    known = client.search_model_versions(f"name = '{NAME}' and tags.{TRAINING_DIGEST} = '{digest}'")
    if known:
        return find_version(store, str(known[0].version))
    synthetic = str(naming.is_synthetic(experiment_of(store, run_id))).lower()
    tags = {
        TRAINING_DIGEST: digest,
        "experiment": run_tags.get("experiment", ""),
        SYSTEM: system_of(run_tags),
        SYNTHETIC: synthetic,
        **({TASKS: run_tags[TASKS]} if TASKS in run_tags else {}),
    }
    model_id = model_uri.rpartition("/")[2]
    created = client.create_model_version(NAME, source=model_uri, run_id=run_id, tags=tags, model_id=model_id)
    # As `mlflow.register_model` does, which prints: the page of the logged model shows its version by this tag.
    versions = json.dumps([{"name": NAME, "version": created.version}])
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": versions})
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
        # MLflow does not return the aliases of a version that is looked up by an alias.
        found = client.get_model_version(NAME, str(found.version))
    except MlflowException as error:
        numbers = sorted(int(version.version) for version in client.search_model_versions(f"name = '{NAME}'"))
        known = ", ".join(map(str, numbers)) or "none yet; `mtanet train` registers one"
        raise ValueError(f"no model '{model}': expected champion, challenger or a version number ({known})") from error
    return Version(int(found.version), str(found.run_id), tuple(found.aliases), dict(found.tags))


def champion(store: Path) -> Version | None:
    """The current champion, if there is one."""
    named = connect(store).search_registered_models(filter_string=f"name = '{NAME}'")
    return find_version(store, "champion") if named and "champion" in named[0].aliases else None


def is_synthetic(store: Path, version: Version) -> bool:
    """Whether a version was trained on rendered people; for versions older than the tag, its run's experiment tells."""
    if SYNTHETIC in version.tags:
        return version.tags[SYNTHETIC] == "true"
    return naming.is_synthetic(experiment_of(store, version.run_id))


def promote(store: Path, version: Version) -> None:
    """Makes a version the champion."""
    connect(store).set_registered_model_alias(NAME, "champion", str(version.number))


def annotate_version(store: Path, version: Version, tags: Mapping[str, str], description: str | None = None) -> None:
    """Writes tags and, if given, the description of a version."""
    client = connect(store)
    for name, value in tags.items():
        client.set_model_version_tag(NAME, str(version.number), name, value)
    if description is not None:
        client.update_model_version(NAME, str(version.number), description=description)


def has_weights(store: Path, version: Version) -> bool:
    """Whether MLflow still has the version's network; raises if MLflow cannot be reached."""
    connect(store)
    try:
        files = mlflow.artifacts.list_artifacts(_weights_uri(version))
    except MlflowException as error:
        if error.error_code != _NOT_THERE:
            raise
        return False
    return any(file.path.endswith(MODEL) for file in files)


def checkpoint_folder(store: Path, version: Version) -> Path:
    """The folder with the version's checkpoint, or a local copy if MLflow is on another machine.

    Raises:
        CannotAnswerError: The version has no checkpoint.
    """
    where = _weights_uri(version)
    if not has_weights(store, version):
        raise CannotAnswerError(f"{version} has no weights in MLflow ({where}); train it again")
    return Path(mlflow.artifacts.download_artifacts(where))


def _weights_uri(version: Version) -> str:
    return f"models:/{NAME}/{version.number}/data/{WEIGHTS}"


PACKAGES = ("mlflow", "mtanet", "numpy", "pandas", "simplejpeg", "torch")
"""Packages that the served model imports, with the versions installed here as its requirements."""


def log_model(checkpoint: Path) -> str:
    """Logs a checkpoint as a model to the open run, with signature, example and requirements; returns its address.

    A temporal head and fitted postprocessing are included, but single faces are answered without them.
    """
    model = serving.load_model(checkpoint)
    example = serving.example_faces()
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / WEIGHTS
        folder.mkdir()
        for name in FILES:
            if (checkpoint.parent / name).is_file():
                shutil.copy(checkpoint.parent / name, folder)
        info = mlflow.pyfunc.log_model(
            name=NAME,
            loader_module=serving.__name__,
            data_path=str(folder),
            input_example=example,
            signature=infer_signature(example, model.predict(example)),
            pip_requirements=[f"{name}=={version_of(name).partition('+')[0]}" for name in PACKAGES],
            metadata={"edition": str(model.edition)},
        )
    return str(info.model_uri)

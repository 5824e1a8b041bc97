"""Where MLflow's artifacts lie: in the store's folder `mlflow`, beside the database, wherever the store is.

The database names them as `mlflow-artifacts:/<run>/...`, without the store's path. MLflow itself resolves such an
address only through a server; `stored_artifacts` is a plugin that also resolves it beside a local database.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from data.store.damage import DamagedError
from data.store.shards import write_file
from data.store.verify import DATABASES, check_database

SCHEME = "mlflow-artifacts"
PLACE = f"{SCHEME}:/"
"""The place of all artifacts, in the database."""
FOLDER = "mlflow"
"""The folder of all artifacts, in the store."""
_SQLITE = "sqlite:///"
_COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def database_path(store: Path) -> Path:
    return store / "mlflow.db"


def database_uri(store: Path) -> str:
    return f"{_SQLITE}{database_path(store).resolve()}"


def stored_artifacts(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> ArtifactRepository:
    """The artifacts at an address: files beside the database if that is a local one, else on the server."""
    tracking_uri = tracking_uri or mlflow.get_tracking_uri()
    if not tracking_uri.startswith(_SQLITE):
        return MlflowArtifactsRepository(artifact_uri, tracking_uri, registry_uri)
    folder = Path(tracking_uri.removeprefix(_SQLITE)).parent / FOLDER
    return LocalArtifactRepository((folder / unquote(urlsplit(artifact_uri).path).lstrip("/")).as_uri())


def check_and_carry_over(store: Path) -> None:
    """Checks the database, and takes the store's path out of one of an earlier version, which contained it.

    Raises:
        DamagedError: The database is damaged, or empty although there are models.
    """
    path = database_path(store)
    check_database(path)
    if path.stat().st_size == 0 and any(store.glob(f"{FOLDER}/models/*")):
        raise DamagedError(path, "empty, although there are models", DATABASES[path.name])
    with closing(sqlite3.connect(database_path(store), timeout=60)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'logged_models'").fetchone():
            return  # empty, or older than the tables that are read here
        wanted = f"SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE 'file://%/{FOLDER}'"
        for (before,) in database.execute(wanted).fetchall():
            _replace(store, database, before)
        database.commit()


def _replace(store: Path, database: sqlite3.Connection, before: str) -> None:
    for model in store.glob(f"{FOLDER}/models/*/artifacts/MLmodel"):
        text = model.read_text()
        if before in text:
            write_file(model, text.replace(before, f"{SCHEME}:"))
    for table, column in _COLUMNS.items():
        database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (f"{before}/", PLACE))
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (PLACE, before))
    root = Path(unquote(urlsplit(before).path)).parent
    for dataset, source in database.execute("SELECT dataset_uuid, dataset_source FROM datasets").fetchall():
        place = Path(json.loads(source).get("uri", ""))
        if place.is_relative_to(root):
            moved = json.dumps({"uri": place.relative_to(root).as_posix()})
            database.execute("UPDATE datasets SET dataset_source = ? WHERE dataset_uuid = ?", (moved, dataset))


# Without the plugin's entry point too, as in a checkout that is not installed.
_artifact_repository_registry.register(SCHEME, stored_artifacts)  # type: ignore[no-untyped-call]

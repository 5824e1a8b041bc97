"""Checks every file of a store against the hashes and sizes that were written with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.store.catalogue import read_catalogue
from data.store.damage import DamagedError, names_damage, read_json
from data.store.shards import MANIFEST, file_sha256, whole_folders

STAGES = ("sample", "detections", "faces", "labels", "quality", "predictions")
_ANEW = "delete it: it is made anew"
DATABASES = {
    "mlflow.db": (
        "restore it from a copy; without one, delete it and train again: finished networks in `models` are registered "
        "again without being trained"
    ),
    "prefect/prefect.db": "delete it: it has only the records of past runs",
}


@dataclass(frozen=True)
class Check:
    """One thing to check: the file, its size in bytes, and the check, which raises a `DamagedError`."""

    path: Path
    bytes: int
    run: Callable[[], None]


def checks(store: Path) -> Iterator[Check]:
    """Everything in a store that can be checked. Folders that are being made are left out."""
    for stage in STAGES:
        for folder in whole_folders(store / stage):
            yield from _folder_checks(folder)
    for path in sorted((store / "models").glob("*/*.json")):
        yield from _model_checks(path)
    for path in sorted((store / "mlflow").glob("models/*/artifacts/data/*/*.json")):
        yield from _model_checks(path)
    for path in sorted((store / "datasets").glob("*.json")):
        yield _check(path, lambda path: read_catalogue(store, path.stem))
    for path in sorted((store / "runs").glob("*.json")):
        yield _check(path, lambda path: read_json(path, _evaluate_again(path)))
    for path in sorted((store / "runs").glob("*.parquet")):
        yield _check(path, _check_scores)
    for name in ("files.json", "videos.json"):
        if (store / name).is_file():
            yield _check(store / name, lambda path: read_json(path, _ANEW))
    for name in DATABASES:
        if (store / name).is_file():
            yield _check(store / name, check_database)


def _check(path: Path, check: Callable[[Path], object]) -> Check:
    return Check(path, path.stat().st_size, lambda: void(check(path)))


def void(_: object) -> None:
    """For a check whose result does not matter."""


def _folder_checks(folder: Path) -> Iterator[Check]:
    manifest = folder / MANIFEST
    yield _check(manifest, read_json)
    with suppress(DamagedError), names_damage(manifest):  # told by the check of the manifest
        for name, facts in sorted(read_json(manifest)["files"].items()):
            expected = str(facts["sha256"])
            path = folder / name
            size = path.stat().st_size if path.is_file() else 0
            yield Check(path, size, lambda path=path, expected=expected: _check_hash(path, expected))  # type: ignore[misc]


def _check_hash(path: Path, expected: str, remedy: str | None = None) -> None:
    if not path.is_file():
        raise DamagedError(path, "missing, although the manifest lists it", remedy)
    if file_sha256(path) != expected:
        raise DamagedError(path, "its content has another hash than when it was written", remedy)


def _model_checks(path: Path) -> Iterator[Check]:
    """A JSON beside weights. Epochs of a training under way come and go."""
    remedy = "delete it and its weights and train again, or restore both"
    weights = path.with_suffix(".safetensors")
    yield _check(path, lambda path: read_json(path, remedy))
    with suppress(DamagedError):
        expected = read_json(path, remedy).get("sha256")
        if expected and weights.is_file():
            yield _check(weights, lambda weights: _check_hash(weights, str(expected), remedy))


def _check_scores(path: Path) -> None:
    with names_damage(path, _evaluate_again(path), errors=(pa.ArrowException,)):
        pq.read_table(path, page_checksum_verification=True)


def _evaluate_again(path: Path) -> str:
    return f"delete {path.stem}.json and {path.stem}.parquet and run `mtanet evaluate` again"


def check_database(path: Path) -> None:
    """Checks that a SQLite file is intact.

    Raises:
        DamagedError: It is not; says what to do.
    """
    name = path.name if path.parent.name != "prefect" else f"prefect/{path.name}"
    remedy = DATABASES.get(name)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            return
        raise DamagedError(path, error, remedy) from error
    if found != "ok":
        raise DamagedError(path, found, remedy)

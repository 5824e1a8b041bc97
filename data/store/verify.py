"""Checks every file of a store against the hashes and sizes that were written with it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.store.catalogue import read_catalogue
from data.store.damage import DamagedError, names_damage, read_json
from data.store.shards import MANIFEST, file_sha256, whole_folders

STAGES = ("sample", "detections", "faces", "labels", "landmarks", "quality", "predictions")
_ANEW = "delete it: it is made anew"
EVALUATE_AGAIN = "delete it and run `mtanet evaluate` again"
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
    run: Callable[[], object]
    has_hash: bool = True
    """Whether changed bytes would be noticed; weights of an earlier version have only a size."""


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
    return Check(path, path.stat().st_size, partial(check, path))


def _folder_checks(folder: Path) -> Iterator[Check]:
    manifest = folder / MANIFEST
    yield _check(manifest, _hashes_in)
    with suppress(DamagedError):  # reported by the check of the manifest
        for name, expected in _hashes_in(manifest).items():
            path = folder / name
            size = path.stat().st_size if path.is_file() else 0
            yield Check(path, size, partial(_check_hash, path, expected))


def _hashes_in(manifest: Path) -> dict[str, str]:
    """The hash of each file that a manifest lists."""
    with names_damage(manifest):
        return {name: str(facts["sha256"]) for name, facts in read_json(manifest)["files"].items()}


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
        facts = read_json(path, remedy)
        if not weights.is_file() or "bytes" not in facts:
            return  # an epoch that is gone, or no JSON of weights
        if "sha256" in facts:
            yield _check(weights, partial(_check_hash, expected=str(facts["sha256"]), remedy=remedy))
        else:
            yield replace(_check(weights, partial(_check_size, expected=facts["bytes"], remedy=remedy)), has_hash=False)


def _check_size(path: Path, expected: int, remedy: str) -> None:
    if path.stat().st_size != expected:
        raise DamagedError(path, f"expected {expected} bytes, found {path.stat().st_size}", remedy)


def _check_scores(path: Path) -> None:
    with names_damage(path, _evaluate_again(path), errors=(pa.ArrowException,)):
        pq.read_table(path, page_checksum_verification=True)


def _evaluate_again(path: Path) -> str:
    return f"delete {path.stem}.json and {path.stem}.parquet and run `mtanet evaluate` again"


def name_damaged_shard(store: Path) -> None:
    """Raises for the first damaged Parquet file that SQL reads. Of faces, which are large, only the footers are read.

    Raises:
        DamagedError: There is one.
    """
    for stage in ("faces", "labels", "predictions", "runs"):
        for path in sorted((store / stage).rglob("*.parquet")):
            with names_damage(path, EVALUATE_AGAIN if stage == "runs" else None, errors=(pa.ArrowException,)):
                if stage == "faces":
                    pq.read_metadata(path)
                else:
                    pq.read_table(path, partitioning=None, page_checksum_verification=True)


def check_database(path: Path) -> None:
    """Checks that a SQLite file is intact.

    Raises:
        DamagedError: It is not; says what to do.
    """
    # Where a writer was killed SQLite undoes its change on opening, for which it must be able to write.
    mode = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    name = path.name if path.parent.name != "prefect" else f"prefect/{path.name}"
    remedy = DATABASES.get(name)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=60)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            return
        raise DamagedError(path, error, remedy) from error
    if found != "ok":
        raise DamagedError(path, found, remedy)

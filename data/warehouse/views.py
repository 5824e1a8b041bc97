"""SQL over the shards: one DuckDB file that holds views and macros, and no frame of its own.

It is built aside and put in place at once, so a reader never sees half of it, and nobody holds it open for writing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from data.labels import ALL_EXPRESSIONS
from data.schema import FACES, LABELS, PREDICTIONS, PREDICTIONS_VERSION
from data.store.access import hold, says_no_room
from data.store.shards import PARTIAL, parquet_files, read_manifest, whole_folders, write_parquet
from data.warehouse.macros import AGGREGATES, TABLES
from data.warehouse.quality_rows import failed_rows, read_quality

VIDEOS = pa.schema(
    [
        ("video_id", pa.string()),
        ("dataset", pa.string()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("codec", pa.string()),
        ("decoder", pa.string()),
        ("device", pa.string()),
        ("num_frames", pa.int64()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("tracks", pa.list_(pa.string())),
        ("faces", pa.string()),
        ("labels", pa.string()),
        ("failure", pa.string()),
    ]
)
"""A video of a data set; `faces` and `labels` are the digests of its shards.

One that failed has no faces; `failure` says why, and is NULL for all others.
"""

RUNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("model_version", pa.int32()),
        ("experiment", pa.string()),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("code_revision", pa.string()),
        ("config_digest", pa.string()),
        ("data_digest", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)
"""A score of a model version on a split of a data set, with what made the model."""

SCORES = pa.schema(
    [
        *(RUNS.field(name) for name in ("run_id", "model_version", "experiment", "dataset", "split", "data_digest")),
        ("kind", pa.string()),
        ("scope", pa.string()),
        ("video_id", pa.string()),
        ("subject", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
"""A score as in `runs`, with the ends of its 95 % interval, and those of each video and subject (recording).

`kind`: `pooled` over all frames of the scope, as the official scores are, `batch_averaged`, as the paper's own figures
are, or that of a `constant_guess`. `scope`: `all`, `video` or `subject`.
"""

QUALITY = pa.schema(
    [
        ("dataset", pa.string()),
        ("track_id", pa.string()),
        ("task", pa.string()),
        ("kind", pa.string()),
        ("count", pa.int64()),
        ("file", pa.string()),
        ("note", pa.string()),
    ]
)
"""What is worth saying about a track, or, without `track_id`, about a file; what is not there was not found."""


def publish(store: Path) -> Path:
    """Builds `store/warehouse.duckdb` anew from the data sets, predictions and runs in the store; gives its path.

    Raises:
        ValueError: Two data sets have a video of the same name, or a shard is not whole.
    """
    path = store / "warehouse.duckdb"
    # One after the other, each with all that is there by then: the last one to be done has what both added.
    with hold(store, path.name, what="the warehouse"), says_no_room(path):
        _build(store, path)
    return path


def _build(store: Path, path: Path) -> None:
    catalogues = read_catalogues(store)
    faces = {entry["faces"]: store / "faces" / entry["faces"] for _, entry in _videos_of(catalogues)}
    labels = [store / "labels" / catalogue["labels"] for catalogue in catalogues.values() if catalogue.get("labels")]
    predictions = {folder: read_manifest(folder) for folder in whole_folders(store / "predictions")}
    current = [
        folder
        for folder, facts in predictions.items()
        if facts["faces"] in faces and facts.get("version") == PREDICTIONS_VERSION
    ]
    partial = path.with_name(path.name + PARTIAL)
    partial.unlink(missing_ok=True)  # that of a killed run
    with duckdb.connect() as connection:
        # Storage of 1.4, so that DuckDB's command line, which is older than the library, opens the file too.
        connection.execute(f"ATTACH {_literal(partial)} AS warehouse (STORAGE_VERSION 'v1.4.0'); USE warehouse;")
        connection.execute(AGGREGATES)
        _create_view(connection, "frames", _files_in(faces.values()), FACES)
        _create_view(connection, "labels", _files_in(labels), LABELS)
        _create_view(connection, "predictions", _files_in(current), PREDICTIONS)
        _create_view(connection, "scores", sorted((store / "runs").glob("*.parquet")), SCORES)
        _create_table(connection, "videos", _video_rows(store, catalogues), VIDEOS)
        _create_table(connection, "runs", _run_rows(store), RUNS)
        _create_table(connection, "quality", _quality_rows(store, catalogues), QUALITY)
        expressions = [{"expression": number, "name": name} for number, name in enumerate(ALL_EXPRESSIONS)]
        _create_table(
            connection, "expressions", expressions, pa.schema([("expression", pa.int8()), ("name", pa.string())])
        )
        connection.execute(TABLES)
    partial.replace(path)


def write_scores(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows of the view `scores`; an existing file is replaced at once."""
    write_parquet(pa.Table.from_pylist(rows, schema=SCORES), path)


def read_catalogues(store: Path) -> dict[str, dict[str, Any]]:
    """What each data set in the store is made of, by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((store / "datasets").glob("*.json"))}


def query(store: Path, sql: str) -> pa.Table:
    """The answer to one SQL query over the store's warehouse.

    Raises:
        ValueError: There is no warehouse, another process holds it open for writing, or the query is wrong.
    """
    path = store / "warehouse.duckdb"
    if not path.is_file():
        raise ValueError(f"{path}: no warehouse yet; `mtanet ingest` or `mtanet train` makes it")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.sql(sql).to_arrow_table()
    except duckdb.IOException as error:
        if "could not set lock" not in str(error).lower():
            raise ValueError(f"{path} or a shard cannot be read; `mtanet ingest` makes them again. {error}") from error
        raise ValueError(
            f"{path} is locked: another program has it open for writing; close that program, or open it there with "
            f"`duckdb -readonly {path}`. {error}"
        ) from error
    except duckdb.Error as error:
        raise ValueError(f"the query was refused: {error}") from error


def _videos_of(catalogues: Mapping[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    owners = defaultdict(list)
    for name, catalogue in catalogues.items():
        for video_id in {**catalogue["videos"], **catalogue.get("failed", {})}:
            owners[video_id].append(name)
    for video_id, names in owners.items():
        if len(names) > 1:
            raise ValueError(
                f"video {video_id} is in the data sets {' and '.join(names)}, so its frames could not be told apart; "
                f"remove one of them: its file in the store's datasets folder"
            )
    return [
        (name, {"video_id": video_id, **entry})
        for name, catalogue in catalogues.items()
        for video_id, entry in sorted(catalogue["videos"].items())
    ]


def _video_rows(store: Path, catalogues: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, entry in _videos_of(catalogues):
        facts = read_manifest(store / "faces" / entry["faces"])
        known = {field.name: facts.get(field.name) for field in VIDEOS}
        rows.append({**known, **entry, "dataset": name, "labels": catalogues[name].get("labels")})
    for name, catalogue in catalogues.items():
        for video_id, entry in sorted(catalogue.get("failed", {}).items()):
            known = {"video_id": video_id, "dataset": name, "labels": catalogue.get("labels")}
            rows.append({**known, **entry, "failure": entry["reason"]})
    return rows


def _quality_rows(store: Path, catalogues: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, catalogue in catalogues.items():
        faces, labels = [entry["faces"] for entry in catalogue["videos"].values()], catalogue.get("labels")
        found = read_quality(store, faces, labels)
        found += failed_rows(catalogue.get("failed", {}), store / "labels" / labels if labels else None)
        rows += [{**row, "dataset": name} for row in found]
    return rows


def _run_rows(store: Path) -> list[dict[str, Any]]:
    runs = [json.loads(path.read_text()) for path in sorted((store / "runs").glob("*.json"))]
    return [
        {**run, "metric": metric, "value": value} for run in runs for metric, value in sorted(run["scores"].items())
    ]


def _literal(path: Path) -> str:
    return "'" + str(path.resolve()).replace("'", "''") + "'"


def _files_in(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in parquet_files(folder)]


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, files: list[Path], schema: pa.Schema) -> None:
    """A view over files, by their absolute paths: the warehouse is published again after a move."""
    if not files:
        _create_table(connection, name, [], schema)
        return
    # Without hive_partitioning = false a folder called `video=107` would turn into a column of numbers.
    listed = ", ".join(map(_literal, files))
    connection.execute(f"CREATE VIEW {name} AS FROM read_parquet([{listed}], hive_partitioning = false)")


def _create_table(
    connection: duckdb.DuckDBPyConnection, name: str, rows: list[dict[str, Any]], schema: pa.Schema
) -> None:
    connection.register("rows_given", pa.Table.from_pylist(rows, schema=schema))
    connection.execute(f"CREATE TABLE {name} AS FROM rows_given")
    connection.unregister("rows_given")

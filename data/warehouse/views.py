"""SQL over the shards: a DuckDB file with views and macros; the frames stay in the shards.

It is built beside its place and then renamed, so a reader never sees half of it, and no process keeps it open for
writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from data.labels import ALL_EXPRESSIONS
from data.schema import FACES, LABELS, PREDICTIONS, PREDICTIONS_VERSION
from data.store.access import hold, says_no_room
from data.store.catalogue import Dataset, read_catalogues, refuse_shared_videos
from data.store.damage import names_damage, read_json
from data.store.shards import PARTIAL, parquet_files, read_manifest, whole_folders, write_parquet
from data.store.verify import EVALUATE_AGAIN, name_damaged_shard
from data.warehouse.answers import literal, query, set_store, warehouse_path
from data.warehouse.leaderboard import FOLDER, LEADERBOARD
from data.warehouse.macros import AGGREGATES, TABLES
from data.warehouse.quality_rows import kept_rows
from data.warehouse.subjects import PEOPLE, people_rows

_FIRST_SYSTEM = "mtanet"
"""The system of versions that do not name theirs, since there was no other."""
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

A failed video has no faces, and its reason is in `failure`, which is NULL for all others.
"""

RUNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("model_version", pa.int32()),
        ("experiment", pa.string()),
        ("system", pa.string()),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("code_revision", pa.string()),
        ("config_digest", pa.string()),
        ("data_digest", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)
"""A score of a model version on a split of a data set, with the code, settings and data that made the model."""

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
"""A score as in `runs`, with the ends of its 95 % interval; also for each video and subject (recording).

`kind`: `pooled` over all frames of the scope, as in the official scores; `batch_averaged`, as in the paper; or the
score of a `constant_guess`. `scope`: `all`, `video` or `subject`.
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
"""A finding about a track or, without `track_id`, about a file. Kinds that were not found have no row."""


def publish(store: Path) -> Path:
    """Rebuilds `store/warehouse.duckdb` from the data sets, predictions and runs in the store; returns its path.

    Raises:
        ValueError: Two data sets have a video of the same name, or a shard is incomplete.
    """
    path = warehouse_path(store)
    # Of two processes the second waits, then builds from everything that both have written.
    with hold(store, path.name, what="the warehouse"), says_no_room(path):
        try:
            _build(store, path)
        except duckdb.Error as error:
            name_damaged_shard(store)
            raise ValueError(f"{path} cannot be built: {error}") from error
    return path


def _build(store: Path, path: Path) -> None:
    datasets = read_catalogues(store)
    for index, dataset in enumerate(datasets):
        refuse_shared_videos(datasets[:index], dataset.name, dataset.video_ids)
    faces = {video.faces: store / "faces" / video.faces for dataset in datasets for video in dataset.videos}
    labels = [folder for dataset in datasets if (folder := dataset.labels_folder(store))]
    predictions = {folder: read_manifest(folder) for folder in whole_folders(store / "predictions")}
    current = [
        folder
        for folder, facts in predictions.items()
        if facts["faces"] in faces and facts.get("version") == PREDICTIONS_VERSION
    ]
    partial = path.with_name(path.name + PARTIAL)
    partial.unlink(missing_ok=True)  # left by a killed run
    with duckdb.connect() as connection:
        # Storage of 1.4, so that DuckDB's command line, which is older than the library, can open the file.
        place = literal(str(partial.resolve()))
        connection.execute(f"ATTACH {place} AS warehouse (STORAGE_VERSION 'v1.4.0'); USE warehouse;")
        connection.execute(set_store(store))
        connection.execute(AGGREGATES)
        _create_view(connection, store, "frames", _files_in(faces.values()), FACES)
        _create_view(connection, store, "labels", _files_in(labels), LABELS)
        telling = [facts for facts in predictions.values() if "trained_on_synthetic" in facts]
        synthetic = {facts["model_version"]: facts["trained_on_synthetic"] for facts in telling}
        run_rows = _run_rows(store)
        system = _system_column({**_systems(predictions.values()), **_systems(run_rows)})
        columns = f"{_origin_column(synthetic)}, {system}"
        _create_view(connection, store, "predictions", _files_in(current), PREDICTIONS, columns)
        _create_view(connection, store, "scores", sorted((store / "runs").glob("*.parquet")), SCORES, system)
        _create_view(connection, store, "leaderboard", sorted((store / FOLDER).glob("*.parquet")), LEADERBOARD)
        _create_table(connection, "videos", _video_rows(store, datasets), VIDEOS)
        _create_table(connection, "people", people_rows(store, datasets), PEOPLE)
        _create_table(connection, "runs", run_rows, RUNS)
        quality = [{**row, "dataset": dataset.name} for dataset in datasets for row in kept_rows(dataset, store)]
        _create_table(connection, "quality", quality, QUALITY)
        expressions = [{"expression": number, "name": name} for number, name in enumerate(ALL_EXPRESSIONS)]
        _create_table(
            connection, "expressions", expressions, pa.schema([("expression", pa.int8()), ("name", pa.string())])
        )
        connection.execute(TABLES)
    partial.replace(path)


def carry_over(store: Path) -> None:
    """Rebuilds a warehouse that is damaged, or of an earlier version, whose views had absolute paths."""
    if not warehouse_path(store).is_file():
        return
    absolute = "SELECT 1 FROM duckdb_views() WHERE sql LIKE '%read_parquet%' AND sql NOT LIKE '%getvariable%'"
    try:
        is_current = query(store, absolute).num_rows == 0
    except ValueError as error:
        if "locked" in str(error):
            raise
        is_current = False  # damaged
    if not is_current:
        publish(store)


def write_scores(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows of the view `scores`; replaces an existing file."""
    write_parquet(pa.Table.from_pylist(rows, schema=SCORES), path)


def _video_rows(store: Path, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    rows = []
    for dataset in datasets:
        about = {"dataset": dataset.name, "labels": dataset.labels}
        for video in dataset.videos:
            facts = read_manifest(store / "faces" / video.faces)
            known = {field.name: facts.get(field.name) for field in VIDEOS}
            rows.append({**known, **asdict(video), **about})
        rows += [{**asdict(video), **about, "failure": video.reason} for video in dataset.failed]
    return rows


def _run_rows(store: Path) -> list[dict[str, Any]]:
    rows = []
    for path in sorted((store / "runs").glob("*.json")):
        run = read_json(path, EVALUATE_AGAIN)
        with names_damage(path, EVALUATE_AGAIN):
            run = {"system": _FIRST_SYSTEM, **run}
            rows += [{**run, "metric": metric, "value": value} for metric, value in sorted(run["scores"].items())]
    return rows


def _files_in(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in parquet_files(folder)]


def _create_view(
    connection: duckdb.DuckDBPyConnection,
    store: Path,
    name: str,
    files: list[Path],
    schema: pa.Schema,
    column: str = "",
) -> None:
    """A view over files by their place in the store: below the variable `store`, or else the current folder.

    `column` is a further column, as in a SELECT.
    """
    columns = f"*, {column}" if column else "*"
    if not files:
        _create_table(connection, "no_rows", [], schema)
        connection.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM no_rows; DROP TABLE no_rows")
        return
    # Without hive_partitioning = false, a folder called `video=107` would become a column.
    listed = ", ".join(literal(path.relative_to(store).as_posix()) for path in files)
    below = f"list_transform([{listed}], lambda file: coalesce(getvariable('store') || '/', '') || file)"
    connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM read_parquet({below}, hive_partitioning = false)")


def _origin_column(synthetic: Mapping[int, bool]) -> str:
    """Whether the model of a row was trained on rendered heads only; NULL for predictions that do not say so."""
    versions = {
        is_synthetic: ", ".join(str(version) for version, of in sorted(synthetic.items()) if of is is_synthetic)
        for is_synthetic in (True, False)
    }
    cases = [f"WHEN model_version IN ({of}) THEN {is_synthetic}" for is_synthetic, of in versions.items() if of]
    return f"CASE {' '.join(cases)} END AS trained_on_synthetic" if cases else "NULL::BOOLEAN AS trained_on_synthetic"


def _systems(facts: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """The system of each model version, as far as it is told."""
    return {of["model_version"]: of["system"] for of in facts if "system" in of}


def _system_column(systems: Mapping[int, str]) -> str:
    cases = [f"WHEN {version} THEN {literal(system)}" for version, system in systems.items() if system != _FIRST_SYSTEM]
    default = literal(_FIRST_SYSTEM)
    return f"CASE model_version {' '.join(cases)} ELSE {default} END AS system" if cases else f"{default} AS system"


def _create_table(
    connection: duckdb.DuckDBPyConnection, name: str, rows: list[dict[str, Any]], schema: pa.Schema
) -> None:
    connection.register("rows_given", pa.Table.from_pylist(rows, schema=schema))
    connection.execute(f"CREATE TABLE {name} AS FROM rows_given")
    connection.unregister("rows_given")

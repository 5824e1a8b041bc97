"""Answers to SQL queries over a store's warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from data.store.shards import write_aside
from data.store.verify import name_damaged_shard

COPY_OPTIONS = {"csv": "FORMAT csv, HEADER", "json": "FORMAT json, ARRAY", "parquet": "FORMAT parquet"}


def warehouse_path(store: Path) -> Path:
    return store / "warehouse.duckdb"


def query(store: Path, sql: str) -> pa.Table:
    """The answer to one SQL query over the store's warehouse.

    Raises:
        ValueError: There is no warehouse, another process has it open for writing, or the query is wrong.
    """
    with _reading(store) as connection:
        return connection.sql(sql).to_arrow_table()


def save_answer(store: Path, sql: str, style: Literal["csv", "json", "parquet"], path: Path) -> None:
    """Writes the answer to one SQL query to a file, and replaces an existing one only when complete.

    Raises:
        ValueError: As for `query`.
        NoRoomError: The disk is full.
    """
    with _reading(store) as connection, write_aside(path) as partial:
        answer = connection.sql(sql)  # noqa: F841  (DuckDB finds it by its name)
        connection.execute(f"COPY (FROM answer) TO {literal(str(partial.resolve()))} ({COPY_OPTIONS[style]})")


@contextmanager
def _reading(store: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    path = warehouse_path(store)
    if not path.is_file():
        raise ValueError(f"{path}: no warehouse yet; run `mtanet ingest` or `mtanet train` first")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute(set_store(store))
            yield connection
    except duckdb.IOException as error:
        if "could not set lock" in str(error).lower():
            raise ValueError(
                f"{path} is locked: another program has it open for writing. Close that program, or open the file "
                f"there with `duckdb -readonly {path}`. {error}"
            ) from error
        name_damaged_shard(store)
        raise ValueError(
            f"{path} or a shard cannot be read; `mtanet doctor --store {store}` names missing and damaged files and "
            f"says what to do. {error}"
        ) from error
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise ValueError(f"the query is wrong: {error}") from error
    except duckdb.Error as error:
        name_damaged_shard(store)
        found = f"the query is wrong, or a shard is damaged (`mtanet doctor --store {store}`)"
        raise ValueError(f"{found}: {error}") from error


def set_store(store: Path) -> str:
    """The statement that tells the views where the store is."""
    return f"SET VARIABLE store = {literal(str(store.resolve()))}"


def literal(text: str) -> str:
    """A string in SQL."""
    return "'" + text.replace("'", "''") + "'"

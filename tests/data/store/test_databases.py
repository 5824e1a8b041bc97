"""A database whose writer was killed is intact: SQLite undoes the half-written change."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from data.store.damage import DamagedError
from data.store.verify import check_database

KILLED_WHILE_WRITING = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("CREATE TABLE numbers (number INTEGER, text TEXT)")
database.execute("BEGIN")
database.executemany("INSERT INTO numbers VALUES (?, ?)", [(n, "x" * 500) for n in range(200)])
database.execute("COMMIT")
database.execute("BEGIN")
database.execute("UPDATE numbers SET text = 'half'")
os._exit(1)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.db"
    subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], check=False)
    assert path.with_name("mlflow.db-journal").stat().st_size > 0
    return path


def test_a_database_whose_writer_was_killed_is_not_damaged(killed: Path) -> None:
    check_database(killed)
    with closing(sqlite3.connect(killed)) as database:
        assert database.execute("SELECT count(*) FROM numbers WHERE text = 'half'").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM numbers").fetchone() == (200,)


def test_a_file_that_is_no_database_is_damaged_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"not a database, but long enough to look like one" * 40)
    before = path.read_bytes()
    with pytest.raises(DamagedError, match=r"mlflow\.db: damaged .*restore it from a copy"):
        check_database(path)
    assert path.read_bytes() == before


def test_a_check_makes_no_database_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(DamagedError):
        check_database(tmp_path / "mlflow.db")
    assert list(tmp_path.iterdir()) == []

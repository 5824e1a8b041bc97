"""Output folders that are complete or do not exist, named by the digest of what made them.

    with write_folder(folder) as partial:          # a folder beside it, renamed when the block ends
        write_parquet(table, partial / "part-00000.parquet")
        write_manifest(partial, {...})             # counts of rows and hashes of files are added

A folder with a manifest is complete: the manifest is written last, and the folder is renamed after that.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.store.access import check_file, says_no_room
from data.store.damage import DamagedError, names_damage, read_json, read_parquet

MANIFEST = "manifest.json"
PARTIAL = ".partial"
ROWS_PER_GROUP = 512
"""Rows that are read together: some 2.5 MB of crops."""


def digest(*parts: object) -> str:
    """16 hexadecimal digits that identify JSON-like parts: the same parts give the same digest on any machine."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content.

    Raises:
        ValueError: It is not a file, or this user may not read it.
        OSError: The disk or the network fails.
    """
    check_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def whole_folders(stage: Path) -> list[Path]:
    """The complete folders of a stage, by name."""
    return [path.parent for path in sorted(stage.glob(f"*/{MANIFEST}")) if path.parent.suffix != PARTIAL]


@contextmanager
def write_folder(folder: Path, *, resume: bool = False) -> Iterator[Path]:
    """Provides a folder to write into, `<folder>.partial`, which is renamed if the block ends without an error.

    With `resume`, files of an earlier, killed writer stay; otherwise the folder starts empty. For one writer at a time:
    see `data.store.access.hold`.

    Raises:
        NoRoomError: The disk is full.
        RuntimeError: The block wrote no manifest.
    """
    partial = folder.with_name(folder.name + PARTIAL)
    with says_no_room(folder):
        if partial.exists() and not resume:
            shutil.rmtree(partial)
        partial.mkdir(parents=True, exist_ok=True)
        yield partial
        if not is_whole(partial):
            raise RuntimeError(f"{partial}: no {MANIFEST} was written, so the folder is incomplete")
        partial.rename(folder)


def write_file(path: Path, content: bytes | str) -> None:
    """Writes a file completely or not at all; an existing one is replaced atomically. For one writer at a time."""
    with write_aside(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_parquet(table: pa.Table, path: Path, *, rows_per_group: int = ROWS_PER_GROUP) -> None:
    """Writes a table completely or not at all, in row groups of this size."""
    with parquet_writer(path, table.schema) as writer:
        writer.write_table(table, row_group_size=rows_per_group)


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A writer for a table that comes in pieces; the file gets its name when the block ends without an error."""
    with (
        write_aside(path) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd", compression_level=1, write_page_checksum=True) as writer,
    ):
        yield writer


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Provides a path to write to; the file gets its final name if the block ends without an error."""
    partial = path.with_name(path.name + PARTIAL)
    with says_no_room(path):
        try:
            yield partial
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes the manifest: the given facts, and the rows, bytes and hash of every Parquet file in the folder."""
    files = {
        path.name: {
            "rows": pq.read_metadata(path).num_rows,
            "bytes": path.stat().st_size,
            "sha256": file_sha256(path),
        }
        for path in sorted(folder.glob("*.parquet"))
    }
    write_file(folder / MANIFEST, json.dumps({**facts, "files": files}, indent=2, sort_keys=True) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The content of the manifest.

    Raises:
        ValueError: The folder is incomplete.
    """
    if not is_whole(folder):
        raise ValueError(f"{folder}: incomplete folder (no {MANIFEST}); delete it and run the stage again")
    return read_json(folder / MANIFEST)


def parquet_files(folder: Path) -> list[Path]:
    """The files listed in the manifest, by name.

    Raises:
        ValueError: The folder is incomplete, or a file has a different size than in the manifest.
    """
    files = []
    manifest = read_manifest(folder)
    with names_damage(folder / MANIFEST):
        sizes = {name: int(facts["bytes"]) for name, facts in sorted(manifest["files"].items())}
    for name, expected in sizes.items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else "none"
        if found != expected:
            raise DamagedError(path, f"expected {expected} bytes as in the manifest, found {found}")
        files.append(path)
    return files


def read_table(files: Sequence[Path], columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of the files, in their order."""
    return pa.concat_tables([read_parquet(path, columns) for path in files])

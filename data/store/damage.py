"""Reading what the store holds: a damaged file is named, with what to do about it.

Parquet pages carry checksums, which are checked wherever they are read; models and manifests carry hashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class DamagedError(ValueError):
    """A file of the store is not what was written."""

    def __init__(self, path: Path, found: object, remedy: str | None = None) -> None:
        remedy = remedy or f"delete the folder {path.parent} and run the command again: it is made anew"
        super().__init__(f"{path}: damaged ({_first_line(found)}); {remedy}")
        self.path = path


def _first_line(found: object) -> str:
    return (str(found) or type(found).__name__).splitlines()[0].removesuffix(".")


_OF_CONTENT = (ValueError, KeyError, TypeError, AttributeError)


@contextmanager
def names_damage(
    path: Path, remedy: str | None = None, *, errors: tuple[type[Exception], ...] = _OF_CONTENT
) -> Iterator[None]:
    """Turns errors about the content of a file, which is read in the block, into one that says what to do.

    Raises:
        DamagedError: The content is not what was written. By default, the folder of the file can be made anew.
        OSError: The disk or the network fails.
    """
    try:
        yield
    except DamagedError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise  # a disk's or network's
        raise DamagedError(path, error, remedy) from error
    except errors as error:
        raise DamagedError(path, error, remedy) from error


def read_json(path: Path, remedy: str | None = None) -> dict[str, Any]:
    """The content of a JSON file.

    Raises:
        DamagedError: It is empty, cut or not JSON.
    """
    with names_damage(path, remedy):
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise TypeError("not a JSON object")
    return content


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Opens a Parquet file for reads in the block; checksums are checked.

    Raises:
        DamagedError: The file is damaged where it was read.
    """
    with names_damage(path, errors=(pa.ArrowException,)), pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield file


def read_parquet(path: Path, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
    """The rows of a Parquet file; checksums are checked.

    Raises:
        DamagedError: The file is damaged where it was read.
    """
    with names_damage(path):
        return pq.read_table(path, columns=columns, filters=filters, partitioning=None, page_checksum_verification=True)

"""Content hashes of files; a file is read again only if it seems to have changed.

A file seems unchanged if its size, its times of change and its inode are the same. They include the time of the last
change of the inode, which nobody can set, so a replaced file with the same name, size and date is noticed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from data.store.access import check_file, hold, place_in
from data.store.damage import DamagedError, read_json
from data.store.shards import digest, file_sha256, write_file

KNOWN_FILES = "files.json"
"""File in the store with the size, times and inode of each input file when it was read, and its hash."""

log = logging.getLogger("mtanet.store")

Looks = list[int]


def look_at(path: Path) -> Looks:
    """Size, times of change of content and inode (ns), and inode of a file.

    Raises:
        ValueError: It is missing, this user may not read it, or it is not a file: reading a pipe would never end.
    """
    with suppress(FileNotFoundError, PermissionError):
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            return _looks(status)
    check_file(path)
    return _looks(path.stat())  # it has come meanwhile


def check_unchanged(path: Path, before: Looks) -> None:
    """Checks, after a file was read, that it is the same as before.

    Raises:
        ValueError: It was changed, replaced or removed in the meantime.
    """
    now = _looks(path.stat()) if path.exists() else None
    if now is None:
        raise ValueError(f"{path}: vanished while it was read; put it back and run the command again")
    if now != before:
        sizes = f"{before[0]} bytes before and {now[0]} now"
        raise ValueError(
            f"{path}: changed while it was read ({sizes}); run the command again once it no longer changes"
        )


def file_hash(path: Path, store: Path) -> str:
    """The sha256 of a file."""
    return file_hashes([path], store)[path]


def file_hashes(paths: Iterable[Path], store: Path) -> dict[Path, str]:
    """The sha256 of each file.

    Raises:
        ValueError: A file is missing, cannot be read, or changed while it was read.
    """
    known, new, hashes = read_notes(store, KNOWN_FILES), {}, {}
    for path in paths:
        looks, name = look_at(path), place_in(store, path.resolve())
        entry = known.get(name)
        if not entry or entry[:-1] != looks:
            entry = new[name] = [*looks, file_sha256(path)]
            check_unchanged(path, looks)
        hashes[path] = str(entry[-1])
    add_notes(store, KNOWN_FILES, new)
    return hashes


def known_hashes(paths: Iterable[Path], store: Path) -> dict[Path, str]:
    """The sha256 of the files that are known and seem unchanged. No file is opened; the others are left out."""
    known, hashes = read_notes(store, KNOWN_FILES), {}
    for path in paths:
        entry = known.get(place_in(store, path.resolve()))
        with suppress(ValueError, OSError):
            if entry and entry[:-1] == look_at(path):
                hashes[path] = str(entry[-1])
    return hashes


def folder_hash(folder: Path, files: Iterable[Path], store: Path) -> str:
    """One sha256 over the names and contents of a folder's files, which can be too many to be listed individually."""
    paths = sorted(files)
    looks = _folder_looks(paths)
    known = _noted_hash(folder, looks, store)
    if known is not None:
        return known
    sha256 = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        sha256.update(f"{path.name} {len(content)}\n".encode() + content)
    add_notes(store, KNOWN_FILES, {place_in(store, folder.resolve()): [looks, sha256.hexdigest()]})
    return sha256.hexdigest()


def known_folder_hash(folder: Path, files: Iterable[Path], store: Path) -> str | None:
    """What `folder_hash` noted, if nothing seems to have changed since; no file is opened."""
    return _noted_hash(folder, _folder_looks(sorted(files)), store)


def _noted_hash(folder: Path, looks: str, store: Path) -> str | None:
    entry = read_notes(store, KNOWN_FILES).get(place_in(store, folder.resolve()))
    return str(entry[1]) if entry and entry[0] == looks else None


def read_notes(store: Path, name: str) -> dict[str, Any]:
    """The notes in a JSON file of the store."""
    path = store / name
    if not path.is_file():
        return {}
    try:
        return read_json(path)
    except DamagedError as error:
        log.warning("%s is damaged and is written anew: %s", path, error)
        return {}


def add_notes(store: Path, name: str, new: Mapping[str, Any]) -> None:
    """Adds notes to a JSON file of the store; notes that other processes add at the same time stay."""
    if not new:
        return
    with hold(store, name, what=name):
        write_file(store / name, json.dumps({**read_notes(store, name), **new}, indent=0, sort_keys=True) + "\n")


def _folder_looks(paths: Iterable[Path]) -> str:
    return digest([(path.name, look_at(path)) for path in paths])


def _looks(status: os.stat_result) -> Looks:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]

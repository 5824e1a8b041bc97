"""Hashes of input files, computed once: a file of the same size and time of change is not read again."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data.shards import digest, file_sha256, write_file

KNOWN_FILES = "files.json"
"""In the store: what each file or folder looked like when it was read, and its hash."""

_lock = threading.Lock()


def file_hashes(paths: Iterable[Path], store: Path) -> dict[Path, str]:
    """The sha256 of each file."""
    known, new, hashes = _read_known(store), {}, {}
    for path in paths:
        status, name = path.stat(), str(path.resolve())
        entry = known.get(name)
        if not entry or entry[:2] != [status.st_size, status.st_mtime_ns]:
            entry = new[name] = [status.st_size, status.st_mtime_ns, file_sha256(path)]
        hashes[path] = str(entry[2])
    _add_known(store, new)
    return hashes


def folder_hash(folder: Path, files: Iterable[Path], store: Path) -> str:
    """One sha256 of the names and contents of some files of a folder, which may be too many to be known one by one."""
    paths = sorted(files)
    stats = [(path.name, path.stat()) for path in paths]
    looks = digest([(name, status.st_size, status.st_mtime_ns) for name, status in stats])
    name = str(folder.resolve())
    entry = _read_known(store).get(name)
    if entry and entry[0] == looks:
        return str(entry[1])
    sha256 = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        sha256.update(f"{path.name} {len(content)}\n".encode() + content)
    _add_known(store, {name: [looks, sha256.hexdigest()]})
    return sha256.hexdigest()


def _read_known(store: Path) -> dict[str, Any]:
    path = store / KNOWN_FILES
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return known


def _add_known(store: Path, new: Mapping[str, Any]) -> None:
    if not new:
        return
    with _lock:
        store.mkdir(parents=True, exist_ok=True)
        content = json.dumps({**_read_known(store), **new}, indent=0, sort_keys=True)
        write_file(store / KNOWN_FILES, content + "\n")

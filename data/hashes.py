"""Hashes of input files, computed once: a file of the same size and time of change is not read again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path

from data.shards import file_sha256, write_file

KNOWN_FILES = "files.json"
"""In the store: size, time of change and hash of each file."""

_lock = threading.Lock()


def file_hashes(paths: Iterable[Path], store: Path) -> dict[Path, str]:
    """The sha256 of each file."""
    known_path = store / KNOWN_FILES
    with _lock:
        known = json.loads(known_path.read_text()) if known_path.is_file() else {}
        hashes, new = {}, {}
        for path in paths:
            status, name = path.stat(), str(path.resolve())
            entry = known.get(name)
            if not entry or entry[:2] != [status.st_size, status.st_mtime_ns]:
                entry = new[name] = [status.st_size, status.st_mtime_ns, file_sha256(path)]
            hashes[path] = str(entry[2])
        if new:
            store.mkdir(parents=True, exist_ok=True)
            write_file(known_path, json.dumps(known | new, indent=0, sort_keys=True) + "\n")
    return hashes

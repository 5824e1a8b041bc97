"""A command that was already run to its end, and for which nothing has changed since, gives its answer again at once.

Every stage finds out by itself what is already done, but for that it needs PyTorch, MLflow and a Prefect server, which
take longer to start than the check itself. So a finished command leaves a note in `store/finished`: its answer, its
warnings, and fingerprints of what it read and of the store. If one of them differs, the command runs as usual.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from data.settings import Settings
from data.store.shards import digest, write_file
from flows.command.terminal import err, out

FINISHED = "finished"
_OF_NO_RESULT = {"prefect", "logs", "locks", FINISHED}
"""Folders of the store that no result depends on."""
_STORE = "\0store"
"""Stands for the store's absolute path in a note."""
_PROJECT = Path(__file__).parent.parent.parent
_PACKAGES = ("data", "flows", "model", "tasks")


def unless_finished(
    store: Path, command: str, settings: Mapping[str, Any], inputs: Sequence[Path | None], work: Callable[[], None]
) -> None:
    """Does the work, which prints its answer; or prints the answer again if nothing has changed since the last time.

    Args:
        store: The folder of all outputs.
        command: The name of the command.
        settings: Everything that the answer depends on besides the inputs and the store.
        inputs: The files and folders that the command reads outside the store.
        work: Does the work and prints the answer on `out`.
    """
    is_team = int(os.environ.get("WORLD_SIZE", "1")) > 1  # of which only the first process prints
    if is_team or os.environ.get("MLFLOW_TRACKING_URI"):  # a server may have changed without a trace in the store
        work()
        return
    # Answers name the store as it was given, an absolute path not literally, because a store may move.
    place = _STORE if store.is_absolute() else str(store)
    has_gpu = Path("/dev/nvidia0").exists()
    code = [path for package in _PACKAGES for path in _files(_PROJECT / package) if path.suffix in (".py", ".toml")]
    plain = {key: _plain(value) for key, value in settings.items()}
    name = f"{command}-{digest(plain, has_gpu, place)}.json"
    before = [_fingerprint(code), *(_fingerprint(_files(path)) for path in inputs if path is not None)]
    note = _read(store / FINISHED / name)
    if note is not None and note["inputs"] == before and note["store"] == _store_fingerprint(store):
        err.print(f"nothing new: neither the inputs nor the store have changed since {note['when']}", markup=False)
        for warning in note["warnings"]:
            err.print(warning.replace(_STORE, str(store)), markup=False)
        out.print(note["answer"].replace(_STORE, str(store)), markup=False, end="")
        return
    with _noted() as (warnings, answer):
        work()
        note = {
            "when": f"{datetime.now():%Y-%m-%d %H:%M}",
            "inputs": before,
            "store": _store_fingerprint(store),
            "warnings": [warning.replace(str(store), place) for warning in warnings],
            "answer": answer().replace(str(store), place),
        }
    (store / FINISHED).mkdir(exist_ok=True)
    write_file(store / FINISHED / name, json.dumps(note, indent=2) + "\n")


def _plain(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, Settings) else value


@contextmanager
def _noted() -> Iterator[tuple[list[str], Callable[[], str]]]:
    """Collects the warnings that are logged and the text that is printed in the block."""
    warnings: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warnings.append(record.getMessage())

    handler, logger = Handler(logging.WARNING), logging.getLogger("mtanet")
    logger.addHandler(handler)
    out.record = True
    try:
        yield warnings, lambda: out.export_text(styles=False)
    finally:
        out.record = False
        logger.removeHandler(handler)


def _read(path: Path) -> dict[str, Any] | None:
    """A note; None if there is none, or it is damaged: then the command runs as usual."""
    try:
        note = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) and {"when", "inputs", "store", "warnings", "answer"} <= note.keys() else None


def _store_fingerprint(store: Path) -> str:
    files = [path for child in sorted(store.iterdir()) if child.name not in _OF_NO_RESULT for path in _files(child)]
    return _fingerprint(files, below=store)


def _files(path: Path) -> Iterator[Path]:
    """The file, or all files in the folder at any depth; links are followed."""
    if not path.is_dir():
        yield path
    for folder, _, names in os.walk(path, followlinks=True):
        yield from (Path(folder) / name for name in names)


def _fingerprint(files: Iterable[Path], *, below: Path | None = None) -> str:
    """Names, sizes and times of change of files; a missing one counts as such."""
    return digest(sorted((str(path.relative_to(below or path.root)), _looks(path)) for path in files))


def _looks(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ino]

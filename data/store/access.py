"""The folder of all outputs: one writer at a time, and clear errors when nothing can be written.

    check_store(store)                                    # before any work
    with hold(store, f"faces-{digest}", what="107.mp4"):  # the second one waits
        if not is_whole(folder):                          # and then finds the work done
            ...

The kernel holds the locks, on files in `store/locks` that stay: they work between threads and processes, and a killed
process releases its own.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_QUIET_S = 0.2
"""Seconds after which a waiting process logs that it waits."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = logging.getLogger("mtanet.store")


class NoRoomError(RuntimeError):
    """The disk or the user's quota is full, so a retry would fail too."""


class StoreError(ValueError):
    """Nothing can be written to the store, whatever it is."""


@contextmanager
def says_no_room(path: Path) -> Iterator[None]:
    """Turns the error of a full disk in the block, which writes below `path`, into one that explains what to do.

    Raises:
        NoRoomError: The disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
        free_mb = shutil.disk_usage(there).free / 1e6
        raise NoRoomError(
            f"{path}: cannot be written ({os.strerror(error.errno)}; {free_mb:.0f} MB free on its disk); make room,"
            " or move the store and name its new place with --store, and run the command again: finished work is kept"
        ) from error


def check_store(store: Path) -> None:
    """Creates the store if it is missing, and checks that it can be written to.

    Raises:
        StoreError: It cannot be written to.
        NoRoomError: The disk is full.
    """
    try:
        with says_no_room(store):
            store.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=store) as probe:
                probe.write(b"can this be written?")
    except OSError as error:
        reason = "it is a file" if store.is_file() else os.strerror(error.errno or 0)
        raise StoreError(
            f"the store {store} cannot be written to: {reason}; make it writable for you, or choose another with"
            " --store"
        ) from error


def place_in(store: Path, path: Path) -> str:
    """The path from the store's folder on if it lies inside, so that the store may move; else the absolute path."""
    real, inside = path.resolve(), store.resolve()
    return real.relative_to(inside).as_posix() if real.is_relative_to(inside) else os.path.abspath(path)  # noqa: PTH100


@contextmanager
def hold(store: Path, name: str, *, what: str) -> Iterator[None]:
    """Holds this name in this store exclusively, across threads and processes, while the block runs. Not re-entrant.

    Args:
        store: The store's folder; created if missing.
        name: What is written: a folder or a kind of files.
        what: The same in words, for the log of a process that waits.
    """
    path = store / "locks" / f"{name}.lock"
    with says_no_room(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=_QUIET_S)
        except Timeout:
            log.info("waiting for another run that is working on %s in the store %s", what, store)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_file(path: Path, what: str = "file") -> None:
    """Checks that a file or folder exists and can be read.

    Raises:
        ValueError: It is missing, of another kind, such as a pipe, or this user may not read it.
        OSError: The disk or the network fails.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
            return
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{path}: expected a {what}, found none; put it back and run the command again") from error
    except PermissionError as error:
        raise ValueError(f"{path}: expected a {what}, found no permission to read it; grant it with chmod") from error
    kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
    raise ValueError(f"{path}: expected a {what}, found {kind}; remove it")

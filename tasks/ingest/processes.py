"""Processes that extract videos on a GPU, one video each.

In one process, the threads of several videos wait for each other's Python: on an H200, seven videos took 2.2 times as
long as in seven processes. Starting a process takes ten seconds, so short videos do without.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from data.extraction.extract import extract_video

LONG_FRAMES = 2000
"""A video of so many frames is worth a process."""
PROCESS_BYTES = 1_300_000_000
"""Memory of a process besides its frames."""


class Processes:
    """Processes that wait for videos. They are started when needed, and end with the block or with this process."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()

    def extract(self, video: Path, store: Path, *arguments: Any, progress: Callable[[int], None], **named: Any) -> Path:
        """`extract_video` in a process of its own; logs and progress are reported from the calling thread.

        Raises:
            ChildProcessError: The process has died.
        """
        with self._process() as process:
            return process.extract((video, store, *arguments), named, progress)

    @contextmanager
    def _process(self) -> Iterator[_Process]:
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            process = _Process()
        try:
            yield process
        finally:
            if process.is_alive():
                self._idle.put(process)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        while not self._idle.empty():
            self._idle.get().end()


class _Process:
    def __init__(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), name="extraction", daemon=True)
        self._process.start()
        theirs.close()

    def extract(self, arguments: tuple[Any, ...], named: dict[str, Any], progress: Callable[[int], None]) -> Path:
        try:
            self._pipe.send((arguments, named))
            while True:
                match self._pipe.recv():
                    case int() as num_frames:
                        progress(num_frames)
                    case logging.LogRecord() as record:
                        logging.getLogger(record.name).handle(record)
                    case Exception() as error:
                        raise error
                    case Path() as folder:
                        return folder
        except (EOFError, BrokenPipeError):
            self._process.join()
            raise ChildProcessError(
                f"the process that extracted it ended with exit code {self._process.exitcode}; if it does again, "
                "decode it with PyAV (ingest.decoder) or remove it"
            ) from None

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def end(self) -> None:
        self._pipe.close()  # which ends it
        self._process.join()


def _serve(pipe: Connection) -> None:
    """Extracts the videos that come through the pipe, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the first process decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sending = threading.Lock()  # progress and logs come from several threads

    def send(message: object) -> None:
        with sending:
            pipe.send(message)

    logger = logging.getLogger("mtanet")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(_Sender(send))
    while True:
        try:
            arguments, named = pipe.recv()
        except EOFError:
            return
        try:
            send(extract_video(*arguments, progress=send, **named))
        except Exception as error:  # of any kind: the caller handles it
            send(_portable(error))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None, "this process has been spawned"
    parent.join()
    os._exit(1)


class _Sender(QueueHandler):
    """Sends records to the caller, formatted, since their arguments may not fit through a pipe."""

    def __init__(self, send: Callable[[object], None]) -> None:
        super().__init__(queue.SimpleQueue())
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        self._send(record)


def _portable(error: Exception) -> Exception:
    """The error, or its message, if it does not survive a pipe."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # of any kind: classes of libraries pickle as they like
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error if str(copy) == str(error) else RuntimeError(f"{type(error).__name__}: {error}")

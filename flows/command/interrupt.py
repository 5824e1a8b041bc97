"""Ends a command on Ctrl-C, SIGTERM or SIGHUP: one sentence, no process left, exit code 128 + signal, within seconds.

The first signal raises `KeyboardInterrupt` in the main thread, so that runs are marked as crashed. Whatever still runs
`GRACE_S` later is killed: everything in the store is written completely or not at all, so nothing needs more time. A
second Ctrl-C ends the command at once.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn

GRACE_S = 2.0
"""Seconds that the main thread has to end by itself."""
_TO_END_S = 0.3
"""Seconds that child processes have to end by themselves after that."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_sentence = "Interrupted: finished work is kept. Run the same command again to resume"
_lock = threading.Lock()
_received: signal.Signals | None = None
_is_said = False


def listen() -> None:
    """Handles the signals from now on. To be called once, by the main thread, before anything else."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    # A long call into a library delays Python's own handlers, but not the bytes that are written here.
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in _ENDING:
        signal.signal(number, _interrupt)
    threading.Thread(target=_watch, args=(reader, writer), name="signals", daemon=True).start()


def say_instead(sentence: str) -> None:
    """What to say when this command is interrupted."""
    global _sentence
    _sentence = sentence


def is_interrupted() -> bool:
    return _received is not None


def end() -> NoReturn:
    """Says how to resume, ends all child processes and then this one. Nothing else runs after it."""
    assert _received is not None, "only a signal ends a command this way"
    _say_once()
    import psutil  # here, because it would delay the start of every command

    with _lock:
        children = psutil.Process().children(recursive=True)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.terminate()
        _, alive = psutil.wait_procs(children, timeout=_TO_END_S)
        for child in alive:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        os._exit(128 + _received)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    global _received
    if _received is None:
        _received = signal.Signals(number)
        raise KeyboardInterrupt


def _watch(reader: socket.socket, _writer: socket.socket) -> None:
    global _received
    is_first = True
    while number := reader.recv(1)[0]:
        if number not in _ENDING:
            continue
        if is_first:
            is_first = False
            _received = _received or signal.Signals(number)
            timer = threading.Timer(GRACE_S, end)
            timer.daemon = True
            timer.start()
            _say_once()
        elif number == signal.SIGINT:
            end()


def _say_once() -> None:
    """Says how to resume, then silences the command: what libraries say while they are torn down helps nobody."""
    global _is_said
    with _lock:
        if _is_said:
            return
        _is_said = True
    logging.disable(logging.CRITICAL)
    if os.environ.get("RANK", "0") == "0":  # one of the processes that torchrun starts speaks for all
        # On a terminal, over the line with the progress bar, which may have hidden the cursor.
        begin, close = ("\r\x1b[2K", "\x1b[?25h") if sys.stderr.isatty() else ("", "")
        said = f"{begin}{_sentence}{close}\n"
        os.write(2, said.encode())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)

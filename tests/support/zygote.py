"""Processes that extract a video, started in no time: forked from one that has imported all it takes.

That one has never used DALI or a PyTorch thread, which would not survive the fork. A process of its own it is, so that
its children are nobody else's; each can be stopped, killed, and asked what it did.

    with Zygote() as zygote:
        child = zygote.start(video, store, stop_after=16)
        child.until("stopped")
        os.kill(child.pid, signal.SIGKILL)
        assert zygote.wait(child) == -signal.SIGKILL
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

PART_FRAMES = 8


@dataclass(frozen=True)
class Child:
    pid: int
    log: Path
    """What it said: lines of `<number> frames`, `stopped`, its log, and the error it ended with."""

    def said(self) -> str:
        return self.log.read_text() if self.log.is_file() else ""

    def num_frames(self) -> int:
        """So many were counted as done, those found done among them."""
        return sum(int(line.split()[0]) for line in self.said().splitlines() if line.endswith(" frames"))

    def until(self, words: str) -> None:
        end_s = time.monotonic() + 60
        while words not in self.said():
            assert time.monotonic() < end_s, self.said()
            time.sleep(0.005)


class Zygote:
    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory()
        self._num_started = 0
        self._running: set[int] = set()
        environment = {**os.environ, "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'tests'}", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._running:  # those that a failed test left stopped
            os.kill(pid, signal.SIGKILL)
        self._process.communicate()
        self._folder.cleanup()

    def start(self, *videos: Path, store: Path, stop_after: int | None = None, limit_bytes: int | None = None) -> Child:
        """A process that extracts the videos, each with its stem as its only track.

        Args:
            store: Where to.
            stop_after: When so many frames are done, it stops as by SIGSTOP.
            limit_bytes: No file can be longer: writing more fails as on a full disk.
        """
        self._num_started += 1
        log = Path(self._folder.name) / f"{self._num_started}.log"
        orders = {"videos": [str(video) for video in videos], "store": str(store), "log": str(log)}
        child = Child(self._ask({**orders, "stop_after": stop_after, "limit_bytes": limit_bytes}), log)
        self._running.add(child.pid)
        return child

    def wait(self, child: Child) -> int:
        """Its exit code when it has ended; that of a killed one is negative."""
        self._running.remove(child.pid)
        return self._ask({"wait": child.pid})

    def _ask(self, orders: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _serve() -> None:
    import torch

    from data.extraction import detections
    from support.extraction import extract

    torch.set_num_threads(1)
    detections.PART_FRAMES = PART_FRAMES
    for line in sys.stdin:
        orders = json.loads(line)
        if "wait" in orders:
            answer = os.waitstatus_to_exitcode(os.waitpid(orders["wait"], 0)[1])
        elif not (answer := os.fork()):
            os._exit(_extract(extract, orders))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _extract(extract: Any, orders: dict[str, Any]) -> int:
    log, num_frames = Path(orders["log"]), 0

    def say(what: object) -> None:
        with log.open("a") as file:
            file.write(f"{what}\n")

    def progress(frames: int) -> None:
        nonlocal num_frames
        num_frames += frames
        say(f"{frames} frames")
        if orders["stop_after"] and num_frames >= orders["stop_after"]:
            orders["stop_after"] = None
            say("stopped")
            os.kill(os.getpid(), signal.SIGSTOP)

    logging.basicConfig(filename=log, level=logging.INFO, format="%(message)s")
    if orders["limit_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (orders["limit_bytes"],) * 2)
    try:
        for video in map(Path, orders["videos"]):
            extract(video, Path(orders["store"]), [video.stem], progress=progress)
    except Exception as error:
        say(f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    _serve()

"""Progress of a stage: a bar in the terminal, or else lines in the log. In a flow run, also a progress artifact."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from data.text import counted, lasting

LOG_EVERY_S = 15.0
ARTIFACT_EVERY_S = 15.0
"""Updates are this rare because each is a call to the server."""

LEFT_AFTER_S = 10.0
"""Before that, the time left is a bad guess."""

log = logging.getLogger("mtanet.progress")
_terminal: Progress | None = None


@contextmanager
def bars_in_terminal(console: Console) -> Iterator[None]:
    """Stages draw their bars on the console while the block runs."""
    global _terminal
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True) as _terminal:
        try:
            yield
        finally:
            _terminal = None


class Stage:
    """A running stage; its unit is a plural. Its methods may be called from any thread."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = self.frames = self.skipped = 0
        self._note = ""
        self._lock = threading.Lock()
        self._start_s = self._logged_s = self._sent_s = time.monotonic()
        self._artifact = _create_artifact(name, counted(total, unit))
        self._bar = _terminal.add_task(name, total=total, note="", left="") if _terminal else None

    def advance(self, done: int = 1, *, note: str | None = None) -> None:
        """Adds to the number of units done."""
        self.set(self.done + done, note=note)

    def skip(self, done: int) -> None:
        """Adds units that were done before, which say nothing about the time that the others take."""
        self.skipped += done
        self.advance(done)

    def set(self, done: int, total: int | None = None, *, note: str | None = None) -> None:
        """Sets the number of units done, and optionally their total."""
        with self._lock:
            self.done, self.total = done, total if total is not None else self.total
            self._note = note if note is not None else self._note
            self._show()

    def count(self, frames: int) -> None:
        """Adds to the number of frames, which is shown with the rate."""
        with self._lock:
            self.frames += frames
            elapsed_s = max(time.monotonic() - self._start_s, 1e-3)
            self._note = f"{counted(self.frames, 'frames')}, {self.frames / elapsed_s:.0f}/s"
            self._show()

    def say(self, message: str, *arguments: object) -> None:
        """Logs a message about the stage, and postpones the next progress line."""
        self._logged_s = time.monotonic()
        log.info(message, *arguments)

    def _show(self) -> None:
        now_s = time.monotonic()
        if _terminal is not None and self._bar is not None:
            left = self._left()
            _terminal.update(self._bar, completed=self.done, total=self.total, note=self._note, left=left)
        if _terminal is None and now_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now_s
            log.info("%s: %s", self.name, self._state())
        if self._artifact is not None and now_s - self._sent_s >= ARTIFACT_EVERY_S:
            self._sent_s = now_s
            self._send()

    def _send(self) -> None:
        if self._artifact is not None:
            progress = 100 * self.done / max(self.total, 1)
            update_progress_artifact(self._artifact, progress=progress, description=self._state())

    def _state(self) -> str:
        """Such as `12 of 30 videos, 2123 frames, 141/s, about 3 min left`."""
        parts = [f"{self.done} of {counted(self.total, self.unit)}", self._note, self._left()]
        return ", ".join(part for part in parts if part)

    def _left(self) -> str:
        """The time left, as far as the units done so far tell it."""
        elapsed_s = time.monotonic() - self._start_s
        done = self.done - self.skipped
        if done <= 0 or self.done >= self.total or elapsed_s < LEFT_AFTER_S:
            return ""
        return f"about {lasting(elapsed_s * (self.total - self.done) / done)} left"

    def __str__(self) -> str:
        note = f", {self._note}" if self._note else ""
        return f"{self.name}: {counted(self.done, self.unit)} in {time.monotonic() - self._start_s:.0f} s{note}"

    def close(self) -> None:
        self._send()
        if _terminal is not None and self._bar is not None:
            _terminal.remove_task(self._bar)


@contextmanager
def stage(name: str, total: int, unit: str, *, counts_frames: bool = False) -> Iterator[Stage]:
    """Shows the progress of a stage while the block runs, and logs a summary at its end.

    If a stage with `counts_frames` counted no frames, the summary says that everything was already done.
    """
    shown = Stage(name, total, unit)
    try:
        yield shown
    finally:
        shown.close()
    if counts_frames and shown.frames == 0 and shown.skipped < shown.done:
        log.info("%s: %s made anew from what was found before", name, counted(shown.done - shown.skipped, unit))
    elif counts_frames and shown.frames == 0:
        log.info("%s: nothing new, %s already done", name, counted(shown.done, unit))
    else:
        log.info("%s", shown)


def show_text(text: str, *, key: str, description: str) -> None:
    """Puts a text in Markdown on the page of the flow run, if there is one."""
    if FlowRunContext.get() is not None or TaskRunContext.get() is not None:
        create_markdown_artifact(text, key=key, description=description)


def _create_artifact(name: str, description: str) -> UUID | None:
    if FlowRunContext.get() is None and TaskRunContext.get() is None:
        return None
    artifact = create_progress_artifact(0.0, key=f"{name.replace(' ', '-')}-progress", description=description)
    return artifact if isinstance(artifact, UUID) else None

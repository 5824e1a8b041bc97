"""Waits for something that another process does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable


def wait_until(
    reached: Callable[[], bool],
    process: subprocess.Popen[str] | None = None,
    said: Callable[[], str] = str,
    at_most_s: float = 240.0,
) -> None:
    """Fails with what was `said` if the process ends before, or after so long a time."""
    end_s = time.monotonic() + at_most_s
    while not reached():
        assert process is None or process.poll() is None, said()
        assert time.monotonic() < end_s, said()
        time.sleep(0.002)

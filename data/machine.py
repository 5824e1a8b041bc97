"""Cores and memory that this machine, or the container on it, has left for a program, as Linux reports them."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

Device = Literal["cpu", "gpu"]
"""Where pixels and networks are worked on."""
DeviceChoice = Literal["auto", "cpu", "gpu"]
"""`auto` takes a GPU where there is one."""


def num_cores() -> int:
    """The number of cores that this process may use, which can be fewer than the machine has."""
    count: Callable[[], int | None] | None = getattr(os, "process_cpu_count", None)  # from Python 3.13 on
    return (count and count()) or len(os.sched_getaffinity(0))


def free_memory_bytes(system: Path = Path("/")) -> int:
    """Memory that programs may still take from the machine or the container; unlimited if Linux does not report it."""
    free_bytes = sys.maxsize
    meminfo = system / "proc/meminfo"
    if meminfo.is_file():
        facts = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free_bytes = int(facts["MemAvailable"].removesuffix("kB")) * 1024
    cgroup = system / "sys/fs/cgroup"
    limit = cgroup / "memory.max"
    if limit.is_file() and (most := limit.read_text().strip()) != "max":
        free_bytes = min(free_bytes, max(0, int(most) - _used_bytes(cgroup)))
    return free_bytes


def _used_bytes(cgroup: Path) -> int:
    """Memory that a container uses and cannot give back. Cached files are not counted: Linux drops them when needed."""
    current, stat = cgroup / "memory.current", cgroup / "memory.stat"
    if not (current.is_file() and stat.is_file()):
        return 0
    facts = dict(line.split() for line in stat.read_text().splitlines())
    cached_bytes = sum(int(facts.get(name, 0)) for name in ("active_file", "inactive_file"))
    return max(0, int(current.read_text()) - cached_bytes)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Their numbers in glibc's malloc.h."""
_KEPT_BYTES = 256 << 20
_LARGEST_KEPT_BYTES = 128 << 20


def keep_freed_memory() -> None:
    """Makes this process keep freed memory and use it again, instead of returning it to the system.

    Frames and the detector's buffers are some megabytes that live for milliseconds. Taking them from the system each
    time clears every page, which costs up to a quarter of the time for decoding and searching. The memory kept is
    bounded.
    """
    malloc_options = ctypes.CDLL(None).mallopt
    malloc_options(_TRIM_THRESHOLD, _KEPT_BYTES)
    malloc_options(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)

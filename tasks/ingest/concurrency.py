"""How many videos are read in parallel, and with how many threads each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Literal

from data.machine import Device
from data.video.nvdec import free_gpu_bytes, num_engines
from tasks.progress import log

LIBRARIES_BYTES = 600_000_000
"""Memory of the process besides its frames: PyTorch, DALI, the detector."""
_GPU_BYTES = 3_000_000_000
"""Memory of a GPU for each video: libraries, frames, the detector (2.9 GB of an H200 at 1280 x 720 px)."""


def videos_at_once(workers: int, num_videos: int, device: Device, decoder: Literal["auto", "pyav", "dali"]) -> int:
    """Number of videos in parallel: `workers`, but no more than there are videos or, if a GPU may decode, NVDEC
    engines, nor than fit its memory.

    More would only wait for the engines while holding GPU memory.
    """
    most = num_engines() if device == "gpu" and decoder != "pyav" else workers
    if device == "gpu":
        most = min(most, free_gpu_bytes() // _GPU_BYTES)
    return max(1, min(workers, num_videos, most))


class Places:
    """Tracks which videos are being processed. Thread-safe.

    Videos that turn out to be done leave at once, so the others share the cores.
    """

    def __init__(self, *, free_bytes: int, cores: int) -> None:
        self._free_bytes, self._cores = free_bytes - LIBRARIES_BYTES, cores
        self._taken_bytes = self._num_begun = self._num_taken = 0
        self._change = Condition()

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Holds a video's share of the cores while the block runs."""
        with self._change:
            self._num_begun += 1
        try:
            yield
        finally:
            with self._change:
                self._num_begun -= 1

    @contextmanager
    def place(self, name: str, num_bytes: int) -> Iterator[int]:
        """Holds memory for a video's frames while the block runs; waits until enough is free, or no other video holds
        any.

        Yields the number of threads to use.
        """
        with self._change:
            if not self._fits(num_bytes):
                log.info("%s waits for %.1f GB of memory that other videos use", name, num_bytes / 1e9)
            self._num_begun -= 1  # a waiting video needs no cores
            self._change.wait_for(lambda: self._fits(num_bytes))
            self._num_begun += 1
            self._num_taken += 1
            self._taken_bytes += num_bytes
            threads = max(1, self._cores // self._num_begun)
        try:
            yield threads
        finally:
            with self._change:
                self._num_taken -= 1
                self._taken_bytes -= num_bytes
                self._change.notify_all()

    def _fits(self, num_bytes: int) -> bool:
        return self._num_taken == 0 or self._taken_bytes + num_bytes <= self._free_bytes

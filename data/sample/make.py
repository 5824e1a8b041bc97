"""Renders the whole sample in spawned processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for_connection
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import torch

from data.sample.film import film_clip
from data.sample.head import find_head_data
from data.sample.plan import PLENTY, Cast, ClipPlan, Scarcity, plan_clip


def make_sample(
    out: Path,
    *,
    clips: int,
    seconds: float,
    seed: int,
    workers: int,
    cast: Cast = Cast.DEMO,
    scarcity: Scarcity = PLENTY,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fills the empty folder `out` with synthetic videos and annotations in the layout of Aff-Wild2, edition 2020.

    Writes `videos/batch1/<video>.mp4`, `annotations/{VA,EXPR,AU}_Set/{Training,Validation}_Set/<track>.txt` and
    `truth/<track>.csv` (see `annotations.write_truth`), for bystanders too. The same clips, seconds, seed and cast give
    the same annotations and, on one machine, the same videos byte for byte, whatever `workers` is. `scarcity` removes
    some labels and does not change the videos. `progress` receives the numbers of frames done and of all frames.

    Raises:
        ModuleNotFoundError: The package with the head's data (extra `sample`) is not installed.
        ValueError: A different version is installed, a number is too small, or `out` is not empty.
    """
    find_head_data()
    if clips < 1 or seconds <= 0 or workers < 1:
        raise ValueError(f"clips, seconds and workers must be positive, got {clips}, {seconds} and {workers}")
    if any(out.iterdir()):
        raise ValueError(f"{out}: not empty; the sample needs an empty folder")
    plans = [plan_clip(index, seconds=seconds, seed=seed, cast=cast, scarcity=scarcity) for index in range(clips)]
    num_frames = sum(plan.num_frames for plan in plans)
    done_frames = 0
    for newly_done in _film_all(plans, out, min(workers, clips)):
        done_frames += newly_done
        if progress is not None:
            progress(done_frames, num_frames)


def _film_all(plans: list[ClipPlan], out: Path, workers: int) -> Iterator[int]:
    """Films the clips in worker processes; repeatedly yields the number of frames done since the last time."""
    context = multiprocessing.get_context("spawn")
    ticks: SimpleQueue[int] = context.SimpleQueue()
    with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(ticks,)) as pool:
        try:
            with _ctrl_c_blocked():
                pending = {pool.submit(_film_clip, plan, out) for plan in plans}
            while pending:
                finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for clip in finished:
                    clip.result()
                newly_done = 0
                while not ticks.empty():
                    newly_done += ticks.get()
                yield newly_done
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Processes that start in the block never get a terminal's Ctrl-C: the parent handles it and ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_ticks: SimpleQueue[int]


def _start_worker(ticks: SimpleQueue[int]) -> None:
    global _ticks
    _ticks = ticks
    torch.set_num_threads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """Otherwise the workers of a killed run would keep writing into the next run's folder."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for_connection([parent.sentinel])
    os._exit(1)


def _film_clip(plan: ClipPlan, out: Path) -> None:
    film_clip(plan, out, on_frame=lambda: _ticks.put(1))

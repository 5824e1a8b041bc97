from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from data.extraction.detections import memory_bytes
from tasks.ingest.concurrency import LIBRARIES_BYTES, Places, videos_at_once


@pytest.mark.parametrize(
    ("size_px", "detect_every", "expected_mb"),
    [((1280, 720), 1, 484), ((3840, 2160), 1, 348), ((3840, 2160), 25, 4355), ((15360, 8640), 1, 2787)],
)
def test_a_video_takes_memory_by_the_size_of_its_frames_and_how_many_are_held(
    size_px: tuple[int, int], detect_every: int, expected_mb: int
) -> None:
    assert round(memory_bytes(*size_px, at_least=detect_every) / 1e6) == expected_mb


@pytest.mark.parametrize(
    ("workers", "num_videos", "device", "decoder", "expected"),
    [
        (8, 500, "cpu", "auto", 8),
        (8, 3, "cpu", "auto", 3),
        (8, 0, "cpu", "auto", 1),
        (16, 500, "gpu", "auto", 4),
        (16, 500, "gpu", "dali", 4),
        (16, 500, "gpu", "pyav", 16),
        (2, 500, "gpu", "auto", 2),
    ],
)
def test_a_gpu_decodes_no_more_videos_at_once_than_it_is_good_at(
    workers: int, num_videos: int, device: Any, decoder: Any, expected: int
) -> None:
    assert videos_at_once(workers, num_videos, device, decoder) == expected


def test_cores_are_shared_by_the_videos_that_are_begun() -> None:
    places = Places(free_bytes=10**10, cores=8)
    with places.begun(), places.place("alone", 1) as threads:
        assert threads == 8
    with ExitStack() as others:
        for _ in range(3):
            others.enter_context(places.begun())
        with places.begun(), places.place("one of four", 1) as threads:
            assert threads == 2
    with ExitStack() as others:
        for _ in range(20):
            others.enter_context(places.begun())
        with places.begun(), places.place("one of many", 1) as threads:
            assert threads == 1


def test_a_video_waits_until_there_is_memory_for_it_and_one_is_always_at_work() -> None:
    places = Places(free_bytes=LIBRARIES_BYTES + 10, cores=4)
    got: list[int] = []

    def work() -> None:
        with places.begun(), places.place("second", 6) as threads:
            got.append(threads)

    thread = threading.Thread(target=work)
    with places.begun(), places.place("first", 99):
        thread.start()
        time.sleep(0.2)
        assert got == []
        with places.begun(), pytest.raises(OSError, match="gone"):
            raise OSError("gone")
    thread.join(timeout=10)
    assert got == [4], "the first one has ended, and who waited does not share"
    with places.begun(), places.place("third", 6), places.begun(), places.place("fourth", 4) as threads:
        assert threads == 2

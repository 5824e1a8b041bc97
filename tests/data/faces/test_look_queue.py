from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from data.faces.detector import FaceDetector, Look, look_together
from data.faces.look_queue import LookQueue
from data.testing.drawn import with_face


def test_callers_that_wait_with_the_same_key_are_served_together_and_get_their_own_results() -> None:
    calls: list[tuple[list[int], str]] = []
    is_busy, may_go_on = threading.Event(), threading.Event()

    def work(items: Sequence[int], key: str) -> list[int]:
        calls.append((sorted(items), key))
        is_busy.set()
        may_go_on.wait(10)
        return [10 * item for item in items]

    looks = LookQueue(work, most=4)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(looks, [0], "a")
        is_busy.wait(10)
        others = [pool.submit(looks, items, key) for items, key in (([1, 2], "a"), ([3], "b"), ([4, 5], "a"))]
        while looks._requests.qsize() < 3:
            threading.Event().wait(0.001)
        may_go_on.set()
        assert [future.result(10) for future in (first, *others)] == [[0], [10, 20], [30], [40, 50]]
    assert calls == [([0], "a"), ([1, 2, 4, 5], "a"), ([3], "b")]


def test_a_call_has_no_more_items_than_are_allowed_unless_one_caller_brings_them() -> None:
    looks: LookQueue[int, int, str] = LookQueue(lambda items, _: [len(items)] * len(items), most=2)
    assert looks([1, 2, 3], "a") == [3, 3, 3]


def test_an_error_goes_to_the_callers_and_the_queue_goes_on() -> None:
    def work(items: Sequence[int], key: str) -> list[int]:
        if key == "bad":
            raise ValueError("no memory left")
        return list(items)

    looks = LookQueue(work, most=2)
    with pytest.raises(ValueError, match="no memory left"):
        looks([1], "bad")
    assert looks([1], "good") == [1]


@pytest.mark.parametrize("num_frames", [1, 3])
def test_frames_in_a_padded_batch_have_the_faces_that_each_has_alone(num_frames: int) -> None:
    grey = np.full((192, 320, 3), 90, np.uint8)
    frames = [
        torch.from_numpy(with_face(grey, middle_xy=(100 + 50 * number, 100), height_px=100))
        for number in range(num_frames)
    ]
    detector = FaceDetector(device="cpu", min_score=0.7, detection_size=320)
    for frame_HWC, found in zip(frames, look_together(frames, Look("cpu", 192, 320, 320, True, 0.7)), strict=True):
        (alone,) = detector.look([frame_HWC], 320)
        assert len(found.scores_F) == 1
        np.testing.assert_allclose(found.boxes_F4, alone.boxes_F4, atol=0.05)
        np.testing.assert_allclose(found.landmarks_F52, alone.landmarks_F52, atol=0.05)

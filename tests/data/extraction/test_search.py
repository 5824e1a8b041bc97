from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from support.clips import one_person

from data.extraction.interpolation import agreement, confirmed, faces_between, pairs
from data.extraction.search import Seen, search_frames
from data.extraction.settings import Search
from data.faces.detector import LARGEST_OVERLAP, NO_FACES, FaceDetector, Faces, overlaps
from data.video.frames import Chunk

WINDOW = 8
PART = 16


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(device="cpu", min_score=0.7, detection_size=320)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield pool


def config(every: int = 1, *, adaptive: bool = False) -> Search:
    return Search(detection_size=320, detect_every=every, adaptive_size=adaptive)


def chunks(frames: Sequence[np.ndarray], undecoded: frozenset[int] = frozenset(), start: int = 0) -> Iterator[Chunk]:
    for first in range(start, len(frames), WINDOW):
        some = frames[first : first + WINDOW]
        indices = range(first, first + len(some))
        yield Chunk(tuple(map(torch.from_numpy, some)), indices, (None,) * len(some), 0, undecoded & set(indices))


def searched(
    frames: Sequence[np.ndarray], search: Search, detector: FaceDetector, pool: ThreadPoolExecutor, **options: object
) -> list[Seen]:
    found = search_frames(chunks(frames, **options), detector, search, part_frames=PART, pool=pool)  # type: ignore[arg-type]
    return [seen for _, of_chunk in found for seen in of_chunk]


def statuses(seen: Sequence[Seen]) -> str:
    """A letter a frame: o, n, i or d."""
    return "".join(of_frame.status.value[0] for of_frame in seen)


def moved(shift_px: int) -> np.ndarray:
    """One person, so many px to the right."""
    frame: np.ndarray = np.roll(one_person(), shift_px, axis=1)
    return frame


def nobody() -> np.ndarray:
    return np.full_like(one_person(), 90)


def far_px(one: Faces, other: Faces) -> float:
    return float(np.linalg.norm(one.landmarks_F52 - other.landmarks_F52, axis=2).max())


def test_between_agreeing_frames_faces_are_near_those_of_a_search(
    detector: FaceDetector, pool: ThreadPoolExecutor
) -> None:
    frames = [moved(number) for number in range(20)]
    exact = searched(frames, config(), detector, pool)
    found = searched(frames, config(4), detector, pool)
    assert statuses(exact) == "o" * 20
    #                           |window|window|part|
    assert statuses(found) == "oiioiiio" + "iiioiiio" + "oiio"
    for one, other in zip(exact, found, strict=True):
        assert far_px(one.faces, other.faces) < 2.5
        assert other.faces.boxes_F4 == pytest.approx(one.faces.boxes_F4, abs=4)
    assert found[5].faces.scores_F == pytest.approx(
        found[3].faces.scores_F + (found[7].faces.scores_F - found[3].faces.scores_F) / 2
    )


def test_frames_in_which_a_face_leaps_comes_or_goes_are_searched(
    detector: FaceDetector, pool: ThreadPoolExecutor
) -> None:
    leap = [moved(0)] * 2 + [moved(60)] * 6
    comes = [nobody()] * 5 + [moved(0)] * 3
    goes = comes[::-1]
    for frames, expected in ((leap, "ooooiiio"), (comes, "nnnnnoio"), (goes, "ooonnnnn")):
        found = searched(frames, config(4), detector, pool)
        exact = searched(frames, config(), detector, pool)
        assert statuses(found) == expected
        assert [len(seen.faces.scores_F) for seen in found] == [len(seen.faces.scores_F) for seen in exact]
        assert (
            max(
                far_px(one.faces, other.faces)
                for one, other in zip(exact, found, strict=True)
                if len(one.faces.scores_F)
            )
            < 1
        )


def test_around_a_frame_that_did_not_decode_every_frame_is_searched(
    detector: FaceDetector, pool: ThreadPoolExecutor
) -> None:
    frames = [moved(0)] * 16
    frames[5] = frames[7] = np.zeros_like(frames[0])
    found = searched(frames, config(4), detector, pool, undecoded=frozenset({5, 7}))
    assert statuses(found) == "ooooodod" + "oiioiiio"


def test_each_part_is_searched_as_if_it_were_a_video(detector: FaceDetector, pool: ThreadPoolExecutor) -> None:
    frames = [moved(number) for number in range(24)]
    whole = searched(frames, config(4, adaptive=True), detector, pool)
    again = searched(frames, config(4, adaptive=True), detector, pool, start=PART)
    for one, other in zip(whole[PART:], again, strict=True):
        assert one.status == other.status
        assert one.faces.landmarks_F52.tobytes() == other.faces.landmarks_F52.tobytes()


SMALLER_PX = 140


def near_and_far() -> tuple[np.ndarray, np.ndarray]:
    """A large face alone; and the same with a small one beside it, which only a full look finds."""
    alone = np.ascontiguousarray(one_person()[120:300, 70:250])
    both = alone.copy()
    both[:45, :45] = alone[::4, ::4]
    return alone, both


def test_large_faces_are_looked_at_at_a_smaller_size(detector: FaceDetector, pool: ThreadPoolExecutor) -> None:
    alone, both = near_and_far()
    (full,), (small,) = (detector.look([torch.from_numpy(alone)], px) for px in (320, SMALLER_PX))
    assert far_px(full, small) > 0.1
    found = searched([alone] * WINDOW, config(adaptive=True), detector, pool)
    assert max(far_px(seen.faces, small) for seen in found) < 0.1
    found = searched([both] * WINDOW, config(adaptive=True), detector, pool)
    assert [len(seen.faces.scores_F) for seen in found] == [2] * WINDOW
    assert min(far_px(full, Faces(*(values[:1] for values in vars(seen.faces).values()))) for seen in found) < 0.1


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("comes_at", [9, 12, 15])
def test_a_small_face_that_comes_is_found_from_its_first_frame(
    every: int, comes_at: int, detector: FaceDetector, pool: ThreadPoolExecutor
) -> None:
    alone, both = near_and_far()
    assert len(detector.look([torch.from_numpy(both)], SMALLER_PX)[0].scores_F) == 1, "a smaller look would do"
    frames = [alone] * comes_at + [both] * (24 - comes_at)
    found = searched(frames, config(every, adaptive=True), detector, pool)
    assert [len(seen.faces.scores_F) for seen in found] == [1] * comes_at + [2] * (24 - comes_at)


def test_a_picture_without_faces_is_looked_at_in_full(detector: FaceDetector, pool: ThreadPoolExecutor) -> None:
    nothing = np.full_like(near_and_far()[0], 90)
    small = nothing.copy()
    small[60:105, 60:105] = near_and_far()[1][:45, :45]
    frames = [nothing] * 3 + [small] * 2 + [nothing] * 3
    assert statuses(searched(frames, config(adaptive=True), detector, pool)) == "nnnoonnn"


def faces(*boxes: tuple[float, float, float, float], score: float = 0.9) -> Faces:
    """Faces with landmarks on their corners and in their middle."""
    boxes_F4 = np.array(boxes, np.float32).reshape(-1, 4)
    corners = np.array([(0, 0), (1, 0), (0.5, 0.5), (0, 1), (1, 1)], np.float32)
    return Faces(
        boxes_F4, boxes_F4[:, None, :2] + boxes_F4[:, None, 2:] * corners, np.full(len(boxes_F4), score, np.float32)
    )


def test_faces_agree_only_if_they_are_the_same_near_where_they_were() -> None:
    two = faces((0, 0, 100, 100), (300, 0, 100, 100))
    swapped = agreement(two, faces((301, 3, 100, 100), (5, 0, 100, 100)))
    assert swapped is not None
    assert swapped.tolist() == [1, 0]
    assert agreement(two, faces((0, 0, 100, 100))) is None
    assert agreement(two, faces((0, 0, 100, 100), (600, 0, 100, 100))) is None
    assert agreement(two, faces((0, 0, 100, 100), (316, 0, 100, 100))) is None, "farther than 15 px of 100"
    assert agreement(two, faces((-9, -9, 118, 118), (300, 0, 100, 100))) is None, "larger by more than 15 %"
    assert agreement(two, faces((-7.5, -7.5, 115, 115), (300, 0, 100, 100))) is not None, "larger by 15 %"
    large_and_small = faces((0, 0, 100, 100), (300, 0, 20, 20))
    assert agreement(large_and_small, faces((12, 0, 100, 100), (303, 0, 20, 20))) is not None, "3 px of 20"
    assert agreement(large_and_small, faces((12, 0, 100, 100), (304, 0, 20, 20))) is None
    nothing = agreement(NO_FACES, NO_FACES)
    assert nothing is not None
    assert nothing.tolist() == []


def test_a_face_between_two_is_on_the_straight_line() -> None:
    one, other = faces((0, 0, 100, 100), score=0.8), faces((10, 4, 100, 104), score=1.0)
    middle = faces_between(one, other, np.array([0]), 0.25)
    assert middle.boxes_F4.tolist() == [[2.5, 1, 100, 101]]
    assert middle.landmarks_F52[0, 4].tolist() == [102.5, 102]
    assert middle.scores_F == pytest.approx([0.85])


def test_a_full_look_says_which_faces_there_are_and_a_smaller_one_where() -> None:
    full = faces((0, 0, 100, 100), (300, 0, 20, 20), score=0.9)
    small = faces((600, 0, 100, 100), (4, 0, 100, 100), score=0.8)
    result = confirmed(full, small)
    assert result.boxes_F4.tolist() == [[4, 0, 100, 100], [300, 0, 20, 20]]
    assert result.landmarks_F52[0, 0].tolist() == [4, 0]
    assert result.scores_F == pytest.approx([0.8, 0.9])
    assert confirmed(full, NO_FACES).boxes_F4.tolist() == full.boxes_F4.tolist()


def test_pairs_are_one_to_one() -> None:
    boxes_F4 = np.array([(0, 0, 10, 10), (2, 0, 10, 10), (50, 0, 10, 10)], np.float32)
    assert pairs(boxes_F4, np.array([(2.5, 0, 10, 10), (90, 0, 10, 10)], np.float32)).tolist() == [-1, 0, -1]
    assert pairs(boxes_F4, boxes_F4[:0]).tolist() == [-1, -1, -1]
    assert pairs(boxes_F4[:0], boxes_F4).tolist() == []


def test_a_pair_overlaps_by_more_than_the_limit_and_each_on_its_own() -> None:
    boxes_F4 = np.array([(0, 0, 10, 7), (50, 0, 10, 10)], np.float32)
    exactly_the_limit, near, far = (0, 3, 10, 7), (50, 0, 10, 9), (58, 0, 10, 10)
    assert overlaps(boxes_F4[:1], np.array([exactly_the_limit], np.float32)).tolist() == [[np.float32(LARGEST_OVERLAP)]]
    assert pairs(boxes_F4, np.array([exactly_the_limit, near], np.float32)).tolist() == [-1, 1]
    assert pairs(boxes_F4, np.array([(0, 0, 10, 7), far], np.float32)).tolist() == [0, -1]

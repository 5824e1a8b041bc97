from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from support.odd_clips import EYES_ON_THE_BLOCKS, number_in_crop

from data.extraction.gaps import Filled, cut_gaps, fill_gap, find_gaps
from data.testing.numbered import numbered_clip
from data.tracks.fragments import Face
from data.tracks.people import Person


def face(index: int, x_px: float = 100, y_px: float = 50, size_px: float = 40) -> Face:
    return Face(index, index, index / 25, x_px, y_px, size_px, size_px)


def gaps(faces: list[Face], *others: Face, longest_s: float = 0.2) -> list[tuple[int, int]]:
    person = Person(faces)
    found = find_gaps(person, [person, Person(list(others))], longest_s=longest_s)
    return [(one.frame_index, other.frame_index) for one, other in found]


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        ([face(0), face(1)], []),
        ([face(0), face(5)], [(0, 5)]),
        ([face(0), face(6)], []),
        ([face(0), face(2), face(4)], [(0, 2), (2, 4)]),
        ([face(0), face(2, x_px=139)], [(0, 2)]),
        ([face(0), face(2, x_px=141)], []),
        ([face(0), face(2, x_px=140)], [(0, 2)]),
        ([face(0), face(2, size_px=60)], []),
        ([face(0, size_px=50), face(2, size_px=70)], [(0, 2)]),
        ([face(10), face(11)], []),
        ([face(10), face(15)], [(10, 15)]),
    ],
)
def test_a_gap_is_short_and_the_person_steady(faces: list[Face], expected: list[tuple[int, int]]) -> None:
    assert gaps(faces) == expected


def test_a_gap_in_which_another_s_face_is_in_the_way_stays() -> None:
    faces = [face(0), face(4)]
    assert gaps(faces, face(2, x_px=130)) == []
    assert gaps(faces, face(2, x_px=145)) == [(0, 4)]
    assert gaps(faces, face(5, x_px=130)) == [(0, 4)]
    assert gaps([face(10), face(14)], face(11)) == []
    assert gaps([face(10), face(14)], face(13)) == []
    assert gaps([face(10), face(14)], face(9), face(10), face(5)) == [(10, 14)]
    assert gaps([face(0), face(2), face(4)], face(1)) == [(2, 4)]
    assert gaps([face(0), face(2), face(4)], face(3)) == [(0, 2)]


@pytest.mark.parametrize(
    ("x_px", "y_px", "is_in_the_way"),
    [
        (139, 50, True), (140, 50, False), (61, 50, True), (60, 50, False), (50, 50, False),
        (100, 89, True), (100, 90, False), (100, 11, True), (100, 10, False),
    ],
)  # fmt: skip
def test_a_face_is_in_the_way_if_its_box_overlaps(x_px: float, y_px: float, is_in_the_way: bool) -> None:
    """The person's box goes from 80 to 120 and from 30 to 70."""
    found = gaps([face(0), face(4)], face(2, x_px=x_px, y_px=y_px))
    assert found == ([] if is_in_the_way else [(0, 4)])


def test_faces_between_lie_on_a_straight_line() -> None:
    landmarks = {0: np.zeros((5, 2)), 4: np.full((5, 2), 8.0)}
    filled = fill_gap(face(0), face(4, x_px=108, size_px=48), landmarks)
    assert sorted(filled) == [1, 2, 3]
    assert filled[1].box_4.tolist() == [81, 29.0, 42, 42]
    assert filled[1].box_4.dtype == filled[1].landmarks_52.dtype == np.float32
    assert filled[3].landmarks_52.tolist() == [[6, 6]] * 5
    later = fill_gap(face(10), face(14, x_px=108, size_px=48), {10: landmarks[0], 14: landmarks[4]})
    assert [later[index].box_4.tolist() for index in (11, 12, 13)] == [filled[n].box_4.tolist() for n in (1, 2, 3)]


@pytest.mark.parametrize("chunk", [4, 16])
def test_the_crop_of_a_gap_is_cut_from_that_very_frame(tmp_path: Path, chunk: int) -> None:
    video = numbered_clip(tmp_path / "v.mp4", 40)
    filled = {
        track_id: {index: Filled(np.zeros(4, np.float32), EYES_ON_THE_BLOCKS) for index in indices}
        for track_id, indices in {"v_left": range(3, 23), "v_right": [7, 32]}.items()
    }
    jpegs = cut_gaps(video, filled, device="cpu", decoder="pyav", chunk=chunk, jpeg_quality=95)
    assert sorted(jpegs) == sorted((track_id, index) for track_id, faces in filled.items() for index in faces)
    for (_, index), jpeg in jpegs.items():
        assert number_in_crop(simplejpeg.decode_jpeg(jpeg)) == index


def test_without_gaps_the_video_is_not_opened(tmp_path: Path) -> None:
    nothing = cut_gaps(tmp_path / "none.mp4", {"v": {}}, device="cpu", decoder="pyav", chunk=8, jpeg_quality=95)
    assert nothing == {}


def test_a_video_that_got_shorter_is_refused(tmp_path: Path) -> None:
    video = numbered_clip(tmp_path / "v.mp4", 8)
    filled = {"v": {9: Filled(np.zeros(4, np.float32), EYES_ON_THE_BLOCKS)}}
    with pytest.raises(ValueError, match=r"v\.mp4: expected frame 9, found an earlier end than before; copy"):
        cut_gaps(video, filled, device="cpu", decoder="pyav", chunk=8, jpeg_quality=95)

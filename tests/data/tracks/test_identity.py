"""People told apart by embeddings. Made-up ones: a person is a direction, and the distance of two people is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from data.tracks import identity
from data.tracks.assignment import assign_tracks
from data.tracks.doubts import doubts
from data.tracks.fragments import Fragment, FrameFaces, link
from data.tracks.people import Person, find_people

HZ = 25


class Stretch(NamedTuple):
    frames: range
    place: tuple[float, ...]
    """The embedding of its faces."""
    x_px: float = 100
    look: float = 0.5
    score: float = 1.0


def seen(*stretches: Stretch) -> list[FrameFaces]:
    """Frames of faces of 40 px."""
    frames = []
    for index in range(max(stretch.frames.stop for stretch in stretches)):
        here = [stretch for stretch in stretches if index in stretch.frames]
        if here:
            boxes = np.array([(stretch.x_px - 20, 30, 40, 40) for stretch in here])
            looks = np.array([((1 - stretch.look) ** 0.5, stretch.look**0.5) for stretch in here])
            frames.append(FrameFaces(index, index / HZ, boxes, looks, [stretch.score for stretch in here]))
    return frames


def embeddings(*stretches: Stretch, every: int = 5) -> identity.Embeddings:
    """The embedding of every fifth face, by row."""
    found, row = {}, 0
    for index in range(max(stretch.frames.stop for stretch in stretches)):
        for stretch in (stretch for stretch in stretches if index in stretch.frames):
            if index % every == 0:
                found[row] = np.array([1.4, *stretch.place], np.float32)
            row += 1
    return found


def people(*stretches: Stretch, cuts: Sequence[int] = ()) -> list[Person]:
    found = embeddings(*stretches)

    def embed(fragments: Sequence[Fragment]) -> identity.Embeddings:
        return {face.row: found[face.row] for of in fragments for face in of.faces if face.row in found}

    return find_people(seen(*stretches), cuts, embed)


def frames_of(person: Person) -> set[int]:
    return {face.frame_index for face in person.faces}


ANNA, BRUNO, LIKE_ANNA = (0.0, 0.0), (0.8, 0.0), (0.45, 0.0)
FIRST, SECOND, THIRD = range(30), range(30, 60), range(60, 90)
CUTS = [30, 60]


def test_a_person_is_the_same_after_another_shot_in_the_same_place() -> None:
    anna, bruno = people(Stretch(FIRST, ANNA), Stretch(SECOND, BRUNO), Stretch(THIRD, ANNA), cuts=CUTS)
    assert frames_of(anna) == {*FIRST, *THIRD}
    assert frames_of(bruno) == {*SECOND}
    assert anna.split_margin > 0.04
    assert (set(anna.surely_others), set(bruno.surely_others)) == ({1}, {0})
    said = doubts([anna, bruno], assign_tracks(["v"], [anna, bruno], 640))
    assert not [doubt for doubt in said if "seen only in" in doubt.text]


def test_without_embeddings_no_place_joins_over_a_cut() -> None:
    found = find_people(seen(Stretch(FIRST, ANNA), Stretch(SECOND, ANNA)), [30], lambda _: {})
    assert [len(person.faces) for person in found] == [30, 30]
    assert 0 <= found[0].split_margin < 0.04


def test_who_may_be_the_same_stays_apart_over_a_cut_with_a_small_margin() -> None:
    one, other = people(Stretch(FIRST, ANNA), Stretch(SECOND, LIKE_ANNA), cuts=[30])
    assert (one.most_similar, other.most_similar) == (1, 0)
    assert 0 < one.split_margin < 0.04
    assert one.surely_others == other.surely_others == frozenset()


@pytest.mark.parametrize(
    ("distance", "num_people", "num_others"),
    [(identity.SAME, 1, 0), (identity.SAME + 1e-9, 2, 0), (identity.OTHER, 2, 0), (identity.OTHER + 1e-9, 2, 1)],
)
def test_the_distances_that_leave_it_open_are_those_between_the_limits(
    distance: float, num_people: int, num_others: int
) -> None:
    video = seen(Stretch(FIRST, ANNA, look=0), Stretch(SECOND, ANNA, look=0))
    found = find_people(video, [30], lambda _: {0: np.array([1.4, 0.0]), 30: np.array([1.4, distance])})
    assert [len(person.surely_others) for person in found] == [num_others] * num_people


def test_over_a_cut_nobody_is_joined_whose_face_is_unknown() -> None:
    known = embeddings(Stretch(FIRST, ANNA))
    one, other = find_people(seen(Stretch(FIRST, ANNA), Stretch(SECOND, ANNA)), [30], lambda _: known)
    assert one.split_margin == other.split_margin == pytest.approx(0.01)


def test_who_was_joined_over_a_cut_is_in_both_shots() -> None:
    """The last stretch has an open face, but is in a shot and near the place of one of the two that are surely Anna."""
    stretches = Stretch(FIRST, ANNA), Stretch(SECOND, ANNA), Stretch(range(115, 145), LIKE_ANNA, x_px=120)
    (anna,) = people(*stretches, cuts=[30])
    assert len(anna.faces) == 90


def test_within_a_shot_colours_and_place_join_whom_the_face_leaves_open() -> None:
    (one,) = people(Stretch(FIRST, ANNA), Stretch(range(85, 115), LIKE_ANNA))
    assert len(one.faces) == 60


def test_within_a_shot_the_face_parts_whom_colours_and_place_would_join() -> None:
    assert len(people(Stretch(FIRST, ANNA), Stretch(range(85, 115), BRUNO))) == 2


def test_the_face_joins_over_a_cut_in_other_light_and_elsewhere() -> None:
    (one,) = people(Stretch(FIRST, ANNA), Stretch(SECOND, ANNA, x_px=500, look=0.9), cuts=[30])
    assert len(one.faces) == 60


def test_two_faces_of_a_frame_are_two_people_however_alike() -> None:
    assert len(people(Stretch(FIRST, ANNA), Stretch(FIRST, ANNA, x_px=300))) == 2


def test_a_stretch_goes_on_neither_over_a_cut_nor_as_another_person() -> None:
    stretch = Stretch(range(60), ANNA)
    assert [len(fragment.faces) for fragment in link(seen(stretch), [30])] == [30, 30]
    anna, bruno = people(Stretch(range(40), ANNA), Stretch(range(40, 70), BRUNO))
    assert frames_of(anna) <= set(range(40))  # up to the last face of Anna that was embedded, at least
    assert frames_of(bruno) <= set(range(36, 70))


def test_a_part_is_cut_where_most_happens() -> None:
    """The faces move on at frame 38, between two embedded ones."""
    stretches = (Stretch(range(38), ANNA), Stretch(range(38, 80), BRUNO, x_px=112))
    (fragment,) = link(seen(*stretches))
    parts = identity.parted(fragment, embeddings(*stretches))
    assert [len(part.faces) for part in parts] == [38, 42]
    assert sum(part.summed_look() for part in parts) == pytest.approx(fragment.summed_look())


def test_one_odd_face_parts_no_stretch() -> None:
    stretches = (Stretch(range(20), ANNA), Stretch(range(20, 24), BRUNO), Stretch(range(24, 60), ANNA))
    (fragment,) = link(seen(*stretches))
    assert identity.parted(fragment, embeddings(*stretches)) == [fragment]


def only(stretch: Stretch, length: float) -> tuple[Fragment, identity.Embeddings]:
    (fragment,) = link(seen(stretch))
    found = {row: face / np.linalg.norm(face) * length for row, face in embeddings(stretch).items()}
    return fragment, found


@pytest.mark.parametrize(
    ("frames", "score", "length", "is_none"),
    [
        (range(6), 0.8, 1.3, True),
        (range(6), 0.8, 1.4, False),
        (range(6), 0.95, 1.3, False),
        (range(20), 0.8, 1.3, False),
    ],
)
def test_what_only_looks_like_a_face_is_short_with_a_low_score_and_a_short_embedding(
    frames: range, score: float, length: float, is_none: bool
) -> None:
    assert identity.is_no_face(*only(Stretch(frames, ANNA, score=score), length)) is is_none


def test_stretches_that_are_no_face_are_nobody() -> None:
    hand = Stretch(range(40, 46), (-0.5, 0.0), x_px=400, score=0.8)
    found = {**embeddings(Stretch(range(80), ANNA), hand)}
    hands = {row: face * 0.8 for row, face in found.items() if face[1] < 0}
    (anna,) = find_people(seen(Stretch(range(80), ANNA), hand), (), lambda _: {**found, **hands})
    assert frames_of(anna) == set(range(80))

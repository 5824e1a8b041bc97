"""How sure it is who is who, what is doubtful of it, and the proof on rendered people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from people import judge, total
from support.extraction import extract

from data.sample.film import film_clip
from data.sample.plan import Cast, plan_clip
from data.store.shards import read_manifest
from data.tracks.assignment import Choice, Rule, assign_tracks
from data.tracks.doubts import doubts
from data.tracks.fragments import Face, FrameFaces
from data.tracks.people import Person, find_people, in_frames

HZ = 25


def mixed(share: float) -> np.ndarray:
    """A look between two colours: 0 is the one, 1 the other."""
    return np.array([(1 - share) ** 0.5, share**0.5])


def seen(stretches: Sequence[tuple[range, float, float]]) -> list[FrameFaces]:
    """Frames of faces of 40 px, for each stretch its frames, x in px and look."""
    frames = []
    for index in range(max(stretch.stop for stretch, _, _ in stretches)):
        faces = [(x, share) for stretch, x, share in stretches if index in stretch]
        if faces:
            boxes = np.array([(x - 20, 30, 40, 40) for x, _ in faces])
            frames.append(FrameFaces(index, index / HZ, boxes, np.stack([mixed(share) for _, share in faces])))
    return frames


EARLY, LATE, ALL = range(20), range(100, 120), range(120)
LAST = range(200, 220)


def test_an_undisturbed_person_leaves_nothing_to_decide() -> None:
    (one,) = find_people(seen([(ALL, 100, 0.5)]))
    assert (one.num_fragments, one.join_margin, one.rival_margin, one.split_margin) == (1, math.inf, math.inf, math.inf)
    assert one.most_similar is None


def test_who_comes_back_in_the_same_place_with_the_same_look_has_the_whole_margin() -> None:
    (one,) = find_people(seen([(EARLY, 100, 0.5), (LATE, 100, 0.5)]))
    assert one.num_fragments == 2
    assert one.join_margin == pytest.approx(0.24)


def test_who_comes_back_elsewhere_has_less_margin() -> None:
    (one,) = find_people(seen([(EARLY, 100, 0.5), (LATE, 180, 0.5)]))
    assert one.join_margin == pytest.approx(0.24 - 2 * 0.04)


def test_a_stretch_that_fits_another_as_well_has_a_rival() -> None:
    """Two people in the frame, one after the other away; the later stretch lies between what they look like."""
    people = find_people(seen([(EARLY, 100, 0.4), (EARLY, 300, 0.6), (LATE, 200, 0.49)]))
    joined = next(person for person in people if person.num_fragments == 2)
    assert 0 < joined.rival_margin < 0.04


@pytest.mark.parametrize(
    "x_px",
    [
        (100, 180, 140),
        (140, 100, 180),
    ],
)
def test_a_later_join_with_more_margin_does_not_hide_an_earlier_one(x_px: tuple[float, float, float]) -> None:
    """The corners of a triangle: the two at its base are joined first, and their middle is nearer to the third."""
    y_px: dict[float, float] = {100: 50, 180: 50, 140: 121}
    video = [
        FrameFaces(index, index / HZ, np.array([(x - 20, y_px[x] - 20, 40, 40)]), mixed(0.5)[None])
        for frames, x in zip((EARLY, LATE, LAST), x_px, strict=True)
        for index in frames
    ]
    (one,) = find_people(video)
    assert one.num_fragments == 3
    assert one.join_margin == pytest.approx(0.24 - 2 * 0.04)


@pytest.mark.parametrize(
    "stretches",
    [
        [(EARLY, 100, 0.4), (EARLY, 300, 0.44), (LATE, 100, 0.4), (LAST, 200, 0.4), (LAST, 300, 0.44)],
        [(EARLY, 200, 0.4), (EARLY, 300, 0.44), (LATE, 100, 0.4), (LATE, 300, 0.44), (LAST, 100, 0.4)],
    ],
)
def test_a_later_join_without_a_rival_does_not_hide_one_that_had_one(
    stretches: Sequence[tuple[range, float, float]],
) -> None:
    """The other one fits the stretch at 100 px that it is not seen beside, by its look and 3 of 5 face sizes."""
    joined = next(person for person in find_people(seen(stretches)) if person.num_fragments == 3)
    assert 0.12 < joined.rival_margin < 0.15


def test_of_two_equally_prominent_people_the_one_who_came_first_is_first() -> None:
    people = find_people(seen([(EARLY, 100, 0.2), (range(40), 400, 0.8), (LATE, 100, 0.2)]))
    assert [(person.x_px, len(person.faces)) for person in people] == [(100, 40), (400, 40)]


def test_who_looks_almost_like_somebody_else_has_a_small_split_margin() -> None:
    one, other = find_people(seen([(range(30), 100, 0.2), (LATE, 300, 0.45)]))
    assert (one.most_similar, other.most_similar) == (1, 0)
    assert 0 < one.split_margin == other.split_margin < 0.12


def person(x_px: float, size_px: float = 50, frames: range = ALL, **margins: Any) -> Person:
    rows = 1000 * round(x_px)
    return Person([Face(rows + i, i, i / HZ, x_px, 50, size_px, size_px) for i in frames], **margins)


MAIN = person(100)
SMALL = person(300, 12)


def lines(track_ids: list[str], people: list[Person]) -> list[str]:
    people = sorted(people, key=lambda person: -person.prominence_px)
    return [doubt.text for doubt in doubts(people, assign_tracks(track_ids, people, 640))]


@pytest.mark.parametrize(
    ("track_ids", "people"),
    [
        (["v"], [MAIN]),
        (["v"], [MAIN, SMALL]),
        (["v_left", "v_right"], [MAIN, person(400)]),
        (["v_left", "v_right"], [MAIN, person(400, 30), SMALL]),
        (["v"], [person(100, join_margin=0.1, rival_margin=0.2)]),
    ],
)
def test_what_is_clear_is_not_doubtful(track_ids: list[str], people: list[Person]) -> None:
    assert lines(track_ids, people) == []


SWAPS = Person(sorted([*person(400, frames=range(70)).faces, *person(50, frames=range(70, 120)).faces]))


@pytest.mark.parametrize(
    ("track_ids", "people", "expected"),
    [
        (["v"], [], "v: no person was found, so none of its frames has a face"),
        (["v_left", "v_right"], [MAIN], "v_left: person 1 is the only one found for two tracks"),
        (["v"], [MAIN, person(300, 40)], "v: person 2 has no track, but 80 % of the prominence of this track's person"),
        (["v", "v_left"], [MAIN, person(400, 40), person(600, 30)], "v: person 3 has no track, but 75 %"),
        (["v_left", "v_right"], [MAIN, SWAPS], "v_left: person 1 is on its side in only 58 % of the frames with both"),
        (["v"], [person(100, join_margin=0.02)], "v: very different stretches were joined (margin 0.020 of 0.24)"),
        (["v"], [person(100, rival_margin=0.01)], "v: one of its stretches fits another person as well (margin 0.010)"),
        (
            ["v"],
            [person(100, frames=range(80), split_margin=0.01, most_similar=1), person(300, frames=range(90, 110))],
            "v: person 2 in frames 90 to 109 may be the same as person 1 in frames 0 to 79 (margin 0.010); if so",
        ),
        (
            ["v"],
            [person(100, frames=range(80)), person(300, frames=range(90, 110))],
            "v: person 2 has no track and is seen only in frames 90 to 109, where this track has no face",
        ),
    ],
)
def test_what_is_doubtful_is_said(track_ids: list[str], people: list[Person], expected: str) -> None:
    found = lines(track_ids, people)
    assert [line for line in found if line.startswith(expected)] != [], found


def test_what_a_hint_has_settled_is_not_doubtful() -> None:
    settled = {"v": Choice(person(100, join_margin=0, rival_margin=0), Rule.HINT)}
    assert doubts([MAIN], settled) == []


@pytest.mark.parametrize(
    ("indices", "said"),
    [
        ([*range(5)], "frames 0 to 4"),
        ([0, 12], "frames 0 to 12"),
        ([0, 13], "frames 0 to 0 and 13 to 13"),
        ([0, 1, 20, 21, 40], "frames 0 to 1 and 20 to 21 and 40 to 40"),
        ([0, 1, 20, 21, 40, 60], "frames 0 to 1 and 20 to 21 and 40 to 40 and others"),
    ],
)
def test_a_person_is_seen_in_stretches_of_frames(indices: list[int], said: str) -> None:
    assert in_frames(Person([Face(i, i, i / HZ, 100, 50, 40, 40) for i in indices])) == said


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 7, 9])
def test_on_rendered_people_who_cross_arrive_or_are_covered_the_faces_are_the_right_ones(
    index: int, tmp_path: Path
) -> None:
    """Three short clips; `benchmarks/people.py` measures many long ones."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    plan = plan_clip(index, seconds=1.6, seed=5, cast=Cast.PEOPLE)
    film_clip(plan, tmp_path, on_frame=lambda: None)
    folder = extract(tmp_path / "videos" / "batch1" / f"{plan.video_id}.mp4", tmp_path / "store", plan.track_ids)
    torch.set_num_threads(threads)
    verdicts = [judge(folder / f"{track_id}.parquet", tmp_path / "truth", plan) for track_id in plan.track_ids]
    assert all(verdict.right >= 0.99 * verdict.faces for verdict in verdicts), verdicts
    assert total(verdicts).visible_with_face >= 0.9 * total(verdicts).visible
    assert set(read_manifest(folder)["choices"]) == set(plan.track_ids)

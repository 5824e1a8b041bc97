from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tracks.assignment import Choice, Rule, assign_tracks, name_people
from data.tracks.fragments import Face, FrameFaces
from data.tracks.people import Person, find_people

HZ = 25
RED, BLUE = 0, 1
Place = tuple[float, float, float, int]
"""x, y and size of a face in px, and its colour."""


def look(colour: int) -> np.ndarray:
    """Square roots of histograms of which a tenth is common to all colours."""
    shares = np.zeros(5)
    shares[colour], shares[4] = 0.9, 0.1
    return np.sqrt(shares)


def frames(*faces: Sequence[Place]) -> list[FrameFaces]:
    """A frame for each list of faces; those without any are left out, as extraction does."""
    return [
        FrameFaces(
            index,
            index / HZ,
            np.array([(x - size / 2, y - size / 2, size, size) for x, y, size, _ in places]),
            np.stack([look(colour) for *_, colour in places]),
        )
        for index, places in enumerate(faces)
        if places
    ]


def colours(person: Person, of: list[FrameFaces]) -> set[int]:
    all_looks = np.concatenate([frame.looks_FL for frame in of])
    return {int(all_looks[face.row].argmax()) for face in person.faces}


def test_two_people_who_cross_keep_their_own_faces() -> None:
    video = frames(*[[(10 + 4 * i, 50, 40, RED), (410 - 4 * i, 55, 40, BLUE)] for i in range(100)])
    people = find_people(video)
    assert [len(person.faces) for person in people] == [100, 100]
    assert [len(colours(person, video)) for person in people] == [1, 1]


def test_two_similar_people_who_cross_fast_while_one_is_hidden_are_distinguished_by_speed() -> None:
    """They come to where the other was last: only where they were going to says who is who."""
    x = [100 + 20 * i for i in range(20)]
    video = frames(*[[(x[i], 50, 40, RED)] + ([] if 8 <= i < 12 else [(480 - 20 * i, 52, 40, RED)]) for i in range(20)])
    people = find_people(video)
    assert [[face.x_px for face in person.faces][-1] for person in people] == [480, 100]
    assert [len(person.faces) for person in people] == [20, 16]


def test_who_is_hidden_for_a_second_while_crossing_stays_one_person() -> None:
    video = frames(
        *[[(10 + 4 * i, 50, 40, RED)] + ([] if 40 <= i < 65 else [(410 - 4 * i, 55, 40, BLUE)]) for i in range(100)]
    )
    people = find_people(video)
    assert [len(person.faces) for person in people] == [100, 75]
    assert [colours(person, video) for person in people] == [{RED}, {BLUE}]


@pytest.mark.parametrize("away", [10, 500])
def test_who_leaves_and_comes_back_is_one_person(away: int) -> None:
    video = frames(*[[(60, 50, 40, RED)]] * 30, *[[]] * away, *[[(90, 50, 44, RED)]] * 30)
    assert [len(person.faces) for person in find_people(video)] == [60]


def test_who_takes_anothers_place_is_another_person() -> None:
    video = frames(*[[(60, 50, 40, RED)]] * 30, *[[(60, 50, 40, BLUE)]] * 20)
    assert [colours(person, video) for person in find_people(video)] == [{RED}, {BLUE}]


def test_two_faces_of_one_frame_are_two_people_however_alike() -> None:
    video = frames(*[[(60, 50, 40, RED), (160, 50, 40, RED)]] * 20, [], *[[(160, 50, 40, RED), (60, 50, 40, RED)]] * 20)
    people = find_people(video)
    assert [len(person.faces) for person in people] == [40, 40]
    assert {tuple({face.x_px for face in person.faces}) for person in people} == {(60,), (160,)}


def test_a_frame_rate_that_varies_is_followed_by_its_times() -> None:
    video = frames(*[[(60 + 30 * i, 50, 40, RED)] for i in range(20)])
    slow = [frame._replace(time_s=frame.time_s * 4) for frame in video]
    assert [len(person.faces) for person in find_people(slow)] == [20]


def test_no_faces_are_nobody() -> None:
    assert find_people([]) == []


places = st.tuples(st.integers(0, 400), st.integers(0, 300), st.integers(20, 90), st.integers(0, 3))


@given(st.lists(st.lists(places, max_size=3), max_size=12))
def test_every_face_belongs_to_one_person_who_has_one_face_a_frame(faces: list[list[Place]]) -> None:
    people = find_people(frames(*faces))
    assert sorted(face.row for person in people for face in person.faces) == list(range(sum(map(len, faces))))
    for person in people:
        indices = [face.frame_index for face in person.faces]
        assert indices == sorted(set(indices))
    assert [person.prominence_px for person in people] == sorted((p.prominence_px for p in people), reverse=True)


def person(x_px: float, size_px: float = 50, seen: range = range(100)) -> Person:
    return Person([Face(index, index, index / HZ, x_px, 50, size_px, size_px) for index in seen])


def owners(choices: dict[str, Choice]) -> dict[str, Person | None]:
    return {track_id: choice.person for track_id, choice in choices.items()}


LEFT, RIGHT, BYSTANDER = person(100, 50), person(500, 60), person(300, 10)


@pytest.mark.parametrize(
    ("track_ids", "people", "expected"),
    [
        (["107"], [RIGHT, BYSTANDER], {"107": RIGHT}),
        (["107"], [], {"107": None}),
        (["v_left", "v_right"], [RIGHT, LEFT, BYSTANDER], {"v_left": LEFT, "v_right": RIGHT}),
        (["v_right", "v_left"], [LEFT, RIGHT], {"v_left": LEFT, "v_right": RIGHT}),
        (["v", "v_right"], [RIGHT, LEFT], {"v": LEFT, "v_right": RIGHT}),
        (["v", "v_left"], [RIGHT, LEFT], {"v": RIGHT, "v_left": LEFT}),
        (["v_right"], [LEFT, RIGHT], {"v_right": RIGHT}),
        (["v_right"], [LEFT], {"v_right": LEFT}),
        (["v_left", "v_right"], [LEFT], {"v_left": LEFT, "v_right": None}),
        (["v", "v_left"], [RIGHT], {"v": RIGHT, "v_left": None}),
        (["v_left", "v_right"], [], {"v_left": None, "v_right": None}),
        (["video10_1"], [LEFT, RIGHT], {"video10_1": LEFT}),
    ],
)
def test_each_track_gets_its_person(
    track_ids: list[str], people: list[Person], expected: dict[str, Person | None]
) -> None:
    assert owners(assign_tracks(track_ids, people, frame_width_px=640)) == expected


def test_left_and_right_are_decided_where_both_people_are_seen() -> None:
    wanders = Person([*person(100, seen=range(50)).faces, *person(630, seen=range(50, 200)).faces])
    stays = person(300, seen=range(50))
    assert wanders.x_px > stays.x_px
    choices = assign_tracks(["v_left", "v_right"], [wanders, stays], 640)
    assert owners(choices) == {"v_left": wanders, "v_right": stays}


@pytest.mark.parametrize(
    ("track_ids", "named"),
    [
        ([], r"\(none\)"),
        (["a", "b"], "a, b"),
        (["a_left", "b_left"], "a_left, b_left"),
        (["v", "v_left", "v_right"], "v, v_left, v_right"),
    ],
)
def test_names_that_do_not_say_who_is_who_are_refused(track_ids: list[str], named: str) -> None:
    message = f"tracks {named}: expected one track, or two of which at least one ends in _left or _right; rename"
    with pytest.raises(ValueError, match=message):
        assign_tracks(track_ids, [LEFT, RIGHT], 640)


def test_people_of_a_video_without_annotations_are_numbered_by_prominence() -> None:
    passer_by = person(300, 10, seen=range(5))
    assert owners(name_people("v", [])) == {"v": None}
    assert owners(name_people("v", [LEFT, passer_by])) == {"v": LEFT}
    assert owners(name_people("v", [RIGHT, LEFT, passer_by])) == {"v_person1": RIGHT, "v_person2": LEFT}
    assert owners(name_people("v", [passer_by])) == {"v": passer_by}


@pytest.mark.parametrize(
    ("track_ids", "x_px", "owner"),
    [
        (["v_left", "v_right"], 300, "v_left"),
        (["v_left", "v_right"], 320, "v_right"),
        (["v", "v_right"], 300, "v"),
        (["v", "v_left"], 400, "v"),
    ],
)
def test_the_only_person_goes_to_the_track_of_their_half(track_ids: list[str], x_px: float, owner: str) -> None:
    alone = person(x_px)
    choices = assign_tracks(track_ids, [alone], 640)
    assert choices[owner] == Choice(alone, Rule.HALF_OF_FRAME, None, 1.0, choices[owner].side_margin)
    assert choices[owner].side_margin == pytest.approx(abs(x_px / 320 - 1))
    (other,) = (choice for track_id, choice in choices.items() if track_id != owner)
    assert other == Choice(None, Rule.NOBODY)


def test_somebody_far_beyond_the_frame_is_no_more_than_certain() -> None:
    choices = assign_tracks(["v_left", "v_right"], [person(1000)], 640)
    assert choices["v_right"].side_margin == 1


def test_people_with_half_as_many_faces_have_a_track_too() -> None:
    people = [person(100, seen=range(10)), person(300, seen=range(5)), person(500, seen=range(4))]
    assert owners(name_people("v", people)) == {"v_person1": people[0], "v_person2": people[1]}
    assert name_people("v", []) == {"v": Choice(None, Rule.NOBODY)}


@pytest.mark.parametrize(
    ("x_px", "size_px", "margin"),
    [(120, 50, 0.4), (120, 32, 0.5), (80, 50, 0.4), (80, 32, 0.5), (500, 50, 1), (1, 50, 1)],
)
def test_people_who_are_never_seen_together_are_distinguished_by_their_mean_place(
    x_px: float, size_px: float, margin: float
) -> None:
    first, second = person(100, seen=range(60)), person(x_px, size_px, seen=range(60, 100))
    choices = assign_tracks(["v", "v_left"], [first, second], 640)
    left, right = (first, second) if x_px > 100 else (second, first)
    assert owners(choices) == {"v_left": left, "v": right}
    assert [choices[name].rule for name in ("v_left", "v")] == [Rule.SIDE, Rule.OTHER_SIDE]
    assert [choices[name].side_margin for name in ("v_left", "v")] == pytest.approx([margin] * 2)


def test_a_hint_stays_when_nobody_is_left_for_the_other_track() -> None:
    alone = person(100)
    choices = assign_tracks(["v_left", "v_right"], [alone], 640, {"v_right": alone})
    assert choices == {"v_right": Choice(alone, Rule.HINT), "v_left": Choice(None, Rule.NOBODY)}


def test_the_only_person_of_a_track_has_no_rival() -> None:
    assert assign_tracks(["v"], [person(100)], 640)["v"].prominence_margin == 1


def one(x_px: float, seen: range) -> Person:
    return Person([Face(round(1000 * x_px) + index, index, index / 25, x_px, 50, 40, 40) for index in seen])


def test_sides_are_judged_in_the_shots_that_show_both() -> None:
    """The first two shots show one person each, and say nothing; in the third they take turns."""
    first = Person(sorted([*one(400, range(20)).faces, *one(100, range(40, 50)).faces]))
    second = Person(sorted([*one(20, range(20, 40)).faces, *one(300, range(50, 60)).faces]))
    with_cuts = assign_tracks(["v_left", "v_right"], [first, second], 640, cuts=[20, 40])
    assert (with_cuts["v_left"].person, with_cuts["v_left"].side_margin) == (first, 1.0)


def test_sides_of_people_whom_no_shot_shows_both_are_doubtful() -> None:
    people = [one(100, range(20)), one(400, range(20, 39))]
    assert assign_tracks(["v_left", "v_right"], people, 640)["v_left"].side_margin == 1.0
    choice = assign_tracks(["v_left", "v_right"], people, 640, cuts=[20])["v_left"]
    assert (choice.person, choice.side_margin) == (people[0], 0.4)


def test_people_who_are_on_either_side_equally_often_are_ordered_by_prominence() -> None:
    first = Person([*one(100, range(10)).faces, *one(400, range(10, 20)).faces])
    second = Person([*one(200, range(20)).faces])
    choices = assign_tracks(["v_left", "v_right"], [first, second], 640)
    assert owners(choices) == {"v_left": first, "v_right": second}
    assert choices["v_left"].side_margin == 0


def test_who_has_lost_faces_to_a_hint_ranks_by_what_is_left() -> None:
    large, small = one(100, range(30)), one(400, range(20))
    taken, left = Person(large.faces[:25]), Person(large.faces[25:])
    choices = assign_tracks(["v_left", "v_right"], [large, small], 640, {"v_left": taken})
    assert (choices["v_right"].person, choices["v_right"].runner_up) == (small, left)

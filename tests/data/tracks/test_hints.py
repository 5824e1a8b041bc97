from __future__ import annotations

from pathlib import Path

import pytest

from data.tracks.assignment import Rule, assign_tracks
from data.tracks.fragments import Face
from data.tracks.hints import Hint, hinted_people, read_hints
from data.tracks.people import Person

TRACKS = ["v_left", "v_right", "107"]


def hints(tmp_path: Path, text: str) -> dict[str, Hint]:
    path = tmp_path / "hints.toml"
    path.write_text(text)
    return read_hints(path, TRACKS)


def test_people_are_named_by_number_or_by_a_point(tmp_path: Path) -> None:
    text = "[v_left]\npeople = [3, 1, 3]\n[v_right]\nframe_index = 12\nx_px = 40\ny_px = 50.5\n"
    found = hints(tmp_path, text)
    assert (found["v_left"].people, found["v_left"].point) == ((1, 3), None)
    assert (found["v_right"].people, found["v_right"].point) == ((), (12, 40.0, 50.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[v_left\n", r"hints\.toml: not valid TOML"),
        ("[v_lft]\npeople = [1]\n", r"hints\.toml: no track v_lft; there are 107, v_left, v_right"),
        ("[107]\npeople = []\n", r"hints\.toml \[107\]: expected people = \[1\] or frame_index, x_px and y_px"),
        ("[107]\npeople = [1.5]\n", r"found \{'people': \[1\.5\]\}"),
        ("[107]\nframe_index = 3\n", r"expected people = \[1\] or"),
        ("[107]\nframe_index = 3\nx_px = nan\ny_px = 2\n", r"expected people = \[1\] or"),
        ("[107]\nframe_index = 3.5\nx_px = 1\ny_px = 2\n", r"expected people = \[1\] or"),
        ("107 = 2\n", r"\[107\]: expected people = \[1\] or .* found 2"),
    ],
)
def test_what_is_not_a_hint_is_refused_with_file_and_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hints(tmp_path, text)


def test_a_file_in_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "hints.toml").write_bytes("# L\xe9a\n[107]\npeople = [1]\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"hints\.toml: not text in UTF-8, which TOML is; save it as UTF-8"):
        read_hints(tmp_path / "hints.toml", TRACKS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.toml: expected a file with track hints, found none"):
        read_hints(tmp_path / "none.toml", TRACKS)


def person(x_px: float, seen: range, first_row: int) -> Person:
    return Person([Face(first_row + index, index, index / 25, x_px, 50, 40, 60) for index in seen])


ONE, TWO, LATER = person(100, range(20), 0), person(300, range(20), 100), person(110, range(30, 40), 200)
PEOPLE = [ONE, TWO, LATER]


def hint(*people: int, point: tuple[int, float, float] | None = None) -> Hint:
    return Hint("h.toml [t]", people, point)


def test_a_point_belongs_to_the_person_whose_box_contains_it() -> None:
    assert hinted_people({"v_left": hint(point=(5, 318, 78))}, PEOPLE) == {"v_left": TWO}


def test_two_people_who_are_one_become_one() -> None:
    found = hinted_people({"v_left": hint(1, 3)}, PEOPLE)["v_left"]
    assert [face.frame_index for face in found.faces] == [*range(20), *range(30, 40)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": hint(4)}, r"h\.toml \[t\]: no person 4; found 1 \(20 frames, about x 100\); 2 \("),
        (
            {"a": hint(point=(5, 200, 50))},
            "no face at x 200, y 50 of frame 5; there is person 1 at x 100, y 50; person 2",
        ),
        ({"a": hint(point=(25, 100, 50))}, "of frame 25; there is none"),
        ({"a": hint(1, 2)}, "frame 0 shows these people together; name only one"),
        ({"a": hint(1, 3), "b": hint(3)}, "person 3 already belongs to a; a person has only one track"),
    ],
)
def test_a_hint_that_does_not_fit_says_what_is_there(given: dict[str, Hint], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hinted_people(given, PEOPLE)


def test_a_hint_for_a_video_without_people_is_refused() -> None:
    with pytest.raises(ValueError, match="no person 1; found nobody"):
        hinted_people({"a": hint(1)}, [])


def test_a_hinted_track_is_taken_as_said_and_the_other_is_the_most_prominent_left() -> None:
    choices = assign_tracks(["v_left", "v_right"], PEOPLE, 640, {"v_left": TWO})
    assert {name: (choice.person, choice.rule) for name, choice in choices.items()} == {
        "v_left": (TWO, Rule.HINT),
        "v_right": (ONE, Rule.MOST_PROMINENT),
    }


def test_frames_take_a_person_apart(tmp_path: Path) -> None:
    """One person was found where there are two: each track takes their frames of it, and what is left is free."""
    text = "[v_left]\npeople = [1]\nframes = [[0, 4], [8, 9]]\n[v_right]\npeople = [1]\nframes = [[5, 7]]\n"
    found = hinted_people(hints(tmp_path, text), PEOPLE)
    assert [face.frame_index for face in found["v_left"].faces] == [0, 1, 2, 3, 4, 8, 9]
    assert [face.frame_index for face in found["v_right"].faces] == [5, 6, 7]
    text = "[v_left]\nframe_index = 3\nx_px = 100\ny_px = 50\nframes = [[0, 2]]\n"
    found = hinted_people(hints(tmp_path, text), [ONE])
    choices = assign_tracks(["v_left", "v"], [ONE], 640, found)
    assert choices["v"].person is not None
    assert [face.frame_index for face in choices["v"].person.faces] == list(range(3, 20))


@pytest.mark.parametrize("frames", ["[]", "[[3]]", "[[5, 2]]", "[[-1, 2]]", "3", "[[0, 1.5]]"])
def test_what_are_no_stretches_of_frames_is_refused(tmp_path: Path, frames: str) -> None:
    with pytest.raises(ValueError, match=r"\[107\]: expected frames = \[\[0, 22\], \[83, 112\]\], the first and last"):
        hints(tmp_path, f"[107]\npeople = [1]\nframes = {frames}\n")


def test_frames_that_overlap_or_show_nobody_are_refused(tmp_path: Path) -> None:
    text = "[v_left]\npeople = [1]\nframes = [[0, 9]]\n[v_right]\npeople = [1]\nframes = [[9, 12]]\n"
    with pytest.raises(ValueError, match="person 1 already belongs to v_left; a person has only one track, or frames"):
        hinted_people(hints(tmp_path, text), PEOPLE)
    with pytest.raises(ValueError, match="in frames 30 to 40; one is seen in frames 0 to 19"):
        hinted_people(hints(tmp_path, "[107]\npeople = [1]\nframes = [[30, 40]]\n"), PEOPLE)


def test_a_hint_without_frames_has_the_key_that_it_always_had() -> None:
    assert hint(1).key == [(1,), None]
    assert Hint("h.toml [t]", (1,), frames=((0, 2),)).key == [(1,), None, ((0, 2),)]

"""A user's corrections of the people assigned to tracks.

A TOML file with a table per track, which names people by their numbers in the manifest of the video's faces, or one
person by a point in a frame that only their face covers. Frames, from the first to the last of each stretch, take only
a part of a person, where two people were taken for one:

    [video55_left]
    people = [2]

    [video55_right]
    frame_index = 120
    x_px = 411
    y_px = 93

    [video56]
    people = [1]
    frames = [[0, 22], [83, 112]]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from data.settings import read_toml
from data.tracks.fragments import Face
from data.tracks.people import Person, in_frames

_POINT = ("frame_index", "x_px", "y_px")


class HintError(ValueError):
    """A hint does not fit the people that were found: the file of hints is wrong, not the video."""


@dataclass(frozen=True)
class Hint:
    """Either the numbers of people, counted from 1, or a frame and x and y in px of it; and which of their frames."""

    source: str = field(compare=False)
    """File and table, for messages."""
    people: tuple[int, ...] = ()
    point: tuple[int, float, float] | None = None
    frames: tuple[tuple[int, int], ...] = ()
    """First and last frame of each stretch; none if all frames count."""

    @property
    def key(self) -> list[Any]:
        """Everything that the result depends on."""
        return [self.people, self.point, *([self.frames] if self.frames else [])]

    def takes(self, face: Face) -> bool:
        return not self.frames or any(first <= face.frame_index <= last for first, last in self.frames)


def read_hints(path: Path, track_ids: Sequence[str]) -> dict[str, Hint]:
    """The hints of a file, by track.

    Raises:
        ValueError: The file is missing or not TOML, an entry is not a hint, or a track is not one of `track_ids`.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected a file with track hints, found none")
    tables = read_toml(path)
    unknown = sorted(set(tables) - set(track_ids))
    if unknown:
        raise ValueError(f"{path}: no track {', '.join(unknown)}; there are {', '.join(sorted(track_ids)) or 'none'}")
    return {track_id: _hint(f"{path} [{track_id}]", table) for track_id, table in tables.items()}


def _hint(source: str, table: Any) -> Hint:
    names = set(table) if isinstance(table, dict) else set()
    frames = tuple(map(tuple, table["frames"])) if "frames" in names and _are_stretches(table["frames"]) else ()
    if not names.isdisjoint({"frames"}) and not frames:
        raise ValueError(
            f"{source}: expected frames = [[0, 22], [83, 112]], the first and last frame of each stretch; found"
            f" {table['frames']}"
        )
    names -= {"frames"}
    if names == {"people"} and _are_numbers(table["people"]):
        return Hint(source, people=tuple(sorted(set(table["people"]))), frames=frames)
    if names == set(_POINT) and type(table["frame_index"]) is int and all(map(_is_number, map(table.get, _POINT))):
        point = (int(table["frame_index"]), float(table["x_px"]), float(table["y_px"]))
        return Hint(source, point=point, frames=frames)
    raise ValueError(f"{source}: expected people = [1] or frame_index, x_px and y_px, all numbers; found {table}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_stretches(frames: Any) -> bool:
    return (
        isinstance(frames, list)
        and bool(frames)
        and all(_are_numbers(stretch) and len(stretch) == 2 and 0 <= stretch[0] <= stretch[1] for stretch in frames)
    )


def _are_numbers(people: Any) -> bool:
    return isinstance(people, list) and bool(people) and all(type(number) is int for number in people)


def hinted_people(hints: Mapping[str, Hint], people: Sequence[Person]) -> dict[str, Person]:
    """The person of each hinted track; several people in one hint become one person.

    Raises:
        HintError: Nobody has that number or is at that point, the people of a hint appear in the same frame or not in
            its frames, or two hints take the same face.
    """
    numbers = {track_id: _numbers(hint, people) for track_id, hint in hints.items()}
    found = {
        track_id: _as_one([people[number - 1] for number in numbers[track_id]], hint)
        for track_id, hint in hints.items()
    }
    for (one, ones), (other, others) in pairwise(found.items()):
        shared = {face.row for face in ones.faces} & {face.row for face in others.faces}
        for number in sorted(set(numbers[one]) & set(numbers[other])) if shared else ():
            raise HintError(
                f"{hints[other].source}: person {number} already belongs to {one}; a person has only one track, or"
                " frames of each that do not overlap"
            )
    return found


def _numbers(hint: Hint, people: Sequence[Person]) -> tuple[int, ...]:
    absent = [number for number in hint.people if not 1 <= number <= len(people)]
    if absent:
        raise HintError(f"{hint.source}: no person {absent[0]}; found {_listed(people)}")
    return hint.people if hint.point is None else (_at(hint, hint.point, people),)


def _at(hint: Hint, point: tuple[int, float, float], people: Sequence[Person]) -> int:
    frame_index, x_px, y_px = point
    faces = {number: face for number, person in enumerate(people, 1) if (face := _face_in(person, frame_index))}
    distances = {
        math.hypot(face.x_px - x_px, face.y_px - y_px): number
        for number, face in faces.items()
        if abs(face.x_px - x_px) <= face.w_px / 2 and abs(face.y_px - y_px) <= face.h_px / 2
    }
    if not distances:
        there = "; ".join(f"person {number} at x {face.x_px:.0f}, y {face.y_px:.0f}" for number, face in faces.items())
        raise HintError(
            f"{hint.source}: no face at x {x_px:g}, y {y_px:g} of frame {frame_index}; there is {there or 'none'}"
        )
    return distances[min(distances)]


def _face_in(person: Person, frame_index: int) -> Face | None:
    return next((face for face in person.faces if face.frame_index == frame_index), None)


def _as_one(people: Sequence[Person], hint: Hint) -> Person:
    if len(people) == 1 and not hint.frames:
        return people[0]
    faces = sorted(
        (face for person in people for face in person.faces if hint.takes(face)), key=lambda face: face.frame_index
    )
    if not faces:
        asked = " and ".join(f"{first} to {last}" for first, last in hint.frames)
        seen = "; ".join(f"one is seen in {in_frames(person)}" for person in people)
        raise HintError(f"{hint.source}: none of these people is seen in frames {asked}; {seen}")
    for one, other in pairwise(faces):
        if one.frame_index == other.frame_index:
            raise HintError(f"{hint.source}: frame {one.frame_index} shows these people together; name only one")
    return Person(faces, sum(person.num_fragments for person in people))


def _listed(people: Sequence[Person]) -> str:
    return (
        "; ".join(
            f"{number} ({len(person.faces)} frames, about x {person.x_px:.0f})"
            for number, person in enumerate(people, 1)
        )
        or "nobody"
    )

"""The people of a video -> the person of each of its tracks, by which rule and by what margin."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from data.tracks.people import Person

_FEWEST_FACES = 12
"""In a video without annotations, people with fewer frames than this get no track if others have twice as many."""
_FROM_OTHER_SHOTS = 0.4
"""Largest `side_margin` of people whom no shot shows both; a doubt is told."""
_PERSON_SUFFIX = re.compile(r"_(left|right)$")


class Rule(StrEnum):
    """Why a person is a track's."""

    MOST_PROMINENT = "most_prominent"
    SIDE = "side"
    OTHER_SIDE = "other_side"
    """A track without suffix gets the person who is left when the track with a suffix has its person."""
    HALF_OF_FRAME = "half_of_frame"
    """Only one person was found for two tracks."""
    HINT = "hint"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Choice:
    """The person of a track. Margins are 0 for a toss-up and 1 without an alternative; None where not used."""

    person: Person | None
    rule: Rule
    runner_up: Person | None = None
    """The most prominent person without a track."""
    prominence_margin: float | None = None
    """1 less the runner-up's prominence as a share of this person's."""
    side_margin: float | None = None
    """Of the frames with both people, the share with this one on the track's side minus the share on the other side; if
    no frame has both, their distance in face sizes, up to 1; less if no shot has both. For `half_of_frame`, the
    distance from the middle as a share of half the width.
    """


def assign_tracks(
    track_ids: Sequence[str],
    people: Sequence[Person],
    frame_width_px: float,
    hinted: Mapping[str, Person] | None = None,
    cuts: Sequence[int] = (),
) -> dict[str, Choice]:
    """The person of each annotated track of a video.

    A single track belongs to the most prominent person. Two tracks belong to the two most prominent people; `_left` and
    `_right` are assigned by position in the frames that show both, or else in the shots that do, and a track without
    suffix gets the other person. If only one person is found for two tracks, the half of the frame decides. Hinted
    people are taken as given; the other track then gets the most prominent remaining person. `cuts` are the first
    frames of further shots.

    Raises:
        ValueError: The names of the tracks are ambiguous.
    """
    check_names(track_ids)
    hinted = hinted or {}
    sides = {track_id: _side(track_id) for track_id in track_ids}
    free = _without(people, list(hinted.values()))
    choices = {track_id: Choice(person, Rule.HINT) for track_id, person in hinted.items()}
    left = [track_id for track_id in track_ids if track_id not in hinted]
    if not free:
        choices |= {track_id: Choice(None, Rule.NOBODY) for track_id in left}
    elif len(left) == 1 and (hinted or sides[left[0]] is None or len(free) == 1):
        choices[left[0]] = _most_prominent(free)
    elif left:
        choices |= _by_side({track_id: sides[track_id] for track_id in left}, free, frame_width_px, cuts)
    return {track_id: choices[track_id] for track_id in track_ids}


def check_names(track_ids: Sequence[str]) -> None:
    """Checks that the names of a video's tracks are unambiguous.

    Raises:
        ValueError: They are ambiguous.
    """
    sides = [_side(track_id) for track_id in track_ids]
    if not 1 <= len(sides) <= 2 or len(set(sides)) != len(sides):
        raise ValueError(
            f"tracks {', '.join(track_ids) or '(none)'}: expected one track, or two of which at least one ends in "
            "_left or _right; rename the annotation files"
        )


def name_people(video_id: str, people: Sequence[Person]) -> dict[str, Choice]:
    """Tracks for a video without annotations: one per person, named after the video, numbered if there are several.

    People who appear only briefly are skipped; a video without people has one empty track.
    """
    most = max((len(person.faces) for person in people), default=0)
    seen = [person for person in people if len(person.faces) >= min(_FEWEST_FACES, most / 2)]
    if not seen:
        return {video_id: Choice(None, Rule.NOBODY)}
    names = [video_id] if len(seen) == 1 else [f"{video_id}_person{number}" for number in range(1, len(seen) + 1)]
    return {name: Choice(person, Rule.MOST_PROMINENT) for name, person in zip(names, seen, strict=True)}


def _side(track_id: str) -> str | None:
    match = _PERSON_SUFFIX.search(track_id)
    return match.group(1) if match else None


def _without(people: Sequence[Person], taken: Sequence[Person]) -> list[Person]:
    """The people, and what is left of those who were taken in part, the most prominent first."""
    rows = {face.row for person in taken for face in person.faces}
    free = []
    for person in people:
        faces = [face for face in person.faces if face.row not in rows]
        if faces:
            free.append(person if len(faces) == len(person.faces) else replace(person, faces=faces))
    return sorted(free, key=lambda person: -person.prominence_px) if rows else free


def _most_prominent(people: Sequence[Person]) -> Choice:
    chosen, runner_up = people[0], people[1] if len(people) > 1 else None
    return Choice(chosen, Rule.MOST_PROMINENT, runner_up, _prominence_margin(chosen, runner_up))


def _prominence_margin(chosen: Person, runner_up: Person | None) -> float:
    return 1 - runner_up.prominence_px / chosen.prominence_px if runner_up else 1.0


def _by_side(
    sides: Mapping[str, str | None], people: Sequence[Person], frame_width_px: float, cuts: Sequence[int]
) -> dict[str, Choice]:
    if len(people) == 1:
        return _by_half(sides, people[0], frame_width_px)
    runner_up = people[2] if len(people) > 2 else None
    prominence_margin = _prominence_margin(people[1], runner_up)
    lead = _lead(people[0], people[1], cuts)
    left, right = (people[0], people[1]) if lead >= 0 else (people[1], people[0])
    left_over = "right" if "left" in sides.values() else "left"
    return {
        track_id: Choice(
            left if (side or left_over) == "left" else right,
            Rule.SIDE if side else Rule.OTHER_SIDE,
            runner_up,
            prominence_margin,
            abs(lead),
        )
        for track_id, side in sides.items()
    }


def _by_half(sides: Mapping[str, str | None], person: Person, frame_width_px: float) -> dict[str, Choice]:
    from_middle = person.x_px / (frame_width_px / 2) - 1
    half = "left" if from_middle < 0 else "right"
    left_over = "right" if "left" in sides.values() else "left"
    found = Choice(person, Rule.HALF_OF_FRAME, None, 1.0, min(1.0, abs(from_middle)))
    return {
        track_id: found if (side or left_over) == half else Choice(None, Rule.NOBODY)
        for track_id, side in sides.items()
    }


def _lead(first: Person, second: Person, cuts: Sequence[int]) -> float:
    """How much more of the frames with both have the first to the left of the second than to the right, -1 to 1.

    Where no frame shows both it is the distance of their mean places, in faces, over the shots that show both. Where no
    shot does, their places say little: it is at most `_FROM_OTHER_SHOTS`.
    """
    x_first, x_second = ({face.frame_index: face.x_px for face in person.faces} for person in (first, second))
    if both := sorted(x_first.keys() & x_second.keys()):
        return float(np.mean([np.sign(x_second[index] - x_first[index]) for index in both]))
    shots = [_places_by_shot(person, cuts) for person in (first, second)]
    shared = [(shots[0][shot], shots[1][shot]) for shot in shots[0].keys() & shots[1].keys()]
    x_px, most = ((first.x_px, second.x_px), _FROM_OTHER_SHOTS) if not shared else (np.mean(shared, axis=0), 1.0)
    return float(np.clip((x_px[1] - x_px[0]) / np.sqrt(first.size_px * second.size_px), -most, most))


def _places_by_shot(person: Person, cuts: Sequence[int]) -> dict[int, float]:
    """The mean x in px of a person in each shot."""
    places: dict[int, list[float]] = {}
    for face in person.faces:
        places.setdefault(bisect_right(cuts, face.frame_index), []).append(face.x_px)
    return {shot: float(np.mean(of_shot)) for shot, of_shot in places.items()}

"""The people of a video -> the person of each of its tracks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from data.people import Person

_FEWEST_FACES = 12
"""Who is seen in fewer frames has no track in a video without annotations, where others are seen in twice as many."""
_PERSON_SUFFIX = re.compile(r"_(left|right)$")


def assign_tracks(
    track_ids: Sequence[str], people: Sequence[Person], frame_width_px: float
) -> dict[str, Person | None]:
    """The person of each annotated track of a video, or None where nobody is left for it.

    One track is the most prominent person. Two tracks are the two most prominent; `_left` and `_right` are told apart
    by their mean position in the frames that show both, and a track without suffix is the one that is left over. With
    only one person found for two tracks, the half of the frame decides.

    Raises:
        ValueError: The names do not say who is who.
    """
    check_names(track_ids)
    sides = {track_id: _side(track_id) for track_id in track_ids}
    if not people:
        return dict.fromkeys(track_ids)
    if len(track_ids) == 1 and (sides[track_ids[0]] is None or len(people) == 1):
        return {track_ids[0]: people[0]}
    by_side = _left_and_right(people, frame_width_px)
    left_over = "right" if "left" in sides.values() else "left"
    return {track_id: by_side[side or left_over] for track_id, side in sides.items()}


def check_names(track_ids: Sequence[str]) -> None:
    """Whether the names of a video's tracks say who is who.

    Raises:
        ValueError: They do not.
    """
    sides = [_side(track_id) for track_id in track_ids]
    if not 1 <= len(sides) <= 2 or len(set(sides)) != len(sides):
        raise ValueError(
            f"tracks {', '.join(track_ids) or '(none)'}: expected one, or two of which one at least ends in _left or "
            "_right; rename the annotation files"
        )


def name_people(video_id: str, people: Sequence[Person]) -> dict[str, Person | None]:
    """Tracks for a video without annotations: a person each, named by the video, numbered if there are several.

    Who is seen for a moment only is left out; a video without anybody has one empty track.
    """
    most = max((len(person.faces) for person in people), default=0)
    seen = [person for person in people if len(person.faces) >= min(_FEWEST_FACES, most / 2)]
    if len(seen) < 2:
        return {video_id: seen[0] if seen else None}
    return {f"{video_id}_person{number}": person for number, person in enumerate(seen, start=1)}


def _side(track_id: str) -> str | None:
    match = _PERSON_SUFFIX.search(track_id)
    return match.group(1) if match else None


def _left_and_right(people: Sequence[Person], frame_width_px: float) -> dict[str, Person | None]:
    if len(people) == 1:
        side, other = ("left", "right") if people[0].x_px < frame_width_px / 2 else ("right", "left")
        return {side: people[0], other: None}
    first, second = ({face.frame_index: face.x_px for face in person.faces} for person in people[:2])
    both = first.keys() & second.keys()
    x_first, x_second = (np.mean([x[index] for index in sorted(both or x)]) for x in (first, second))
    left, right = (people[0], people[1]) if x_first <= x_second else (people[1], people[0])
    return {"left": left, "right": right}

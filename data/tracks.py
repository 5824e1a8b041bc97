"""Faces found in the frames of a video -> people over time -> the person of each annotated track.

First faces of following frames are joined into fragments, by an assignment that is the best over all faces of a frame.
Then fragments that never share a moment, look alike and lie near become one person: who leaves and comes back is the
same. Lengths are in units of the face's own size, so that a video's resolution does not matter.
Shapes: F faces of a frame, G fragments, L length of the descriptor of looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

_LONGEST_GAP_S = 2.0
"""For longer a face cannot be missed within a fragment."""
_REACH, _REACH_PER_S = 0.5, 2.0
"""How far a face can be from where it was last, in faces, and how much further per second without it."""
_GROWTH, _GROWTH_PER_S = 1.4, 0.5
"""By which factor its size can differ, and how much more so per second."""
_SAME_LOOK_NEXT = 0.35
"""Largest difference of looks within a fragment: measured 0.20 at most between a person's frames and their mean."""
_SAME_LOOK = 0.24
"""Largest difference of looks, and of place, between fragments of one person: measured 0.11 at most within a person,
0.31 and more between people whose faces are larger than 40 px."""
_PLACE_WEIGHT, _LARGEST_PLACE = 0.04, 3.0
"""What a face's size of distance between fragments adds to their difference of looks, up to how many sizes."""
_MEMORY = 0.9
"""Share of the remembered look that stays when the next face is added to a fragment."""
_SHORTEST_S = 0.5
_IMPOSSIBLE = 1e6

_PERSON_SUFFIX = re.compile(r"_(left|right)$")


class FrameFaces(NamedTuple):
    """What is known of the faces of a frame."""

    frame_index: int
    time_s: float
    boxes_F4: np.ndarray
    looks_FL: np.ndarray
    """Square roots of histograms, of length 1: see `data.crops.appearances`."""


class Face(NamedTuple):
    row: int
    """Number of the face among all faces of the video."""
    frame_index: int
    time_s: float
    x_px: float
    y_px: float
    size_px: float


@dataclass(frozen=True)
class Person:
    """One person of a video, with at most one face in a frame."""

    faces: list[Face] = field(repr=False)
    """In the order of the frames."""
    seen_s: float

    @property
    def x_px(self) -> float:
        return float(np.mean([face.x_px for face in self.faces]))

    @property
    def size_px(self) -> float:
        return float(np.mean([face.size_px for face in self.faces]))

    @property
    def prominence_px(self) -> float:
        """Mean size times frames: who is seen for long, and large, is whom the video is about."""
        return float(np.sum([face.size_px for face in self.faces]))


@dataclass(frozen=True)
class _Fragment:
    """Faces that follow each other."""

    faces: list[Face]
    recent_look_L: np.ndarray
    summed_look_L: np.ndarray


@dataclass(frozen=True)
class _Group:
    """Fragments of one person."""

    fragments: list[_Fragment]
    num_faces: int
    summed_look_L: np.ndarray
    summed_place_3: np.ndarray
    """x, y and size."""


def find_people(frames: Iterable[FrameFaces]) -> list[Person]:
    """The people of a video, the most prominent first; every face belongs to one of them."""
    people = [_person(group) for group in _merge([_group(fragment) for fragment in _link(frames)])]
    return sorted(people, key=lambda person: (-person.prominence_px, person.faces[0].row))


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
    sides = {track_id: _side(track_id) for track_id in track_ids}
    known = list(sides.values())
    if not 1 <= len(known) <= 2 or len(set(known)) != len(known):
        raise ValueError(
            f"tracks {', '.join(track_ids) or '(none)'}: expected one, or two of which one at least ends in _left or "
            "_right; rename the annotation files"
        )
    if not people:
        return dict.fromkeys(track_ids)
    if len(track_ids) == 1 and (known[0] is None or len(people) == 1):
        return {track_ids[0]: people[0]}
    by_side = _left_and_right(people, frame_width_px)
    left_over = "right" if "left" in known else "left"
    return {track_id: by_side[side or left_over] for track_id, side in sides.items()}


def name_people(video_id: str, people: Sequence[Person]) -> dict[str, Person | None]:
    """Tracks for a video without annotations: a person each, named by the video, numbered if there are several.

    Who is seen for a moment only is left out; a video without anybody has one empty track.
    """
    longest_s = max((person.seen_s for person in people), default=0.0)
    seen = [person for person in people if person.seen_s >= min(_SHORTEST_S, longest_s / 2)]
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


def _link(frames: Iterable[FrameFaces]) -> list[_Fragment]:
    fragments: list[_Fragment] = []
    recent: list[_Fragment] = []
    row = 0
    for frame in frames:
        faces = [
            Face(
                row + number, frame.frame_index, frame.time_s, float(x + w / 2), float(y + h / 2), float(np.sqrt(w * h))
            )
            for number, (x, y, w, h) in enumerate(frame.boxes_F4)
        ]
        row += len(faces)
        recent = [fragment for fragment in recent if frame.time_s - fragment.faces[-1].time_s <= _LONGEST_GAP_S]
        partners = _partners(recent, faces, frame.looks_FL)
        for number, (face, look_L) in enumerate(zip(faces, frame.looks_FL, strict=True)):
            if number in partners:
                _extend(recent[partners[number]], face, look_L)
            else:
                fragments.append(_Fragment([face], look_L.copy(), look_L.astype(np.float64)))
                recent.append(fragments[-1])
    return fragments


def _extend(fragment: _Fragment, face: Face, look_L: np.ndarray) -> None:
    fragment.faces.append(face)
    fragment.summed_look_L[:] += look_L
    fragment.recent_look_L[:] = _MEMORY * fragment.recent_look_L + (1 - _MEMORY) * look_L


def _partners(recent: Sequence[_Fragment], faces: Sequence[Face], looks_FL: np.ndarray) -> dict[int, int]:
    """Which fragment each face goes on with, by their numbers: the cheapest assignment, without those out of reach."""
    if not recent or not faces:
        return {}
    last = np.array([fragment.faces[-1][2:] for fragment in recent])[:, None]
    now = np.array([face[2:] for face in faces])[None]
    gap_s = now[..., 0] - last[..., 0]
    size_px = np.sqrt(now[..., 3] * last[..., 3])
    shift = np.hypot(now[..., 1] - last[..., 1], now[..., 2] - last[..., 2]) / size_px
    growth = np.abs(np.log(now[..., 3] / last[..., 3]))
    look = _difference(np.stack([fragment.recent_look_L for fragment in recent]), looks_FL)
    shares = np.stack(
        [
            shift / (_REACH + _REACH_PER_S * gap_s),
            growth / np.log(_GROWTH + _GROWTH_PER_S * gap_s),
            look / _SAME_LOOK_NEXT,
        ]
    )
    cost = np.where((shares <= 1).all(0), shares.sum(0), _IMPOSSIBLE)
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return {int(number): int(fragment) for fragment, number in pairs if cost[fragment, number] < _IMPOSSIBLE}


def _difference(looks_NL: np.ndarray, others_ML: np.ndarray) -> np.ndarray:
    """Hellinger distance of every pair of looks, in [0, 1]."""
    scale = np.linalg.norm(looks_NL, axis=1)[:, None] * np.linalg.norm(others_ML, axis=1)
    common: np.ndarray = looks_NL @ others_ML.T / scale
    difference: np.ndarray = np.sqrt((1 - common).clip(0))
    return difference


def _merge(groups: list[_Group]) -> list[_Group]:
    """Again and again the two groups that differ least become one, until no two can be the same person."""
    if not groups:
        return []
    left: list[_Group | None] = [*groups]
    difference_GG = np.stack([_differences(index, left) for index in range(len(left))])
    while (least := difference_GG.min()) <= _SAME_LOOK:
        kept, gone = (int(indices[0]) for indices in np.nonzero(difference_GG == least))
        left[kept], left[gone] = _united(left[kept], left[gone]), None
        difference_GG[gone] = difference_GG[:, gone] = np.inf
        difference_GG[kept] = difference_GG[:, kept] = _differences(kept, left)
    return [group for group in left if group is not None]


def _differences(index: int, groups: Sequence[_Group | None]) -> np.ndarray:
    """How a group differs from each in looks and place; infinite from itself and from those seen beside it."""
    differences_G = np.full(len(groups), np.inf)
    group = groups[index]
    others = {
        number: other
        for number, other in enumerate(groups)
        if group and other and number != index and not _seen_together(group, other)
    }
    if group and others:
        place_3 = group.summed_place_3 / group.num_faces
        places_G3 = np.stack([other.summed_place_3 / other.num_faces for other in others.values()])
        shift = np.hypot(*(places_G3 - place_3)[:, :2].T) / np.sqrt(place_3[2] * places_G3[:, 2])
        look = _difference(group.summed_look_L[None], np.stack([other.summed_look_L for other in others.values()]))[0]
        differences_G[list(others)] = look + _PLACE_WEIGHT * shift.clip(max=_LARGEST_PLACE)
    return differences_G


def _seen_together(group: _Group, other: _Group) -> bool:
    return any(
        one.faces[0].frame_index <= two.faces[-1].frame_index and two.faces[0].frame_index <= one.faces[-1].frame_index
        for one in group.fragments
        for two in other.fragments
    )


def _group(fragment: _Fragment) -> _Group:
    place_3 = np.sum([face[3:] for face in fragment.faces], axis=0)
    return _Group([fragment], len(fragment.faces), fragment.summed_look_L, place_3)


def _united(group: _Group | None, other: _Group | None) -> _Group:
    assert group
    assert other
    return _Group(
        group.fragments + other.fragments,
        group.num_faces + other.num_faces,
        group.summed_look_L + other.summed_look_L,
        group.summed_place_3 + other.summed_place_3,
    )


def _person(group: _Group) -> Person:
    faces = sorted(face for fragment in group.fragments for face in fragment.faces)
    return Person(faces, sum(fragment.faces[-1].time_s - fragment.faces[0].time_s for fragment in group.fragments))

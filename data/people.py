"""Faces found in the frames of a video -> people over time.

First faces of following frames are joined into fragments, by an assignment that is the best over all faces of a frame.
Then fragments that never share a moment, look alike and lie near become one person: who leaves and comes back is the
same. Lengths are in units of the face's own size, so that a video's resolution does not matter.
Shapes: F faces of a frame, G groups of fragments, L length of the descriptor of looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

_LONGEST_GAP_S = 2.0
"""For longer a face cannot be missed within a fragment."""
_REACH, _REACH_PER_S = 1.0, 2.0
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
_IMPOSSIBLE = 1e6


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
    groups = {number: _group(fragment) for number, fragment in enumerate(_link(frames))}
    people = [_person(group) for group in _merge(groups)]
    return sorted(people, key=lambda person: (-person.prominence_px, person.faces[0].row))


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


def _merge(groups: dict[int, _Group]) -> list[_Group]:
    """Again and again the two groups that differ least become one, until no two can be the same person."""
    difference_GG = np.array([_differences(number, groups, len(groups)) for number in groups])
    while groups and (least := difference_GG.min()) <= _SAME_LOOK:
        kept, gone = (int(numbers[0]) for numbers in np.nonzero(difference_GG == least))
        groups[kept] = _united(groups[kept], groups.pop(gone))
        difference_GG[gone] = difference_GG[:, gone] = np.inf
        difference_GG[kept] = difference_GG[:, kept] = _differences(kept, groups, len(difference_GG))
    return list(groups.values())


def _differences(number: int, groups: dict[int, _Group], size: int) -> np.ndarray:
    """How a group differs from each in looks and place; infinite from itself and from those seen beside it."""
    differences_G = np.full(size, np.inf)
    group = groups[number]
    others = {other: groups[other] for other in groups if other != number and not _seen_together(group, groups[other])}
    if others:
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


def _united(group: _Group, other: _Group) -> _Group:
    return _Group(
        group.fragments + other.fragments,
        group.num_faces + other.num_faces,
        group.summed_look_L + other.summed_look_L,
        group.summed_place_3 + other.summed_place_3,
    )


def _person(group: _Group) -> Person:
    faces = sorted(face for fragment in group.fragments for face in fragment.faces)
    return Person(faces)

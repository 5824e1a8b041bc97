"""Faces in the frames of a video -> fragments: stretches of consecutive faces of one person.

The faces of each frame are assigned to fragments at the lowest total cost. Lengths are in units of face size, so that
resolution does not matter. Shapes: F faces of a frame, L length of the colour descriptor.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

ASSUMED_HZ = 25.0
"""Frame rate for following people where a file has no timestamps; it is not stored."""
_LONGEST_GAP_S = 2.0
"""For longer a face cannot be missed within a fragment."""
_REACH, _REACH_PER_S = 1.0, 2.0
"""How far, in faces, a face can be from where its last speed takes it, and how much further per second without it."""
_SPEED_OVER_S, _LONGEST_AHEAD_S = 0.06, 0.25
"""Shortest time over which a face's speed is measured, and longest time for which it is extrapolated."""
_GROWTH, _GROWTH_PER_S = 1.4, 0.5
"""Largest factor between sizes, and how much it grows per second."""
_SAME_LOOK_NEXT = 0.35
"""Largest difference of appearance within a fragment; measured: at most 0.20 between a person's frames and their mean.
"""
_MEMORY = 0.9
"""Weight of the remembered appearance when the next face is added to a fragment."""
_BLOCK = 10
_IMPOSSIBLE = 1e6


class FrameFaces(NamedTuple):
    """The faces of a frame."""

    frame_index: int
    time_s: float
    boxes_F4: np.ndarray
    looks_FL: np.ndarray
    """Square roots of histograms, of length 1: see `data.faces.crops.appearances`."""
    scores_F: Sequence[float | None] | None = None
    """None where a face is interpolated, or not known."""


class Face(NamedTuple):
    row: int
    """Number of the face among all faces of the video."""
    frame_index: int
    time_s: float
    x_px: float
    y_px: float
    """Position of the middle of its box."""
    w_px: float
    h_px: float
    score: float | None = None
    """Of the detector; None if it is interpolated."""

    @property
    def size_px(self) -> float:
        return math.sqrt(self.w_px * self.h_px)


@dataclass
class Fragment:
    """Consecutive faces of one person."""

    faces: list[Face]
    recent_look_L: np.ndarray
    looks_L: list[np.ndarray]
    """The sum of every `_BLOCK` faces' looks."""

    def summed_look(self) -> np.ndarray:
        look_L: np.ndarray = np.sum(self.looks_L, axis=0)
        return look_L

    def cut(self, number: int) -> tuple[Fragment, Fragment]:
        """The parts before and from face `number` on; their looks are divided at the nearest block."""
        block = round(number / _BLOCK)
        before, after = self.looks_L[: max(block, 1)], self.looks_L[min(block, len(self.looks_L) - 1) :]
        return (
            Fragment(self.faces[:number], self.recent_look_L, before),
            Fragment(self.faces[number:], self.recent_look_L, after),
        )


def link(frames: Iterable[FrameFaces], cuts: Sequence[int] = ()) -> list[Fragment]:
    """The fragments of a video in the order of their first faces; every face belongs to one of them.

    `cuts` are the first frames of further shots, in order; no fragment goes on in another shot.
    """
    fragments: list[Fragment] = []
    recent: list[Fragment] = []
    row, shot = 0, 0
    for frame in frames:
        if bisect_right(cuts, frame.frame_index) != shot:
            shot, recent = bisect_right(cuts, frame.frame_index), []
        faces = _faces(frame, row)
        row += len(faces)
        recent = [fragment for fragment in recent if frame.time_s - fragment.faces[-1].time_s <= _LONGEST_GAP_S]
        partners = _partners(recent, faces, frame.looks_FL)
        for number, (face, look_L) in enumerate(zip(faces, frame.looks_FL, strict=True)):
            if number in partners:
                _extend(recent[partners[number]], face, look_L)
            else:
                fragments.append(Fragment([face], look_L.copy(), [look_L.astype(np.float64)]))
                recent.append(fragments[-1])
    return fragments


def _faces(frame: FrameFaces, first_row: int) -> list[Face]:
    faces = []
    for number, (x, y, w, h) in enumerate(frame.boxes_F4):
        place = float(x + w / 2), float(y + h / 2), float(w), float(h)
        score = frame.scores_F[number] if frame.scores_F else None
        faces.append(Face(first_row + number, frame.frame_index, frame.time_s, *place, score))
    return faces


def _extend(fragment: Fragment, face: Face, look_L: np.ndarray) -> None:
    if len(fragment.faces) % _BLOCK == 0:
        fragment.looks_L.append(np.zeros(len(look_L)))
    fragment.faces.append(face)
    fragment.looks_L[-1] += look_L
    fragment.recent_look_L[:] = _MEMORY * fragment.recent_look_L + (1 - _MEMORY) * look_L


def _partners(recent: Sequence[Fragment], faces: Sequence[Face], looks_FL: np.ndarray) -> dict[int, int]:
    """The fragment that each face continues, by index: the cheapest assignment, without those out of reach."""
    if not recent or not faces:
        return {}
    last = np.array([moment(fragment.faces[-1]) for fragment in recent])[:, None]
    speed_F2 = np.array([_speed(fragment.faces) for fragment in recent])[:, None]
    now = np.array([moment(face) for face in faces])[None]
    gap_s = now[..., 0] - last[..., 0]
    size_px = np.sqrt(now[..., 3] * last[..., 3])
    ahead = last[..., 1:3] + speed_F2 * gap_s[..., None].clip(max=_LONGEST_AHEAD_S)
    shift = np.linalg.norm(now[..., 1:3] - ahead, axis=-1) / size_px
    growth = np.abs(np.log(now[..., 3] / last[..., 3]))
    look = difference(np.stack([fragment.recent_look_L for fragment in recent]), looks_FL)
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


def _speed(faces: Sequence[Face]) -> tuple[float, float]:
    """How fast a face last moved, in px per second."""
    last = faces[-1]
    before = next((face for face in faces[-2:-5:-1] if last.time_s - face.time_s >= _SPEED_OVER_S), None)
    if before is None or last.time_s - before.time_s > _LONGEST_AHEAD_S:
        return 0.0, 0.0
    passed_s = last.time_s - before.time_s
    return (last.x_px - before.x_px) / passed_s, (last.y_px - before.y_px) / passed_s


def moment(face: Face) -> tuple[float, float, float, float]:
    return face.time_s, face.x_px, face.y_px, face.size_px


def difference(looks_NL: np.ndarray, others_ML: np.ndarray) -> np.ndarray:
    """Hellinger distance of every pair of descriptors, in [0, 1]."""
    scale = np.linalg.norm(looks_NL, axis=1)[:, None] * np.linalg.norm(others_ML, axis=1)
    common: np.ndarray = looks_NL @ others_ML.T / scale
    difference: np.ndarray = np.sqrt((1 - common).clip(0))
    return difference

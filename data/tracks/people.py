"""Fragments of a video -> the people in it.

Fragments that never overlap in time, look alike and are close in position become one person, so that somebody who
leaves and comes back is the same person. Shapes: G groups of fragments.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from data.tracks import identity
from data.tracks.fragments import Face, Fragment, FrameFaces, difference, link, moment

_SAME_LOOK = identity.LIMIT
"""Largest difference of appearance and position between fragments of one person; measured: at most 0.11 within a
person, and at least 0.31 between people whose faces are larger than 40 px.
"""
_LONG_ABSENCE, _SHOWN_STRETCHES = 12, 3
_PLACE_WEIGHT, _LARGEST_PLACE = 0.04, 3.0
"""Difference that each face size of distance between fragments adds, and the distance up to which it counts."""


@dataclass(frozen=True)
class Person:
    """One person of a video, with at most one face per frame.

    The margins are differences of appearance and position, from 0 to about 1. They say how certain it is that these are
    all faces of one person and nobody else's. Infinite if there was nothing to decide.
    """

    faces: list[Face] = field(repr=False)
    """Ordered by frame."""
    num_fragments: int = 1
    """Stretches without a long absence that were joined."""
    join_margin: float = math.inf
    """By how much the most doubtful join of fragments was below the limit for joining."""
    rival_margin: float = math.inf
    """Smallest amount by which a fragment was closer to this person than to anyone else it could have belonged to."""
    split_margin: float = math.inf
    """By how much the most similar person who never appears beside this one exceeded the limit for joining."""
    most_similar: int | None = None
    """Index of that person in the list returned by `find_people`."""
    surely_others: frozenset[int] = frozenset()
    """Indices of the people whose faces are surely not this one's; empty if nobody was recognised."""

    @property
    def x_px(self) -> float:
        return float(np.mean([face.x_px for face in self.faces]))

    @property
    def size_px(self) -> float:
        return float(np.mean([face.size_px for face in self.faces]))

    @property
    def prominence_px(self) -> float:
        """Mean size times number of frames: a video is about the people who are large and on screen for long."""
        return float(np.sum([face.size_px for face in self.faces]))


@dataclass(frozen=True)
class _Group:
    """Fragments of one person."""

    fragments: list[Fragment]
    num_faces: int
    summed_look_L: np.ndarray
    summed_place_3: np.ndarray
    """x, y and size."""
    embeddings_E: list[np.ndarray]
    shots: frozenset[int]
    join_margin: float = math.inf
    rival_margin: float = math.inf


Embed = Callable[[Sequence[Fragment]], identity.Embeddings]


def find_people(frames: Iterable[FrameFaces], cuts: Sequence[int] = (), embed: Embed | None = None) -> list[Person]:
    """The people of a video, the most prominent first; every face belongs to one of them.

    Args:
        frames: The frames that have faces.
        cuts: The first frames of further shots.
        embed: Gives embeddings of some faces of each fragment, by which people are recognised; stretches that are no
            face and nobody's are left out. Without it, colours and places decide.
    """
    fragments = link(frames, cuts)
    embeddings = embed(fragments) if embed else {}
    if embed:
        fragments = [part for fragment in fragments for part in identity.parted(fragment, embeddings)]
    groups = {number: _group(fragment, embeddings, cuts) for number, fragment in enumerate(fragments)}
    difference_GG = _merge(groups, by_face=embed is not None)
    for number in [number for number, group in groups.items() if _is_nobody(group, embeddings)]:
        del groups[number]
        difference_GG[:, number] = np.inf
    people = {number: _person(group) for number, group in groups.items()}
    order = sorted(people, key=lambda number: (-people[number].prominence_px, number))
    apart = [_apart(people[number], difference_GG[number], order) for number in order]
    if embed is None:
        return apart
    return [_recognised(person, difference_GG[number], order) for person, number in zip(apart, order, strict=True)]


def in_frames(person: Person) -> str:
    """The stretches in which a person is seen."""
    indices = [face.frame_index for face in person.faces]
    ends = [number for number, (one, other) in enumerate(pairwise(indices)) if other - one > _LONG_ABSENCE]
    bounds = zip([0, *(end + 1 for end in ends)], [*ends, len(indices) - 1], strict=True)
    stretches = [f"{indices[first]} to {indices[last]}" for first, last in bounds]
    more = ["others"] if len(stretches) > _SHOWN_STRETCHES else []
    return "frames " + " and ".join([*stretches[:_SHOWN_STRETCHES], *more])


def _merge(groups: dict[int, _Group], *, by_face: bool) -> np.ndarray:
    """Repeatedly joins the two most similar groups, until no two can be the same person.

    Returns the differences of the remaining groups, by index: infinite for groups that appear together.
    """
    difference_GG = np.array([_differences(number, groups, len(groups), by_face=by_face) for number in groups])
    while groups and (least := difference_GG.min()) <= _SAME_LOOK:
        kept, gone = (int(numbers[0]) for numbers in np.nonzero(difference_GG == least))
        rival_margin = _least_rival(difference_GG[kept], difference_GG[gone], kept, gone) - float(least)
        groups[kept] = _united(groups[kept], groups.pop(gone), _SAME_LOOK - float(least), rival_margin)
        difference_GG[gone] = difference_GG[:, gone] = np.inf
        difference_GG[kept] = difference_GG[:, kept] = _differences(kept, groups, len(difference_GG), by_face=by_face)
    return difference_GG


def _least_rival(kept_G: np.ndarray, gone_G: np.ndarray, kept: int, gone: int) -> float:
    """The smallest difference of one of two groups from a third that appears together with the other."""
    others_G = np.ones(len(kept_G), bool)
    others_G[[kept, gone]] = False
    rivals = np.concatenate([gone_G[others_G & np.isinf(kept_G)], kept_G[others_G & np.isinf(gone_G)]])
    return float(rivals.min(initial=np.inf))


def _differences(number: int, groups: dict[int, _Group], size: int, *, by_face: bool) -> np.ndarray:
    """Difference of a group from each other one; infinite from itself and from those that appear together with it."""
    differences_G = np.full(size, np.inf)
    group = groups[number]
    others = {other: groups[other] for other in groups if other != number and not _seen_together(group, groups[other])}
    if others:
        place_3 = group.summed_place_3 / group.num_faces
        places_G3 = np.stack([other.summed_place_3 / other.num_faces for other in others.values()])
        shift = np.hypot(*(places_G3 - place_3)[:, :2].T) / np.sqrt(place_3[2] * places_G3[:, 2])
        look = difference(group.summed_look_L[None], np.stack([other.summed_look_L for other in others.values()]))[0]
        colours = look + _PLACE_WEIGHT * shift.clip(max=_LARGEST_PLACE)
        if by_face:
            pairs = zip(colours.tolist(), look.tolist(), others.values(), strict=True)
            colours = [_by_face(group, other, both, of_look) for both, of_look, other in pairs]
        differences_G[list(others)] = colours
    return differences_G


def _seen_together(group: _Group, other: _Group) -> bool:
    return any(
        one.faces[0].frame_index <= two.faces[-1].frame_index and two.faces[0].frame_index <= one.faces[-1].frame_index
        for one in group.fragments
        for two in other.fragments
    )


def _by_face(group: _Group, other: _Group, colours: float, look: float) -> float:
    in_one_shot = not group.shots.isdisjoint(other.shots)
    return identity.difference(colours, look, _distance(group, other), in_one_shot=in_one_shot)


def _distance(group: _Group, other: _Group) -> float | None:
    if not group.embeddings_E or not other.embeddings_E:
        return None
    return float(np.linalg.norm(np.mean(group.embeddings_E, axis=0) - np.mean(other.embeddings_E, axis=0)))


def _group(fragment: Fragment, embeddings: identity.Embeddings, cuts: Sequence[int]) -> _Group:
    place_3 = np.sum([moment(face)[1:] for face in fragment.faces], axis=0)
    shots = frozenset({bisect_right(cuts, fragment.faces[0].frame_index)})
    of_face = identity.of_fragment(fragment, embeddings)
    return _Group([fragment], len(fragment.faces), fragment.summed_look(), place_3, of_face, shots)


def _united(group: _Group, other: _Group, join_margin: float, rival_margin: float) -> _Group:
    return _Group(
        group.fragments + other.fragments,
        group.num_faces + other.num_faces,
        group.summed_look_L + other.summed_look_L,
        group.summed_place_3 + other.summed_place_3,
        group.embeddings_E + other.embeddings_E,
        group.shots | other.shots,
        min(group.join_margin, other.join_margin, join_margin),
        min(group.rival_margin, other.rival_margin, rival_margin),
    )


def _is_nobody(group: _Group, embeddings: identity.Embeddings) -> bool:
    return all(identity.is_no_face(fragment, embeddings) for fragment in group.fragments)


def _person(group: _Group) -> Person:
    faces = sorted(face for fragment in group.fragments for face in fragment.faces)
    return Person(faces, len(group.fragments), group.join_margin, group.rival_margin)


def _apart(person: Person, difference_G: np.ndarray, order: list[int]) -> Person:
    nearest = int(difference_G.argmin())
    if np.isinf(difference_G[nearest]):
        return person
    return replace(person, split_margin=float(difference_G[nearest]) - _SAME_LOOK, most_similar=order.index(nearest))


def _recognised(person: Person, difference_G: np.ndarray, order: list[int]) -> Person:
    others = np.flatnonzero(np.isfinite(difference_G) & (difference_G > identity.LIMIT + identity.DOUBTFUL))
    return replace(person, surely_others=frozenset(order.index(int(number)) for number in others))

"""What the embeddings of a few faces of each stretch say: who is the same person, who is another, what is no face.

The limits were measured on film cuts of real and rendered people (docs/people.md). Shapes: E values of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data.tracks.fragments import Face, Fragment

Embeddings = Mapping[int, np.ndarray]
"""Embeddings, E, of some faces, by row."""

LIMIT = 0.24
"""Largest difference, on the scale of margins, between stretches of one person."""
SAME, OTHER = 0.40, 0.62
"""Distances of embeddings, with a share of the colours' difference, up to which two stretches are surely of one person,
and from which they surely are not. Between, people of one shot are told apart by colours and place; over a cut they
stay apart, with a doubt."""
DOUBTFUL = 0.04
"""The scale of margins ends that far above its limit for what is between."""
_UNKNOWN = 0.01
"""By so much and their colours stretches of two shots differ if one has no embedding."""
LOOK_WEIGHT = 0.3
_NEVER_SAME = 0.65
"""Distance of embeddings from which colours and place do not count."""
_ANOTHER, _ANOTHER_BY_ONE = 0.6, 0.7
"""If the faces of a stretch before some moment are that far from those after it, another person took its place; the
second if only one face of a side was embedded, which may be turned away or half hidden."""
_OF_ONE = 0.45
"""Faces of one person are at most so far from their mean."""
_FEWEST_FACES = 3
"""Embeddings of shorter stretches, such as those of overexposed frames, say nothing about who it is."""
_LEAST_NORM, _LEAST_SCORE, _LONG = 1.36, 0.9, 12
"""A stretch of fewer faces is none if its embeddings are shorter and its scores lower: the network's embeddings of
things that only look like a face are close to its centre."""


def difference(colours: float, look: float, distance: float | None, *, in_one_shot: bool) -> float:
    """The difference of two stretches, or groups of them, on the scale of margins.

    Args:
        colours: Difference of colours and position.
        look: Difference of colours alone.
        distance: Of their mean embeddings; None if one has none.
        in_one_shot: Whether any shot shows both.
    """
    if distance is None:
        return colours if in_one_shot else LIMIT + _UNKNOWN + look
    by_face = _scaled(distance + LOOK_WEIGHT * look)
    return min(by_face, colours) if in_one_shot and distance < _NEVER_SAME else by_face


def _scaled(distance: float) -> float:
    if distance <= SAME:
        return distance / SAME * LIMIT
    return LIMIT + (distance - SAME) / (OTHER - SAME) * DOUBTFUL


def of_fragment(fragment: Fragment, embeddings: Embeddings) -> list[np.ndarray]:
    """The embeddings, E, that tell whose faces a stretch has."""
    if len(fragment.faces) < _FEWEST_FACES:
        return []
    return [embeddings[face.row] for face in fragment.faces if face.row in embeddings]


def is_no_face(fragment: Fragment, embeddings: Embeddings) -> bool:
    """Whether a short stretch, such as a clapping hand or a print on a shirt, only looks like a face to the detector.

    Its embeddings, its score and its length say so together.
    """
    norms = [float(np.linalg.norm(embeddings[face.row])) for face in fragment.faces if face.row in embeddings]
    scores = [face.score for face in fragment.faces if face.score is not None]
    if len(fragment.faces) >= _LONG or not norms or not scores:
        return False
    return bool(np.mean(norms) < _LEAST_NORM and np.mean(scores) < _LEAST_SCORE)


def parted(fragment: Fragment, embeddings: Embeddings) -> list[Fragment]:
    """The stretch, or its parts if another person took the place of the first, as when people hide each other."""
    numbers = [number for number, face in enumerate(fragment.faces) if face.row in embeddings]
    faces_NE = np.array([embeddings[fragment.faces[number].row] for number in numbers])
    best, at = 0.0, None
    for first in range(1, len(numbers)):
        before_NE, after_NE = faces_NE[:first], faces_NE[first:]
        apart = float(np.linalg.norm(before_NE.mean(0) - after_NE.mean(0)))
        least = _ANOTHER_BY_ONE if 1 in (len(before_NE), len(after_NE)) else _ANOTHER
        if apart > max(best, least) and _spread(before_NE) < _OF_ONE and _spread(after_NE) < _OF_ONE:
            best, at = apart, first
    if at is None:
        return [fragment]
    between = range(numbers[at - 1], numbers[at])
    split = max(between, key=lambda number: _step(fragment.faces[number], fragment.faces[number + 1])) + 1
    before, after = fragment.cut(split)
    return [*parted(before, embeddings), *parted(after, embeddings)]


def _spread(faces_NE: np.ndarray) -> float:
    return float(np.linalg.norm(faces_NE - faces_NE.mean(0), axis=1).max())


def _step(face: Face, following: Face) -> float:
    """How much happened between two faces, in frames and face sizes."""
    shift_px = np.hypot(following.x_px - face.x_px, following.y_px - face.y_px)
    return float(following.frame_index - face.frame_index + shift_px / face.size_px)

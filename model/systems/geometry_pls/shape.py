"""Points of a face -> the face looking straight ahead, of unit size -> the distances between its points.

Eyes, brows, nose and mouth count; the jaw does not, because the crop often cuts it and the scores are no better with
it. Shapes: N faces, P points (`data.landmarks.points.INDICES`), Q points that count, D pairs of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.landmarks.points import INDICES, PARTS, position

Floats = NDArray[np.float32]

_COUNTS_Q = tuple(number for number, index in enumerate(INDICES) if index not in PARTS["jaw"])
_FIRST_D, _SECOND_D = np.triu_indices(len(_COUNTS_Q), 1)
NUM_DISTANCES = len(_FIRST_D)
_AT_ONCE = 4096
"""Faces whose distances are computed together: some 40 MB."""

_EYES = (position("right_eye", 0), position("left_eye", 3))
"""The outer corners, the person's right one first."""
_MIDDLE = (position("nose_bridge", 0), position("jaw", 8))
"""Between the eyes, and the chin."""


def frontal(points_NP3: Floats) -> Floats:
    """The faces turned to look straight ahead, upright, around the origin, as `shape_NQ2` of unit size.

    The head is turned by the line through the outer corners of the eyes, which becomes horizontal and parallel to the
    picture, and that from between the eyes to the chin, which turns as near to vertical as it then can. Then depth is
    dropped. The size is the root mean square distance of the points from their centroid. NaN stays NaN.

    Raises:
        ValueError: Those lines have no length or are one.
    """
    across_N3 = points_NP3[:, _EYES[1]] - points_NP3[:, _EYES[0]]
    down_N3 = points_NP3[:, _MIDDLE[1]] - points_NP3[:, _MIDDLE[0]]
    away_N3 = np.cross(across_N3, down_N3)
    if (np.linalg.norm(away_N3, axis=1) == 0).any():
        raise ValueError("expected eyes and chin of a face apart from each other, found them on one line")
    across_N3, away_N3 = _unit(across_N3), _unit(away_N3)
    axes_N23 = np.stack([across_N3, np.cross(away_N3, across_N3)], axis=1)
    shape_NQ2 = points_NP3[:, _COUNTS_Q] @ axes_N23.transpose(0, 2, 1)
    shape_NQ2 -= shape_NQ2.mean(1, keepdims=True)
    sized_NQ2: Floats = shape_NQ2 / np.sqrt((shape_NQ2**2).sum(2).mean(1))[:, None, None]
    return sized_NQ2


def distances(points_NP3: Floats) -> Floats:
    """The distances between all pairs of a frontal face's points, `(N, NUM_DISTANCES)`.

    They are the same wherever the face is in the crop, however large it is and wherever it looks, as far as the depth
    is right.

    Raises:
        ValueError: See `frontal`.
    """
    found_ND = np.empty((len(points_NP3), NUM_DISTANCES), np.float32)
    for start in range(0, len(points_NP3), _AT_ONCE):
        shape_NQ2 = frontal(points_NP3[start : start + _AT_ONCE])
        between_ND2 = shape_NQ2[:, _FIRST_D] - shape_NQ2[:, _SECOND_D]
        found_ND[start : start + _AT_ONCE] = np.hypot(between_ND2[..., 0], between_ND2[..., 1])
    return found_ND


def _unit(vectors_N3: Floats) -> Floats:
    unit_N3: Floats = vectors_N3 / np.linalg.norm(vectors_N3, axis=1, keepdims=True)
    return unit_N3

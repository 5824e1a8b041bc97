"""Faces in the frames between two searched ones, and two detection passes over one frame. Shapes: F and G faces."""

from __future__ import annotations

import numpy as np

from data.faces.detector import LARGEST_OVERLAP, Faces, overlaps

FARTHEST = 0.15
"""Largest move of a landmark between two searched frames, as a share of the face's size, for which the frames between
are interpolated. The error of interpolation is no larger than that, even at a cut.
"""
GREATEST_GROWTH = 1.15


def agreement(one: Faces, other: Faces) -> np.ndarray | None:
    """Which face of the second frame each of the first is, if they are the same faces, near where they were.

    None if one is new, gone, farther away than `FARTHEST` or larger or smaller by more than `GREATEST_GROWTH`.
    """
    if len(one.scores_F) != len(other.scores_F):
        return None
    partner_F = pairs(one.boxes_F4, other.boxes_F4)
    if (partner_F < 0).any():
        return None
    size_F, other_size_F = (np.sqrt(boxes_F4[:, 2:].prod(1)) for boxes_F4 in (one.boxes_F4, other.boxes_F4[partner_F]))
    shift_F5 = np.linalg.norm(other.landmarks_F52[partner_F] - one.landmarks_F52, axis=2)
    growth_F = np.maximum(size_F, other_size_F) / np.minimum(size_F, other_size_F)
    is_near_F = shift_F5.max(1) <= FARTHEST * np.minimum(size_F, other_size_F)
    is_steady_F = is_near_F & (growth_F <= GREATEST_GROWTH)
    return partner_F if is_steady_F.all() else None


def faces_between(one: Faces, other: Faces, partner_F: np.ndarray, share: float) -> Faces:
    """The faces at this share, in (0, 1), of the straight line from one frame to the other."""
    return Faces(
        between(one.boxes_F4, other.boxes_F4[partner_F], share),
        between(one.landmarks_F52, other.landmarks_F52[partner_F], share),
        between(one.scores_F, other.scores_F[partner_F], share),
    )


def between(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """The values at this share, in (0, 1), of the straight line from `start` to `end`, in float32."""
    middle: np.ndarray = start + share * (end - start)
    return middle.astype(np.float32)


def confirmed(full: Faces, small: Faces) -> Faces:
    """The faces of a full detection pass, each at the position that a smaller pass found, if it did.

    The position of a face varies with the detection size, by some percent of the distance between the eyes. So that
    faces do not jump, the full pass decides which faces exist, and the smaller passes of this and other frames where
    they are.
    """
    partner_F = pairs(full.boxes_F4, small.boxes_F4)
    seen_F = partner_F >= 0
    boxes_F4, landmarks_F52, scores_F = full.boxes_F4.copy(), full.landmarks_F52.copy(), full.scores_F.copy()
    boxes_F4[seen_F] = small.boxes_F4[partner_F[seen_F]]
    landmarks_F52[seen_F] = small.landmarks_F52[partner_F[seen_F]]
    scores_F[seen_F] = small.scores_F[partner_F[seen_F]]
    return Faces(boxes_F4, landmarks_F52, scores_F)


def pairs(boxes_F4: np.ndarray, others_G4: np.ndarray) -> np.ndarray:
    """For each box (x y w h), the index of the other box that it overlaps most, if that is mutual; else -1."""
    if not len(boxes_F4) or not len(others_G4):
        return np.full(len(boxes_F4), -1)
    overlap_FG = overlaps(boxes_F4, others_G4)
    partner_F = overlap_FG.argmax(1)
    is_pair_F = (overlap_FG.argmax(0)[partner_F] == np.arange(len(boxes_F4))) & (overlap_FG.max(1) > LARGEST_OVERLAP)
    return np.where(is_pair_F, partner_F, -1)

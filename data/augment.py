"""How training faces are changed at random: drawn here, applied by the loader's graph.

Letters: B faces.

Sources: random erasing, Zhong et al. (2020), arXiv 1708.04896.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.schema import FACE_SIZE_PX


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How a training face is changed, at random: the largest changes either way, as shares; 0 changes nothing."""

    share: float = 1.0
    """Of the faces that are changed in place, size, angle and colours at all."""
    flip: float = 0.5
    """Probability of a mirror image."""
    shift: float = 0.06
    """Across and down, as a share of the face's side."""
    scale: float = 0.1
    """Larger or smaller."""
    rotation_deg: float = 10.0
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.25
    blur: float = 0.0
    """Probability of a blur as of a soft lens or of strong compression."""
    erase: float = 0.0
    """Probability that a rectangle of random size, place and colour covers part of the face."""


STILL = Augmentation(flip=0, shift=0, scale=0, rotation_deg=0, brightness=0, contrast=0, saturation=0)
"""Changes nothing."""

_BLUR_PX = (0.5, 2.0)
_NO_BLUR_PX = 0.01
"""So narrow a blur gives the very pixels back; DALI takes 0 for a wish to choose the width itself."""
_ERASED_AREA = (0.02, 0.25)
"""Of the face's; the paper's upper limit of 0.4 would cover what a unit is seen by too often."""
_LONGEST_ERASED = 1 / 0.3
"""Ratio of its sides, either way."""


def draw(augment: Augmentation, rng: np.random.Generator, num_faces: int) -> list[NDArray[np.float32]]:
    """For each face the matrix from output to input pixels, and the factors of brightness, contrast and saturation.

    With `blur`, then the sigma of the blur in px; with `erase`, then the corner (y, x) and the size (h, w) in px of
    what is covered, and its colour in 0..255: a size of 0 covers nothing. Pixels are counted from the corner of the
    first, so that the centre of a face is at half its size.
    """

    def around(middle: float, largest: float, *shape: int) -> NDArray[np.float64]:
        return rng.uniform(middle - largest, middle + largest, (num_faces, *shape))

    angle_B = np.deg2rad(around(0, augment.rotation_deg))
    zoom_B = around(1, augment.scale)
    mirror_B = np.where(rng.random(num_faces) < augment.flip, -1.0, 1.0)
    turn_B22 = np.stack([np.cos(angle_B), -np.sin(angle_B), np.sin(angle_B), np.cos(angle_B)], 1).reshape(-1, 2, 2)
    turn_B22 *= zoom_B[:, None, None]
    turn_B22[:, :, 0] *= mirror_B[:, None]
    centre_2 = np.full(2, FACE_SIZE_PX / 2)
    shift_B2 = centre_2 - turn_B22 @ centre_2 + FACE_SIZE_PX * around(0, augment.shift, 2)
    matrix_B23 = np.concatenate([turn_B22, shift_B2[:, :, None]], axis=2)
    colours = [around(1, largest) for largest in (augment.brightness, augment.contrast, augment.saturation)]
    if augment.share < 1:
        stays_B = rng.random(num_faces) >= augment.share
        matrix_B23[stays_B] = np.eye(2, 3)
        for factor_B in colours:
            factor_B[stays_B] = 1
    blurs = [_blurs(augment.blur, rng, num_faces)] if augment.blur else []
    rectangles = _rectangles(augment.erase, rng, num_faces) if augment.erase else []
    return [array.astype(np.float32) for array in (matrix_B23, *colours, *blurs, *rectangles)]


def _blurs(probability: float, rng: np.random.Generator, num_faces: int) -> NDArray[np.float64]:
    sigma_B = rng.uniform(*_BLUR_PX, num_faces)
    return np.where(rng.random(num_faces) < probability, sigma_B, _NO_BLUR_PX)


def _rectangles(probability: float, rng: np.random.Generator, num_faces: int) -> list[NDArray[np.float64]]:
    area_B = rng.uniform(*_ERASED_AREA, num_faces) * (rng.random(num_faces) < probability)
    aspect_B = _LONGEST_ERASED ** rng.uniform(-1, 1, num_faces)
    size_B2 = FACE_SIZE_PX * np.sqrt(np.stack([area_B * aspect_B, area_B / aspect_B], axis=1)).clip(max=1)
    corner_B2 = rng.random((num_faces, 2)) * (FACE_SIZE_PX - size_B2)
    return [corner_B2, size_B2, rng.uniform(0, 255, (num_faces, 3))]

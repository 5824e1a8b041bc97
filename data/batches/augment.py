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
    """How a training face is changed, at random: how often, and the largest changes either way, as shares."""

    flip: float = 0.5
    """Probability of a mirror image."""
    crop: float = 1.0
    """Probability that a face is shifted, scaled and rotated."""
    colour: float = 1.0
    """Probability that brightness, contrast and saturation are changed."""
    blur: float = 0.0
    """Probability of a blur as of a soft lens or of strong compression."""
    erase: float = 0.0
    """Probability that a rectangle of random size, place and colour covers part of the face."""
    shift: float = 0.06
    """Across and down, as a share of the face's side."""
    scale: float = 0.1
    """Larger or smaller."""
    rotation_deg: float = 10.0
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.25

    @property
    def moves(self) -> bool:
        """Whether any face is another way round or at another place."""
        return self.flip > 0 or self.crop > 0


_BLUR_PX = (0.5, 2.0)
_NO_BLUR_PX = 0.01
"""So narrow a blur gives the very pixels back; DALI takes 0 for a wish to choose the width itself."""
_ERASED_AREA = (0.02, 0.25)
"""Of the face's; the paper's upper limit of 0.4 would cover what a unit is seen by too often."""
_LONGEST_ERASED = 1 / 0.3
"""Ratio of its sides, either way."""


def draw(augment: Augmentation, rng: np.random.Generator, num_faces: int) -> list[NDArray[np.float32]]:
    """What is drawn for each face, in the order in which it is applied; of a change that is off nothing.

    With `flip` or `crop` the matrix from output to input pixels; with `colour` the factors of brightness, contrast and
    saturation; with `blur` its sigma in px; with `erase` the corner (y, x) and the size (h, w) in px of what is
    covered, and its colour in 0..255: a size of 0 covers nothing. Pixels are counted from the corner of the first, so
    that the centre of a face is at half its size.
    """
    drawn = [
        *([_moves(augment, rng, num_faces)] if augment.moves else []),
        *(_colours(augment, rng, num_faces) if augment.colour else []),
        *([_blurs(augment.blur, rng, num_faces)] if augment.blur else []),
        *(_rectangles(augment.erase, rng, num_faces) if augment.erase else []),
    ]
    return [array.astype(np.float32) for array in drawn]


def _moves(augment: Augmentation, rng: np.random.Generator, num_faces: int) -> NDArray[np.float64]:
    angle_B = np.deg2rad(rng.uniform(-augment.rotation_deg, augment.rotation_deg, num_faces))
    zoom_B = rng.uniform(1 - augment.scale, 1 + augment.scale, num_faces)
    mirror_B = np.where(rng.random(num_faces) < augment.flip, -1.0, 1.0)
    shift_B2 = FACE_SIZE_PX * rng.uniform(-augment.shift, augment.shift, (num_faces, 2))
    stays_B = _unchanged(augment.crop, rng, num_faces)
    angle_B[stays_B], zoom_B[stays_B], shift_B2[stays_B] = 0, 1, 0
    turn_B22 = np.stack([np.cos(angle_B), -np.sin(angle_B), np.sin(angle_B), np.cos(angle_B)], 1).reshape(-1, 2, 2)
    turn_B22 *= zoom_B[:, None, None]
    turn_B22[:, :, 0] *= mirror_B[:, None]
    centre_2 = np.full(2, FACE_SIZE_PX / 2)
    return np.concatenate([turn_B22, (centre_2 - turn_B22 @ centre_2 + shift_B2)[:, :, None]], axis=2)


def _colours(augment: Augmentation, rng: np.random.Generator, num_faces: int) -> list[NDArray[np.float64]]:
    factors = [
        rng.uniform(1 - most, 1 + most, num_faces)
        for most in (augment.brightness, augment.contrast, augment.saturation)
    ]
    stays_B = _unchanged(augment.colour, rng, num_faces)
    return [np.where(stays_B, 1.0, factor_B) for factor_B in factors]


def _unchanged(probability: float, rng: np.random.Generator, num_faces: int) -> NDArray[np.bool_]:
    """Which faces a change leaves out; draws nothing where it leaves out none."""
    return rng.random(num_faces) >= probability if probability < 1 else np.zeros(num_faces, dtype=bool)


def _blurs(probability: float, rng: np.random.Generator, num_faces: int) -> NDArray[np.float64]:
    sigma_B = rng.uniform(*_BLUR_PX, num_faces)
    return np.where(rng.random(num_faces) < probability, sigma_B, _NO_BLUR_PX)


def _rectangles(probability: float, rng: np.random.Generator, num_faces: int) -> list[NDArray[np.float64]]:
    area_B = rng.uniform(*_ERASED_AREA, num_faces) * (rng.random(num_faces) < probability)
    aspect_B = _LONGEST_ERASED ** rng.uniform(-1, 1, num_faces)
    size_B2 = FACE_SIZE_PX * np.sqrt(np.stack([area_B * aspect_B, area_B / aspect_B], axis=1)).clip(max=1)
    corner_B2 = rng.random((num_faces, 2)) * (FACE_SIZE_PX - size_B2)
    return [corner_B2, size_B2, rng.uniform(0, 255, (num_faces, 3))]

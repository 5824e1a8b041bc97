"""How training faces are changed at random: drawn here, applied by the loader's graph.

Letters: B faces.

Sources: random erasing, Zhong et al. (2020), arXiv 1708.04896.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from data.schema import FACE_SIZE_PX
from data.settings import Settings


class Augmentation(Settings):
    """How training faces are changed at random; by default not at all."""

    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training faces that are mirrored."""
    crop: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training faces that are shifted by up to 6 % of their side, scaled by up to 10 % and rotated by up
    to 10 degrees."""
    colour: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training faces whose brightness, contrast and saturation change, each by up to 25 %."""
    blur: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training faces that are blurred, by a sigma of 0.5 to 2 px."""
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training faces of which a rectangle, 2 to 25 % of the area, is painted over."""

    @property
    def is_on(self) -> bool:
        return self.moves or max(self.colour, self.blur, self.erase) > 0

    @property
    def moves(self) -> bool:
        """Whether any face is flipped or moved."""
        return self.flip > 0 or self.crop > 0


LANDMARKS = "landmarks"
"""The extra of labelled frames that moves with their faces."""
_MIRRORED = [1, 0, 2, 4, 3]
"""The five landmarks in the order that a mirror gives them."""
_SHIFT = 0.06
"""Across and down, either way, as a share of the face's side."""
_SCALE = 0.1
"""Larger or smaller."""
_ROTATION_DEG = 10.0
_COLOUR = 0.25
"""Brightness, contrast and saturation, either way."""
_BLUR_PX = (0.5, 2.0)
_NO_BLUR_PX = 0.01
"""A blur this narrow leaves the pixels unchanged. With 0, DALI would choose the width itself."""
_ERASED_AREA = (0.02, 0.25)
"""As a share of the face's area; the paper's upper limit of 0.4 would often cover the evidence for a unit."""
_LONGEST_ERASED = 1 / 0.3
"""Ratio of its sides, either way."""


def draw(augment: Augmentation, rng: np.random.Generator, num_faces: int) -> list[NDArray[np.float32]]:
    """The random changes of each face, in the order in which they are applied; nothing for changes that are off.

    With `flip` or `crop`, the matrix from output to input pixels; with `colour`, factors of brightness, contrast and
    saturation; with `blur`, its sigma in px; with `erase`, the corner (y, x) and size (h, w) in px of the covered
    rectangle and its colour in 0..255; size 0 covers nothing. Pixel coordinates start at the corner of the first pixel,
    so that the centre of a face is at half its size.
    """
    drawn = [
        *([_moves(augment, rng, num_faces)] if augment.moves else []),
        *(_colours(augment, rng, num_faces) if augment.colour else []),
        *([_blurs(augment.blur, rng, num_faces)] if augment.blur else []),
        *(_rectangles(augment.erase, rng, num_faces) if augment.erase else []),
    ]
    return [array.astype(np.float32) for array in drawn]


def moved(landmarks_B52: NDArray[np.float32], moves_B23: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the five landmarks of faces lie after their moves, as the viewer sees them from left to right.

    Args:
        landmarks_B52: In px of the crop.
        moves_B23: The matrices from output to input pixels that `draw` returned.
    """
    turn_B22, shift_B12 = moves_B23[:, :, :2], moves_B23[:, None, :, 2]
    # A point p of the output shows turn @ p + shift of the input.
    moved_B52 = (landmarks_B52 - shift_B12) @ np.linalg.inv(turn_B22).transpose(0, 2, 1)
    mirrored_B11 = (np.linalg.det(turn_B22) < 0)[:, None, None]
    return np.where(mirrored_B11, moved_B52[:, _MIRRORED], moved_B52).astype(np.float32)


def _moves(augment: Augmentation, rng: np.random.Generator, num_faces: int) -> NDArray[np.float64]:
    angle_B = np.deg2rad(rng.uniform(-_ROTATION_DEG, _ROTATION_DEG, num_faces))
    zoom_B = rng.uniform(1 - _SCALE, 1 + _SCALE, num_faces)
    mirror_B = np.where(rng.random(num_faces) < augment.flip, -1.0, 1.0)
    shift_B2 = FACE_SIZE_PX * rng.uniform(-_SHIFT, _SHIFT, (num_faces, 2))
    stays_B = _unchanged(augment.crop, rng, num_faces)
    angle_B[stays_B], zoom_B[stays_B], shift_B2[stays_B] = 0, 1, 0
    turn_B22 = np.stack([np.cos(angle_B), -np.sin(angle_B), np.sin(angle_B), np.cos(angle_B)], 1).reshape(-1, 2, 2)
    turn_B22 *= zoom_B[:, None, None]
    turn_B22[:, :, 0] *= mirror_B[:, None]
    centre_2 = np.full(2, FACE_SIZE_PX / 2)
    return np.concatenate([turn_B22, (centre_2 - turn_B22 @ centre_2 + shift_B2)[:, :, None]], axis=2)


def _colours(augment: Augmentation, rng: np.random.Generator, num_faces: int) -> list[NDArray[np.float64]]:
    factors = [rng.uniform(1 - _COLOUR, 1 + _COLOUR, num_faces) for _ in range(3)]  # brightness, contrast, saturation
    stays_B = _unchanged(augment.colour, rng, num_faces)
    return [np.where(stays_B, 1.0, factor_B) for factor_B in factors]


def _unchanged(probability: float, rng: np.random.Generator, num_faces: int) -> NDArray[np.bool_]:
    """Which faces a change applies to; draws no random numbers if it applies to all."""
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

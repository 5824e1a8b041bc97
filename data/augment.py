"""How training faces are changed at random: drawn here, applied by the loader's graph.

Letters: B faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.schema import FACE_SIZE_PX


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How a training face is changed, at random. Shares are the largest change either way; 0 changes nothing."""

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


def draw(augment: Augmentation, rng: np.random.Generator, num_faces: int) -> list[NDArray[np.float32]]:
    """For each face the matrix from output to input pixels, and the factors of brightness, contrast and saturation.

    Pixels are counted from the corner of the first, so that the centre of a face is at half its size.
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
    return [array.astype(np.float32) for array in (matrix_B23, *colours)]

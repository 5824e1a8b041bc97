"""A drawn face as an aligned crop: its eyes are where `data.faces.crops.TEMPLATE_52` has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.testing.drawn import with_face

EYES_X, EYES_Y = (38.4, 73.6), 51.6
"""Middles of the eyes, the person's right one first, in px with pixel centres at whole numbers."""
MOUTH_Y = 88.1


def aligned_face(right_px: float = 0.0) -> NDArray[np.uint8]:
    """The crop, HWC; the face is moved to the right."""
    background_HWC = np.full((112, 112, 3), 90, np.uint8)
    return with_face(background_HWC, middle_xy=(56 + right_px, 57.7), height_px=121.6)


def as_batch(*crops_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Crops as the loader gives them: BCHW in [-1, 1]."""
    return np.stack(crops_HWC).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1

"""A face drawn from ellipses that the detector is as sure of as of a photograph, where a test picture has to have one.

Shapes: H rows, W columns, C channels.
"""

from __future__ import annotations

import numpy as np

_PARTS = (
    (-0.15, 0.0, 1.05, 0.86, 0.1, (60, 42, 30)),  # hair
    (0.05, 0.0, 0.95, 0.70, 0.1, (222, 176, 150)),  # skin
    (-0.10, 0.29, 0.065, 0.13, 0.2, (240, 238, 235)),  # the white of the eyes
    (-0.10, 0.29, 0.065, 0.065, 0.2, (50, 35, 30)),  # iris
    (-0.31, 0.29, 0.045, 0.20, 0.5, (60, 42, 30)),  # brows
    (0.25, 0.08, 0.035, 0.05, 0.5, (95, 60, 50)),  # nostrils
    (0.50, 0.0, 0.09, 0.27, 0.3, (170, 75, 75)),  # lips
    (0.50, 0.0, 0.018, 0.24, 0.5, (90, 35, 35)),  # between them
)
"""Ellipses from back to front, on both sides of the middle: distance of their centres down and outwards, half their
height and width, the share of that over which their edge fades, and RGB. A face has height 2.
"""


def with_face(frame_HWC: np.ndarray, *, middle_xy: tuple[float, float], height_px: float) -> np.ndarray:
    """The frame (uint8 RGB) with a face in it, so high from hair to chin; it may reach beyond the frame."""
    rows, columns = np.mgrid[: frame_HWC.shape[0], : frame_HWC.shape[1]]
    down, out = (rows - middle_xy[1]) * 2 / height_px, np.abs(columns - middle_xy[0]) * 2 / height_px
    face_HWC = frame_HWC.astype(np.float32)
    for middle_down, middle_out, half_height, half_width, fading, colour in _PARTS:
        from_centre = np.hypot((down - middle_down) / half_height, (out - middle_out) / half_width)
        covered_HW1 = np.clip((1 - from_centre) / fading + 0.5, 0, 1)[..., None]
        face_HWC += covered_HW1 * (np.array(colour) - face_HWC)
    pixels_HWC: np.ndarray = face_HWC.round().astype(np.uint8)
    return pixels_HWC

"""A rendered face in frames that carry their number where the crop shows it."""

from __future__ import annotations

import numpy as np
import simplejpeg
import torch

from data.faces.crops import alignment
from data.faces.detector import FaceDetector
from data.schema import FACE_SIZE_PX
from support.clips import one_person

BAND_PX = 12
"""Rows at the upper edge of a crop, on the hair, that spell its frame's number in eight blocks of 14 px."""


def numbered_faces(num_frames: int) -> list[np.ndarray]:
    """The same face in every frame, with the frame's number written where the upper edge of its crop is."""
    picture = one_person()
    (faces,) = FaceDetector(device="cpu", min_score=0.7, detection_size=320).detect(torch.from_numpy(picture)[None])
    matrix_23 = alignment(faces.landmarks_F52[0])
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    u, v = np.tensordot(matrix_23[:, :2], np.stack([columns, rows]), 1) + matrix_23[:, 2:, None]
    band = (v >= -8) & (v < BAND_PX) & (u >= 0) & (u < FACE_SIZE_PX)
    bits = (u[band] // 14).astype(int)
    frames = [picture.copy() for _ in range(num_frames)]
    for number, frame in enumerate(frames):
        frame[band] = 255 * (number >> bits & 1)[:, None]
    return frames


def number_in(face_jpeg: bytes) -> int:
    blocks = simplejpeg.decode_jpeg(face_jpeg)[2:8].reshape(6, 8, 14, 3)[:, :, 4:10]
    return sum(1 << bit for bit, level in enumerate(blocks.mean((0, 2, 3))) if level > 127)

"""Which faces of a window are cut for the recognition of people: the best of each stretch, a few in a second at most.

A stretch is a window's part of a person's faces: it ends where the picture changes, since another person may be there
in the next shot. Shapes: F frames, N faces of all frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from data.faces.crops import Target, cut_faces, encode_jpegs
from data.faces.detector import Faces
from data.faces.embedding import CHIP_SIZE_PX, CHIP_TEMPLATE_52
from data.machine import Device
from data.tracks.fragments import ASSUMED_HZ, FrameFaces, link
from data.video.media import Chunk
from data.video.shots import Thumbnails, find_changes

CHIP = Target(CHIP_TEMPLATE_52, CHIP_SIZE_PX)
_JPEG_QUALITY = 95
_LARGE_ENOUGH_PX = 60.0
"""A face of this size fills a chip: its eyes are some 25 px apart, and detail beyond is lost in the network's input."""


def cut_chips(
    chunk: Chunk,
    faces: Sequence[Faces],
    looks_NL: np.ndarray,
    jpegs: Sequence[bytes],
    thumbnails_FHW: Thumbnails,
    *,
    device: Device,
) -> list[bytes | None]:
    """For each face, frame by frame, its chip as a JPEG, or None for those that are not among the best."""
    owners = [number for number, of_frame in enumerate(faces) for _ in of_frame.scores_F]
    if not owners:
        return []
    landmarks_N52 = np.concatenate([of_frame.landmarks_F52 for of_frame in faces])
    boxes_N4 = np.concatenate([of_frame.boxes_F4 for of_frame in faces])
    quality_N = qualities(boxes_N4, landmarks_N52, jpegs)
    stretches = _stretches(chunk, faces, looks_NL, find_changes(thumbnails_FHW))
    best = sorted(rows[int(quality_N[rows].argmax())] for rows in stretches)
    chips = cut_faces(chunk.frames_HWC, [owners[row] for row in best], landmarks_N52[best], device=device, target=CHIP)
    cut = dict(zip(best, encode_jpegs(chips, quality=_JPEG_QUALITY), strict=True))
    return [cut.get(row) for row in range(len(owners))]


def qualities(boxes_N4: np.ndarray, landmarks_N52: np.ndarray, jpegs: Sequence[bytes]) -> np.ndarray:
    """How much of each face can be recognised: large, frontal and sharp ones have high numbers.

    The nose of a frontal face is in the middle between the eyes. A sharp crop has a large JPEG.
    """
    eyes_N2 = landmarks_N52[:, 1] - landmarks_N52[:, 0]
    from_middle_N2 = landmarks_N52[:, 2] - landmarks_N52[:, :2].mean(axis=1)
    aside_N = np.abs((from_middle_N2 * eyes_N2).sum(axis=1)) / np.maximum((eyes_N2**2).sum(axis=1), 1e-6)
    large_N = np.sqrt(boxes_N4[:, 2] * boxes_N4[:, 3]).clip(max=_LARGE_ENOUGH_PX) / _LARGE_ENOUGH_PX
    sharp_N = np.array([len(jpeg) for jpeg in jpegs], np.float64) ** 0.5
    quality_N: np.ndarray = large_N * sharp_N * (1 - aside_N.clip(max=0.9))
    return quality_N


def _stretches(chunk: Chunk, faces: Sequence[Faces], looks_NL: np.ndarray, changes: Sequence[int]) -> list[list[int]]:
    """The faces of each stretch, by number."""
    num_faces_F = [len(of_frame.scores_F) for of_frame in faces]
    if max(num_faces_F) > 1:
        fragments = link(_frames(chunk, faces, looks_NL), cuts=changes)
        return [[face.row for face in fragment.faces] for fragment in fragments]
    first_F = np.cumsum([0, *num_faces_F])
    bounds = [0, *changes, len(faces)]
    parts = [list(range(first_F[start], first_F[end])) for start, end in pairwise(bounds)]
    return [rows for rows in parts if rows]


def _frames(chunk: Chunk, faces: Sequence[Faces], looks_NL: np.ndarray) -> list[FrameFaces]:
    frames, row = [], 0
    for number, of_frame in enumerate(faces):
        num_faces = len(of_frame.scores_F)
        time_s = chunk.times_s[number]
        time_s = chunk.frame_indices[number] / ASSUMED_HZ if time_s is None else time_s
        if num_faces:
            frames.append(FrameFaces(number, time_s, of_frame.boxes_F4, looks_NL[row : row + num_faces]))
        row += num_faces
    return frames

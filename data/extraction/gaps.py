"""Fills short gaps in a person's faces: position by interpolation, pixels from the frame itself.

Shapes: N faces of the gaps of a video, F frames of a chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from data.extraction.interpolation import between
from data.faces.crops import cut_faces, encode_jpegs
from data.machine import Device
from data.tracks.fragments import Face
from data.tracks.people import Person
from data.video.frames import Decoder, read_frames

_FARTHEST = 1.0
"""How far a person may move over a filled gap, in face sizes; more suggests a cut or a jump."""
_GREATEST_GROWTH = 1.4


@dataclass(frozen=True, eq=False)
class Filled:
    """A face between two neighbours of the same person."""

    box_4: np.ndarray
    """x, y, w and h in px."""
    landmarks_52: np.ndarray


def find_gaps(person: Person, people: Sequence[Person], *, longest_s: float) -> list[tuple[Face, Face]]:
    """The pairs of neighbouring faces, at most `longest_s` apart, whose frames in between can be filled.

    Between the two, the person neither jumps nor changes size much, and no other face is in the way, whose pixels would
    be cut instead.
    """
    near = [
        (one, other)
        for one, other in pairwise(person.faces)
        if other.frame_index - one.frame_index > 1 and other.time_s - one.time_s <= longest_s and _is_steady(one, other)
    ]
    wanted = {index for one, other in near for index in range(one.frame_index + 1, other.frame_index)}
    others: dict[int, list[Face]] = {}
    for face in (face for person in people for face in person.faces if face.frame_index in wanted):
        others.setdefault(face.frame_index, []).append(face)
    return [(one, other) for one, other in near if not _is_in_the_way(one, other, others)]


def _is_steady(one: Face, other: Face) -> bool:
    shift_px = np.hypot(other.x_px - one.x_px, other.y_px - one.y_px)
    growth = max(one.size_px, other.size_px) / min(one.size_px, other.size_px)
    return bool(shift_px <= _FARTHEST * min(one.size_px, other.size_px) and growth <= _GREATEST_GROWTH)


def _is_in_the_way(one: Face, other: Face, others: Mapping[int, Sequence[Face]]) -> bool:
    """Whether, in a frame in between, another face overlaps the box around both faces."""
    boxes = [_box(one), _box(other)]
    left, top = (min(box[axis] for box in boxes) for axis in (0, 1))
    right, bottom = (max(box[axis] + box[axis + 2] for box in boxes) for axis in (0, 1))
    theirs = [_box(face) for index in range(one.frame_index + 1, other.frame_index) for face in others.get(index, ())]
    return any(left < x + w and x < right and top < y + h and y < bottom for x, y, w, h in theirs)


def _box(face: Face) -> tuple[float, float, float, float]:
    return face.x_px - face.w_px / 2, face.y_px - face.h_px / 2, face.w_px, face.h_px


def fill_gap(one: Face, other: Face, landmarks: Mapping[int, np.ndarray]) -> dict[int, Filled]:
    """Interpolated faces for the frames between two faces, by frame; `landmarks` holds those of the two, by row."""
    start_4, end_4 = (np.array(_box(face)) for face in (one, other))
    filled = {}
    for frame_index in range(one.frame_index + 1, other.frame_index):
        share = (frame_index - one.frame_index) / (other.frame_index - one.frame_index)
        filled[frame_index] = Filled(
            between(start_4, end_4, share), between(landmarks[one.row], landmarks[other.row], share)
        )
    return filled


def cut_gaps(
    video: Path,
    gaps: Mapping[str, Mapping[int, Filled]],
    *,
    device: Device,
    decoder: Decoder,
    chunk: int,
    jpeg_quality: int,
) -> dict[tuple[str, int], bytes]:
    """The crops for the gaps of each track, by track and frame, cut from the pixels of their own frames.

    Decodes the video again from its start up to the last gap; without gaps it is not opened.

    Raises:
        ValueError: The video can no longer be read, or ends before the last gap.
    """
    wanted = sorted((frame_index, track_id) for track_id, filled in gaps.items() for frame_index in filled)
    jpegs: dict[tuple[str, int], bytes] = {}
    if not wanted:
        return jpegs
    for part in read_frames(video, device=device, decoder=decoder, chunk=chunk):
        here = [(index, track_id) for index, track_id in wanted if index in part.frame_indices]
        if here:
            owners = [index - part.frame_indices.start for index, _ in here]
            landmarks_N52 = np.stack([gaps[track_id][index].landmarks_52 for index, track_id in here])
            crops = cut_faces(part.frames_HWC, owners, landmarks_N52, device=device)
            for (index, track_id), jpeg in zip(here, encode_jpegs(crops, quality=jpeg_quality), strict=True):
                jpegs[track_id, index] = jpeg
        if part.frame_indices.stop > wanted[-1][0]:
            break
    if len(jpegs) < len(wanted):
        raise ValueError(
            f"{video}: expected frame {wanted[-1][0]}, found an earlier end than before; copy the video again"
        )
    return jpegs

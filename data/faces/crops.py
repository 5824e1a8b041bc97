"""Frame and landmarks -> an upright face of 112 x 112 px as a JPEG, and a descriptor of the person's colours.

Points are in px as in the detector and OpenCV, with pixel centres at whole numbers; DALI has centres at halves.
Shapes: N faces, H rows, W columns, C RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import nvidia.dali.experimental.dynamic as ndd
import simplejpeg
import torch

from data.machine import Device
from data.schema import FACE_SIZE_PX
from data.video.frames import Frame
from data.video.pixels import resized

TEMPLATE_52 = np.array([(38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20)])
"""Positions of the five landmarks in a crop: the template of ArcFace, on which public face networks are trained."""


class Target(NamedTuple):
    """Where the landmarks are in a crop, and the crop's side."""

    landmarks_52: np.ndarray
    size_px: int


CROP = Target(TEMPLATE_52, FACE_SIZE_PX)
_REGION_PX = 192
"""The face is first shrunk to about this size with antialiasing, then turned; the turn alone would sample too sparsely.
"""
_REGION_MARGIN = 1.04

_LEVELS = 4
_SAMPLES = 16
_BESIDE_24 = np.array([(-0.2, -0.3, 1.4, 1.2), (-0.5, 1.1, 2.0, 1.0)])
"""Head and shoulders: x y w h relative to a face's box, in units of its width and height."""
APPEARANCE_LENGTH = len(_BESIDE_24) * _LEVELS**3


def alignments(landmarks_N52: np.ndarray, target: Target = CROP) -> np.ndarray:
    """The matrices, `(N, 2, 3)`, of the similarities (turn, scale, shift) that take landmarks nearest to the target.

    Least squares over all five points in closed form (Umeyama 1991): the same answer on every run, where a robust fit
    draws points at random, and never a mirrored face. With points as complex numbers it is a regression `a z + b`.

    Raises:
        ValueError: All landmarks of a face are the same point, or one is not finite.
    """
    frame_N5 = landmarks_N52[..., 0].astype(np.float64) + 1j * landmarks_N52[..., 1].astype(np.float64)
    crop_5 = target.landmarks_52[:, 0] + 1j * target.landmarks_52[:, 1]
    mean_N1 = frame_N5.mean(1, keepdims=True)
    from_mean_N5 = frame_N5 - mean_N1
    spread_N = (from_mean_N5 * from_mean_N5.conj()).real.sum(1)
    wrong_N = ~np.isfinite(spread_N) | (spread_N < 1e-6)
    if wrong_N.any():
        found = landmarks_N52[wrong_N][0].tolist()
        raise ValueError(f"landmarks: expected five finite points apart from each other, found {found}")
    turn_N = (from_mean_N5.conj() * crop_5).sum(1) / spread_N
    shift_N = crop_5.mean() - turn_N * mean_N1[:, 0]
    rows = [turn_N.real, -turn_N.imag, shift_N.real, turn_N.imag, turn_N.real, shift_N.imag]
    return np.stack(rows, axis=1).reshape(-1, 2, 3)


def in_crop(landmarks_N52: np.ndarray) -> np.ndarray:
    """Where the landmarks of faces lie in their crops, in px; as they are cut by `cut_faces`."""
    matrices_N23 = alignments(landmarks_N52)
    moved_N52: np.ndarray = landmarks_N52 @ matrices_N23[:, :, :2].transpose(0, 2, 1) + matrices_N23[:, None, :, 2]
    return moved_N52


def alignment(landmarks_52: np.ndarray) -> np.ndarray:
    """The matrix of one face."""
    matrix_23: np.ndarray = alignments(landmarks_52[None])[0]
    return matrix_23


def cut_faces(
    frames_HWC: Sequence[Frame],
    owners: Sequence[int],
    landmarks_N52: np.ndarray,
    *,
    device: Device,
    target: Target = CROP,
) -> np.ndarray:
    """The aligned faces, uint8 `(N, target.size_px, target.size_px, C)`; face n is cut from frame `owners[n]`.

    Where a face extends beyond its frame, the frame's edge pixels repeat.
    """
    if not len(owners):
        return np.empty((0, target.size_px, target.size_px, 3), np.uint8)
    matrices_N23 = alignments(landmarks_N52, target)
    starts_N2, ends_N2, matrices_N23 = _regions(matrices_N23, frames_HWC[0].shape[:2], target.size_px)
    regions = ([frames_HWC[owner] for owner in owners], starts_N2, ends_N2, matrices_N23, target.size_px)
    faces = _cut_by_dali(*regions, device=device) if device == "gpu" else _cut_on_cpu(*regions)
    crops: np.ndarray = faces.torch().cpu().numpy()
    return crops


def _cut_by_dali(
    frames_HWC: Sequence[Frame],
    starts_N2: np.ndarray,
    ends_N2: np.ndarray,
    matrices_N23: np.ndarray,
    size_px: int,
    *,
    device: Device,
) -> ndd.Batch:
    """The GPU's way; it runs on a CPU too, for tests."""
    regions = ndd.resize(
        ndd.as_batch([frame_HWC[:] for frame_HWC in frames_HWC], layout="HWC"),
        size=(_REGION_PX, _REGION_PX),
        roi_start=ndd.as_batch(list(starts_N2.astype(np.float32))),
        roi_end=ndd.as_batch(list(ends_N2.astype(np.float32))),
        antialias=True,
        device=device,
    )
    size = (size_px, size_px)
    return ndd.warp_affine(
        regions, matrix=ndd.as_batch(list(matrices_N23)), size=size, inverse_map=False, device=device
    )


def _cut_on_cpu(
    frames_HWC: Sequence[Frame], starts_N2: np.ndarray, ends_N2: np.ndarray, matrices_N23: np.ndarray, size_px: int
) -> ndd.Batch:
    """The same to a grey level or two, by the operators that are three times as fast on a CPU."""
    regions = []
    for frame_HWC, (top, left), (bottom, right) in zip(frames_HWC, starts_N2, ends_N2, strict=True):
        region_1CHW = resized(frame_HWC[top:bottom, left:right][None], _REGION_PX, _REGION_PX)
        regions.append(region_1CHW[0].permute(1, 2, 0).contiguous())
    last_row_N13 = np.tile(np.array([0, 0, 1], np.float32), (len(regions), 1, 1))
    return ndd.experimental.warp_perspective(
        ndd.as_batch(regions, layout="HWC"),
        matrix=ndd.as_batch(list(np.concatenate([matrices_N23, last_row_N13], axis=1))),
        size=(size_px, size_px),
        inverse_map=False,
        pixel_origin="corner",
        border_mode="replicate",
        device="cpu",
    )


def encode_jpegs(faces_NHWC: np.ndarray, *, quality: int) -> list[bytes]:
    return [simplejpeg.encode_jpeg(face_HWC, quality, "RGB", "420") for face_HWC in faces_NHWC]


def decode_jpegs(jpegs: Sequence[bytes]) -> np.ndarray:
    """Pictures of one size, NHWC."""
    pictures: np.ndarray = np.stack([simplejpeg.decode_jpeg(jpeg, "RGB") for jpeg in jpegs])
    return pictures


def appearances(frames_HWC: Sequence[Frame], owners: Sequence[int], boxes_N4: np.ndarray) -> np.ndarray:
    """Colours of the head and the shoulders of each face, float32 `(N, APPEARANCE_LENGTH)`.

    The square roots of two histograms, with length 1 together: the dot product of two descriptors is 1 for identical
    colours and 0 for none in common.
    """
    if not len(owners):
        return np.empty((0, APPEARANCE_LENGTH), np.float32)
    rows_N2S1, columns_N21S = _grids(boxes_N4, frames_HWC[0].shape)
    grids_2SSC = [
        frames_HWC[owner][rows_2S1, columns_21S]
        for owner, rows_2S1, columns_21S in zip(owners, rows_N2S1, columns_N21S, strict=True)
    ]
    pixels = torch.stack(grids_2SSC).cpu().numpy().reshape(-1, _SAMPLES**2, 3)  # both regions, face by face
    histograms_NL = _histograms(pixels).reshape(-1, APPEARANCE_LENGTH)
    looks_NL: np.ndarray = np.sqrt(histograms_NL / len(_BESIDE_24)).astype(np.float32)
    return looks_NL


def _regions(
    matrices_N23: np.ndarray, size_yx: Sequence[int], size_px: int = FACE_SIZE_PX
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The regions of frames around crops: starts and ends (y, x) in px, and the matrices from resized regions to crops.

    They end at the frame's edge, because DALI reads beyond a frame's memory when the region is larger; beyond the edge,
    a crop shows the edge pixels repeated.
    """
    turns_N22 = matrices_N23[:, :, :2]
    # moves pixel centres from whole numbers to halves
    shifts_N2 = matrices_N23[:, :, 2] + 0.5 - 0.5 * turns_N22.sum(2)
    corners_24 = np.array([[0, size_px, size_px, 0], [0, 0, size_px, size_px]])
    corners_N24 = np.linalg.solve(turns_N22, corners_24 - shifts_N2[:, :, None])
    first_N2, last_N2 = corners_N24.min(2), corners_N24.max(2)
    half_N1 = (last_N2 - first_N2).max(1, keepdims=True) / 2 * _REGION_MARGIN
    middle_N2 = (first_N2 + last_N2) / 2
    size_xy = np.array(size_yx[::-1])
    start_N2 = np.clip(np.floor(middle_N2 - half_N1), 0, size_xy - 1)
    end_N2 = np.clip(np.ceil(middle_N2 + half_N1), start_N2 + 1, size_xy)
    per_region_px_N2 = (end_N2 - start_N2) / _REGION_PX
    shifts_N2 = shifts_N2 + (turns_N22 @ start_N2[:, :, None])[:, :, 0]
    matrices_N23 = np.concatenate([turns_N22 * per_region_px_N2[:, None, :], shifts_N2[:, :, None]], axis=2)
    start_yx_N2, end_yx_N2 = (part_N2[:, ::-1].astype(np.int64) for part_N2 in (start_N2, end_N2))
    return start_yx_N2, end_yx_N2, matrices_N23.astype(np.float32)


def _grids(boxes_N4: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the samples in both regions of each face; beyond the frame its edge repeats."""
    x_N11, y_N11, w_N11, h_N11 = np.split(boxes_N4[:, :, None], 4, axis=1)
    x_21, y_21, w_21, h_21 = np.split(_BESIDE_24, 4, axis=1)
    steps_S = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    rows_N2S = np.clip(y_N11 + h_N11 * (y_21 + h_21 * steps_S), 0, shape[0] - 1).astype(np.int64)
    columns_N2S = np.clip(x_N11 + w_N11 * (x_21 + w_21 * steps_S), 0, shape[1] - 1).astype(np.int64)
    return rows_N2S[:, :, :, None], columns_N2S[:, :, None, :]


def _histograms(pixels_NSC: np.ndarray) -> np.ndarray:
    """Shares of the `_LEVELS ** 3` colours; a pixel counts for the nearest levels of each channel by its distance."""
    position_NSC = pixels_NSC.astype(np.float32) * ((_LEVELS - 1) / 255)
    weights_NSCL = (1 - np.abs(position_NSC[..., None] - np.arange(_LEVELS, dtype=np.float32))).clip(0)
    red, green, blue = weights_NSCL[:, :, 0], weights_NSCL[:, :, 1], weights_NSCL[:, :, 2]
    red_green = (red[..., :, None] * green[..., None, :]).reshape(*red.shape[:2], _LEVELS**2)
    shares = red_green.swapaxes(1, 2) @ blue
    flat: np.ndarray = shares.reshape(len(shares), _LEVELS**3) / pixels_NSC.shape[1]
    return flat

"""Trials of what is done with pixels: crops, the detector, batches.

Letters: N faces, H rows, W columns, C channels, B images of a batch.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.crops import TEMPLATE_52, cut_faces, encode_jpegs
from data.loader import face_batches
from data.numbered import numbered, write_faces
from data.retinaface import RetinaFace, read_weights
from data.video import Device
from model.agreement_videos import Trial

_CROP_LEVELS = 1.0
_JPEG_LEVELS = 2.0
"""Decoders of JPEGs round differently."""
_DETECTOR_SCORE = 0.02


def face_trials(device: Device, folder: Path) -> dict[str, Trial]:
    """What can be tried, by name; `folder` takes files of faces."""
    return {
        "crops": partial(_crops, device),
        "detector": partial(_detector, device),
        "batches": partial(_batches, device, folder),
    }


def place(device: Device) -> str:
    """As PyTorch calls it."""
    return "cuda" if device == "gpu" else "cpu"


def _crops(device: Device) -> tuple[bool, str]:
    one, other = (_faces(on).astype(float) for on in ("cpu", device))
    levels = np.abs(one - other)
    found = f"{levels.mean():.2f} levels apart on average, {levels.max():.0f} at most"
    return bool(levels.mean() < _CROP_LEVELS), found


def _faces(device: Device) -> np.ndarray:
    """Twelve crops, turned and shrunk, of numbered frames; some reach beyond their frame."""
    frames_NHWC = torch.from_numpy(np.stack([numbered(number) for number in range(12)]))
    turns_N = np.exp(1j * np.linspace(-1, 1, 12)) * np.linspace(0.4, 1.5, 12)
    template_5 = TEMPLATE_52[:, 0] + 1j * TEMPLATE_52[:, 1]
    points_N5 = turns_N[:, None] * (template_5 - template_5.mean()) + 80 + 48j
    landmarks_N52 = np.stack([points_N5.real, points_N5.imag], axis=-1).astype(np.float32)
    frames_NHWC = frames_NHWC.cuda() if device == "gpu" else frames_NHWC
    return cut_faces(frames_NHWC, range(12), landmarks_N52, device=device)


def _detector(device: Device) -> tuple[bool, str]:
    frames_NCHW = torch.from_numpy(np.stack([numbered(number) for number in range(4)])).permute(0, 3, 1, 2)
    network = RetinaFace(read_weights())
    with torch.inference_mode():
        true_maps = network(frames_NCHW)
        maps = network.to(place(device))(frames_NCHW.to(place(device)))
    worst = max(
        float((_scores(one) - _scores(other.cpu())).abs().max()) for one, other in zip(true_maps, maps, strict=True)
    )
    return worst < _DETECTOR_SCORE, f"scores of all anchors within {worst:.4f}"


def _scores(map_NCHW: Tensor) -> Tensor:
    """Of both anchors of each cell."""
    return torch.stack([map_NCHW[:, 1] - map_NCHW[:, 0], map_NCHW[:, 3] - map_NCHW[:, 2]]).sigmoid()


def _batches(device: Device, folder: Path) -> tuple[bool, str]:
    jpegs = encode_jpegs(_faces("cpu"), quality=95)
    file = write_faces(folder / "track.parquet", jpegs, rows_per_group=5)
    one, other = ([*face_batches(file, batch_size=5, device=on)] for on in ("cpu", device))
    if [[*index_B] for index_B, _ in one] != [[*index_B] for index_B, _ in other]:
        return False, "the frames come in another order"
    gaps = torch.cat([(a - b.cpu()).abs().flatten() for (_, a), (_, b) in zip(one, other, strict=True)]) * 127.5
    return bool(gaps.mean() < _JPEG_LEVELS), f"{gaps.mean():.2f} levels apart on average, {gaps.max():.0f} at most"

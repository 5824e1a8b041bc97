"""Trials of what is done with pixels: crops, the detector, batches.

Letters: N faces, H rows, W columns, C channels, B images of a batch.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from data.crops import TEMPLATE_52, cut_faces, encode_jpegs
from data.drawn import with_face
from data.faces import FaceDetector, Faces
from data.loader import face_batches
from data.numbered import numbered, write_faces
from data.video import Device
from model.agreement_videos import Trial

_CROP_LEVELS = 1.0
_JPEG_LEVELS = 2.0
"""Decoders of JPEGs round differently."""
_NUM_DRAWN = [2, 1, 0]
_PLACE_PX = 0.5
"""A GPU resizes floats, a CPU bytes, and a GPU convolves with TF32: worked out on a CPU, both together move boxes and
landmarks by less than 0.1 px."""
_SCORE = 0.01
"""By the same less than 0.001."""


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
    """Looks at drawn faces, at frames as they are, shrunk and enlarged."""
    true, other = _looks("cpu"), _looks(device)
    true_counts, counts = ([len(faces.scores_F) for faces in looks] for looks in (true, other))
    if true_counts[: len(_NUM_DRAWN)] != _NUM_DRAWN:
        return False, f"the CPU finds {true_counts[: len(_NUM_DRAWN)]} faces in its test pictures of {_NUM_DRAWN}"
    if counts != true_counts:
        return False, f"expected {true_counts} faces as on the CPU, found {counts}"
    box_px, landmark_px, score = (
        np.max([np.abs(getattr(a, of) - getattr(b, of)).max(initial=0) for a, b in zip(true, other, strict=True)])
        for of in ("boxes_F4", "landmarks_F52", "scores_F")
    )
    found = f"{sum(counts)} faces, boxes within {box_px:.2f} px, landmarks {landmark_px:.2f} px, scores {score:.4f}"
    return bool(box_px < _PLACE_PX and landmark_px < _PLACE_PX and score < _SCORE), found


def _looks(device: Device) -> list[Faces]:
    """The faces of each look, from left to right."""
    frames_NHWC = torch.from_numpy(_drawn_frames()).to(place(device))
    detector = FaceDetector(device=device, min_score=0.7, detection_size=640)
    looks = detector.detect(frames_NHWC)
    for size_px in (240, 320):
        for small_faces in (True, False):
            looks += detector.look(list(frames_NHWC), size_px, small_faces=small_faces)
    order = [faces.boxes_F4[:, 0].argsort() for faces in looks]
    return [
        Faces(faces.boxes_F4[order_F], faces.landmarks_F52[order_F], faces.scores_F[order_F])
        for faces, order_F in zip(looks, order, strict=True)
    ]


def _drawn_frames() -> np.ndarray:
    """Frames of 192 x 320 px with `_NUM_DRAWN` faces."""
    none = np.kron(numbered(5), np.ones((2, 2, 1), np.uint8))
    one = with_face(none, middle_xy=(150, 120), height_px=90)
    two = with_face(with_face(none, middle_xy=(80, 100), height_px=68), middle_xy=(230, 115), height_px=110)
    return np.stack([two, one, none])


def _batches(device: Device, folder: Path) -> tuple[bool, str]:
    jpegs = encode_jpegs(_faces("cpu"), quality=95)
    file = write_faces(folder / "track.parquet", jpegs, rows_per_group=5)
    one, other = ([*face_batches(file, batch_size=5, device=on)] for on in ("cpu", device))
    if [[*index_B] for index_B, _ in one] != [[*index_B] for index_B, _ in other]:
        return False, "the frames come in another order"
    gaps = torch.cat([(a - b.cpu()).abs().flatten() for (_, a), (_, b) in zip(one, other, strict=True)]) * 127.5
    return bool(gaps.mean() < _JPEG_LEVELS), f"{gaps.mean():.2f} levels apart on average, {gaps.max():.0f} at most"

"""Checks of pixel work: crops, the detector, batches.

Letters: N faces, H rows, W columns, C channels, B images of a batch, L numbers of a colour descriptor, U action
units, K labels of a face.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.batches.augment import Augmentation
from data.batches.labelled_frames import LabelledFrames
from data.batches.loader import batches, face_batches
from data.faces.crops import TEMPLATE_52, appearances, cut_faces, encode_jpegs
from data.faces.detector import FaceDetector, Faces
from data.labels import Edition
from data.machine import Device
from data.testing.drawn import with_face
from data.testing.numbered import numbered, write_faces
from model.checks.videos import Trial

_CROP_LEVELS = 1.0
_APPEARANCE = 1e-5
_JPEG_LEVELS = 2.0
"""Mean over a face: JPEG decoders round differently."""
_AUGMENTED_LEVELS = 3.0
"""The same with changes; without its blur, a face is off by 5. The operators differ by less than 0.01 on a CPU."""
_ROWS_PER_GROUP = 5
_NUM_DRAWN = [2, 1, 0]
_PLACE_PX = 0.5
"""A GPU resizes floats, a CPU bytes, and a GPU convolves with TF32: worked out on a CPU, both together move boxes and
landmarks by less than 0.1 px."""
_SCORE = 0.01
"""For the same reasons scores differ by less than 0.001."""


def face_trials(device: Device, folder: Path) -> dict[str, Trial]:
    """All checks, by name; `folder` takes files of faces."""
    return {
        "crops": partial(_crops, device),
        "appearances": partial(_appearances, device),
        "detector": partial(_detector, device),
        "batches": partial(_batches, device, folder),
        "augmented batches": partial(_augmented_batches, device, folder),
    }


def torch_device(device: Device) -> str:
    """PyTorch's name of the device."""
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
    return cut_faces(list(frames_NHWC), range(12), landmarks_N52, device=device)


def _appearances(device: Device) -> tuple[bool, str]:
    """Compares crops of faces within and partly beyond their frames."""
    frames_NHWC = torch.from_numpy(np.stack([numbered(20 * number) for number in range(6)]))
    boxes_N4 = np.array([(10 + 25 * number, 60 - 12 * number, 30, 40) for number in range(6)], np.float32)
    owners = [5, 0, 5, 3, 1, 2]
    true_NL, looks_NL = (
        appearances(list(frames_NHWC.to(torch_device(on))), owners, boxes_N4) for on in ("cpu", device)
    )
    apart = float(np.abs(true_NL - looks_NL).max())
    return apart < _APPEARANCE, f"of {len(looks_NL)} faces within {apart:.6f}"


def _detector(device: Device) -> tuple[bool, str]:
    """Detects drawn faces, in frames as they are, shrunk and enlarged."""
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
    """The faces of each detection pass, from left to right."""
    frames_NHWC = torch.from_numpy(_drawn_frames()).to(torch_device(device))
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
    file = _face_file(folder / "track.parquet")
    true, other = ([*face_batches(file, batch_size=_ROWS_PER_GROUP, device=on)] for on in ("cpu", device))
    if [[*index_B] for index_B, _ in true] != [[*index_B] for index_B, _ in other]:
        return False, "the frames come in another order"
    return _same_faces([faces for _, faces in true], [faces for _, faces in other], _JPEG_LEVELS)


def _augmented_batches(device: Device, folder: Path) -> tuple[bool, str]:
    frames = labelled_faces(folder / "augmented.parquet")
    augment = Augmentation(flip=0.5, crop=1, colour=1, blur=0.5, erase=0.5)
    true, other = (
        [*batches(frames, batch_size=_ROWS_PER_GROUP, device=on, seed=2, augment=augment)] for on in ("cpu", device)
    )
    if [batch.frame_index_B.tolist() for batch in true] != [batch.frame_index_B.tolist() for batch in other]:
        return False, "the frames come in another order"
    return _same_faces([batch.faces_BCHW for batch in true], [batch.faces_BCHW for batch in other], _AUGMENTED_LEVELS)


def _same_faces(true: Sequence[Tensor], other: Sequence[Tensor], most_levels: float) -> tuple[bool, str]:
    """Compares batches of faces in [-1, 1]."""
    gaps_N = (torch.cat([*true]) - torch.cat([*other]).cpu()).abs().mean((1, 2, 3)) * 127.5
    return bool(gaps_N.max() < most_levels), f"{len(gaps_N)} faces, each {gaps_N.max():.2f} levels apart at most"


def _face_file(path: Path) -> Path:
    """A track of the twelve crops, with drawn faces in them."""
    crops = [with_face(crop_HWC, middle_xy=(56, 60), height_px=90) for crop_HWC in _faces("cpu")]
    return write_faces(path, encode_jpegs(np.stack(crops), quality=95), rows_per_group=_ROWS_PER_GROUP)


def labelled_faces(path: Path) -> LabelledFrames:
    """The twelve faces, in a new file, with labels by chance."""
    frame_index_N, random = np.arange(12), np.random.default_rng(0)
    valence_arousal_N2, expression_N = random.uniform(-1, 1, (12, 2)), random.integers(0, 7, 12)
    action_units_NU = random.integers(0, 2, (12, 8))
    return LabelledFrames(
        Edition.ABAW_2020,
        (_face_file(path),),
        0 * frame_index_N,
        frame_index_N,
        frame_index_N // _ROWS_PER_GROUP,
        frame_index_N % _ROWS_PER_GROUP,
        valence_arousal_N2.astype(np.float32),
        expression_N.astype(np.float32),
        action_units_NU.astype(np.float32),
    )

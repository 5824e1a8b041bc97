"""Frames -> faces: boxes, five landmarks and scores, by RetinaFace (MobileNet 0.25).

Shapes: N frames, F and G faces, H rows, W columns, C channels.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import log

import numpy as np
import torch
from torch import Tensor

from data.faces.look_queue import LookQueue
from data.faces.retinaface import GPU_LAYOUT, RetinaFace, read_weights
from data.machine import Device
from data.video.frames import Frame
from data.video.pixels import resized

LARGEST_UPSCALING = 3.0
"""A frame smaller than the detection size is enlarged to find small faces, but by no more than this factor."""

_LEVELS = ((8, (16.0, 32.0)), (16, (64.0, 128.0)), (32, (256.0, 512.0)))
"""For each of the three feature maps: px between its cells, and the sides in px of the two anchors in a cell."""
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
LARGEST_OVERLAP = 0.4
"""Largest overlap of two boxes in a frame; with more, they are one face found twice."""
_FRAMES_AT_ONCE: dict[Device, int] = {"cpu": 2, "gpu": 64}
"""On a CPU, more frames at once exceed its cache: with 8, a frame takes 1.2 times as long as with 2."""
_BATCHES_ON_GPU = (1, 8, 32, 64)


@dataclass(frozen=True)
class Faces:
    """The faces of one frame, the surest first."""

    boxes_F4: np.ndarray
    """float32 x, y, w, h in px of the frame; may reach beyond it."""
    landmarks_F52: np.ndarray
    """float32 x, y in px: the two eyes, the nose, the mouth corners, each pair from the viewer's left to right."""
    scores_F: np.ndarray
    """float32 in (0, 1)."""


NO_FACES = Faces(np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32))


class FaceDetector:
    """Finds faces in frames. They are resized so that their longer side is `detection_size` px, or less if wished."""

    def __init__(self, *, device: Device, min_score: float, detection_size: int) -> None:
        self._min_score = min_score
        self._detection_size = detection_size
        self._device = device
        _network(device)  # made here, so that no thread waits for it and wrong weights fail at once
        self.frames_at_once = _FRAMES_AT_ONCE[device]
        """Best number of frames per call of `look`."""

    def detect(self, frames_NHWC: Tensor) -> list[Faces]:
        """The faces of each frame (uint8 RGB on the detector's device)."""
        size_px = self.full_size_px(frames_NHWC.shape[1:3])
        return [
            faces
            for some_NHWC in torch.split(frames_NHWC, self.frames_at_once)
            for faces in self.look(list(some_NHWC), size_px)
        ]

    def full_size_px(self, height_width: Sequence[int]) -> int:
        """The longer side of such frames as the detector should see them."""
        return min(self._detection_size, round(LARGEST_UPSCALING * max(height_width)))

    def look(self, frames_HWC: Sequence[Frame], size_px: int, *, small_faces: bool = True) -> list[Faces]:
        """The faces in each of a few frames of one size, searched with this longer side. Thread-safe.

        Without `small_faces` it takes half the time, and misses some faces smaller than 50 px in the resized frame.

        Frames in one call can change each other's faces by rounding errors; on a GPU, frames of other threads can too.
        """
        height, width = frames_HWC[0].shape[:2]
        look = Look(self._device, height, width, size_px, small_faces, self._min_score)
        if self._device == "gpu":
            return _gpu_queue()([frame_HWC[:] for frame_HWC in frames_HWC], look)
        return _found(torch.cat([_resized(frame_HWC[:][None], look) for frame_HWC in frames_HWC]), look)


@dataclass(frozen=True)
class Look:
    """Settings of a detection pass; frames with the same ones can be searched together."""

    device: Device
    height: int
    """Shape of the frames."""
    width: int
    size_px: int
    small_faces: bool
    min_score: float


def look_together(frames_HWC: Sequence[Tensor], look: Look) -> list[Faces]:
    """The faces in each of up to `frames_at_once` frames on a GPU, as one batch with one of few sizes.

    cuDNN plans all its work again for every new size.
    """
    resized_NCHW = _resized(torch.stack(list(frames_HWC)), look)
    num_frames = next((size for size in _BATCHES_ON_GPU if size >= len(frames_HWC)), len(frames_HWC))
    padding = torch.zeros_like(resized_NCHW[:1]).expand(num_frames - len(frames_HWC), -1, -1, -1)
    return _found(torch.cat([resized_NCHW, padding]), look)[: len(frames_HWC)]


@cache
def _network(device: Device) -> RetinaFace:
    """One network for all detectors of the process; it has no state."""
    network = RetinaFace(read_weights())
    if device == "gpu":
        network.to("cuda", memory_format=GPU_LAYOUT)  # type: ignore[call-overload]
    return network


@cache
def _built_gpu_queue() -> LookQueue[Tensor, Faces, Look]:
    return LookQueue(look_together, most=_FRAMES_AT_ONCE["gpu"])


_building = threading.Lock()


def _gpu_queue() -> LookQueue[Tensor, Faces, Look]:
    with _building:
        return _built_gpu_queue()


@torch.inference_mode()
def _found(resized_NCHW: Tensor, look: Look) -> list[Faces]:
    scale_xy = np.array([look.width / resized_NCHW.shape[3], look.height / resized_NCHW.shape[2]], np.float32)
    found = []
    for faces in candidates(_network(look.device)(resized_NCHW, fine=look.small_faces), look.min_score):
        kept = non_maximum_suppression(faces.boxes_F4, faces.scores_F, LARGEST_OVERLAP)
        boxes_F4, landmarks_F52 = faces.boxes_F4[kept] * np.tile(scale_xy, 2), faces.landmarks_F52[kept] * scale_xy
        found.append(Faces(boxes_F4, landmarks_F52, faces.scores_F[kept]))
    return found


def candidates(maps: list[Tensor], min_score: float) -> list[Faces]:
    """Per frame every anchor that scores at least `min_score`, in px of the frame that the network saw.

    The maps may lack the finest.
    """
    found: list[tuple[Tensor, ...]] = []
    for map_NCHW, (stride_px, anchors_px) in zip(maps, _LEVELS[-len(maps) :], strict=True):
        map_NHWC = map_NCHW.permute(0, 2, 3, 1)
        cells = map_NHWC.shape[:3]
        logits_NHWA2 = map_NHWC[..., :4].reshape(*cells, 2, 2)
        margin_NHWA = logits_NHWA2[..., 1] - logits_NHWA2[..., 0]
        # only what scores is decoded: a few of some ten thousand anchors, mostly of one map
        frame, row, column, anchor = at = (margin_NHWA >= log(min_score / (1 - min_score))).nonzero(as_tuple=True)
        if not len(frame):
            continue
        side = torch.tensor(anchors_px, device=map_NCHW.device)[anchor, None]
        middle = (torch.stack((column, row), -1) + 0.5) * stride_px
        offset, growth = map_NHWC[..., 4:12].reshape(*cells, 2, 4)[at].tensor_split(2, dim=-1)
        size = side * torch.exp(growth * _SIZE_VARIANCE)
        corner = middle + offset * _CENTRE_VARIANCE * side - size / 2
        points = map_NHWC[..., 12:].reshape(*cells, 2, 5, 2)[at] * _CENTRE_VARIANCE * side[..., None] + middle[:, None]
        found.append((frame, torch.cat((corner, size), -1), points, margin_NHWA[at].sigmoid()))
    if not found:
        return [NO_FACES] * len(maps[0])
    frame_F, boxes_F4, landmarks_F52, scores_F = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return [
        Faces(boxes_F4[frame_F == index], landmarks_F52[frame_F == index], scores_F[frame_F == index])
        for index in range(len(maps[0]))
    ]


def non_maximum_suppression(boxes_F4: np.ndarray, scores_F: np.ndarray, largest_overlap: float) -> np.ndarray:
    """Indices of the boxes (x y w h) to keep, the surest first: no two share more of the area that they cover."""
    order = np.argsort(-scores_F, kind="stable")
    too_near_FF = overlaps(boxes_F4[order], boxes_F4[order]) > largest_overlap
    kept: list[int] = []
    for index in range(len(order)):
        if not too_near_FF[index, kept].any():
            kept.append(index)
    return order[kept]


def overlaps(boxes_F4: np.ndarray, others_G4: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair of boxes (x y w h), `(F, G)`."""
    first_F2, first_G2 = boxes_F4[:, :2], others_G4[:, :2]
    last_F2, last_G2 = first_F2 + boxes_F4[:, 2:], first_G2 + others_G4[:, 2:]
    sides_FG2 = np.minimum(last_F2[:, None], last_G2) - np.maximum(first_F2[:, None], first_G2)
    both_FG = sides_FG2.clip(0).prod(-1)
    shares_FG: np.ndarray = both_FG / (boxes_F4[:, 2:].prod(-1)[:, None] + others_G4[:, 2:].prod(-1) - both_FG)
    return shares_FG


def _resized(frames_NHWC: Tensor, look: Look) -> Tensor:
    scale = look.size_px / max(look.height, look.width)
    return resized(frames_NHWC, max(round(look.height * scale), 1), max(round(look.width * scale), 1))

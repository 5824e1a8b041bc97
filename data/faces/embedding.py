"""A face -> 128 numbers that are close for faces of the same person: dlib's face recognition network.

The weights come with the pinned distribution `face-recognition-models` (CC0), in dlib's format; they are read as data
and checked by hash. Source: King, `dnn_face_recognition_ex.cpp` of dlib 19.3 (2017): a ResNet of 29 convolutions on
150 x 150 px, trained so that faces of one person lie within 0.6 of each other. Shapes: N faces, H rows, W columns,
C RGB, E values of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from data.faces.weights import check_weights, installed_file

CHIP_SIZE_PX = 150
CHIP_TEMPLATE_52 = np.array([(47.5, 46.6), (100.5, 46.6), (74.0, 76.6), (50.4, 103.0), (97.6, 103.0)])
"""Positions of the five landmarks in a face that the network expects: of dlib's mean face, with a margin of 0.25."""
WEIGHTS_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"

_RGB_MEAN, _SCALE = (122.782, 117.001, 104.298), 256
_WIDTHS = (32, 32, 32, 32, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256, 256)
"""Channels before and after each block of the network."""
_HALVED = (3, 7, 10, 13)
"""The blocks whose output has half as many rows and columns."""
_AT_ONCE = 8

Weights = tuple[Tensor, Tensor]
"""The kernel and the bias of a convolution."""


class FaceEmbedder:
    """The network, on a CPU."""

    def __init__(self) -> None:
        self._convolutions, self._projection = read_weights()

    @torch.inference_mode()
    def __call__(self, chips_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The embeddings, NE, of faces cut to `CHIP_TEMPLATE_52`."""
        chips_NCHW = torch.from_numpy(chips_NHWC).permute(0, 3, 1, 2)
        starts = range(0, len(chips_NHWC), _AT_ONCE)
        embeddings = [self._embed(chips_NCHW[start : start + _AT_ONCE].float()).numpy() for start in starts]
        return np.concatenate([np.empty((0, self._projection.shape[1]), np.float32), *embeddings])

    def _embed(self, chips_NCHW: Tensor) -> Tensor:
        layers = iter(self._convolutions)
        x = (chips_NCHW - torch.tensor(_RGB_MEAN)[:, None, None]) / _SCALE
        x = functional.max_pool2d(functional.relu(_convolved(x, layers, stride=2)), 3, 2)
        for block in range(len(_WIDTHS) - 1):
            if block in _HALVED:
                change = functional.relu(_convolved(x, layers, stride=2))
                x = functional.avg_pool2d(x, 2, 2)
            else:
                change = functional.relu(_convolved(x, layers, padding=1))
            change = _convolved(change, layers, padding=1)
            shape = torch.Size(map(max, x.shape, change.shape))
            x = functional.relu(_enlarged(x, shape) + _enlarged(change, shape))
        return x.mean(dim=(2, 3)) @ self._projection


def _convolved(x: Tensor, layers: Iterator[Weights], *, stride: int = 1, padding: int = 0) -> Tensor:
    return functional.conv2d(x, *next(layers), stride=stride, padding=padding)


def _enlarged(x: Tensor, shape: torch.Size) -> Tensor:
    """Zeros are added after the last channel, row and column: dlib so adds what differs in shape."""
    missing = [wanted - found for wanted, found in zip(shape[:0:-1], x.shape[:0:-1], strict=True)]
    return functional.pad(x, [size for number in missing for size in (0, number)])


@cache
def read_weights() -> tuple[list[Weights], Tensor]:
    """The convolutions in the order of the network, and the matrix of its last layer.

    Each convolution is followed by a scale and a shift of its channels, which are multiplied into it.

    Raises:
        ValueError: The installed weights are not those that this module was written for.
        ModuleNotFoundError: There are none.
    """
    source = weights_file()
    content = check_weights(source.read_bytes(), WEIGHTS_SHA256, source)
    kernels = [(_WIDTHS[0], 3, 7, 7)]
    for before, after in pairwise(_WIDTHS):
        kernels += [(after, before, 3, 3), (after, after, 3, 3)]
    convolutions, position = [], 0
    for shape in kernels:
        width = shape[0]
        weights, position = _tensor(content, (int(np.prod(shape)) + width, 1, 1, 1), position)
        scaling, position = _tensor(content, (2 * width, 1, 1, 1), position)
        kernel, bias, scale, shift = weights[:-width].view(shape), weights[-width:], scaling[:width], scaling[width:]
        convolutions.append((kernel * scale[:, None, None, None], bias * scale + shift))
    projection, _ = _tensor(content, (_WIDTHS[-1], 128, 1, 1), position)
    return convolutions, projection.view(_WIDTHS[-1], 128)


def weights_file() -> Path:
    """The installed weights.

    Raises:
        ModuleNotFoundError: There are none.
    """
    name = "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
    return installed_file("face-recognition-models", name)


def _tensor(content: bytes, shape: tuple[int, ...], start: int) -> tuple[Tensor, int]:
    """The next tensor of this shape, and the position behind it.

    dlib writes whole numbers as their length and their bytes: the version 2 of its format, then the shape.
    """
    sizes = [number.to_bytes((number.bit_length() + 7) // 8, "little") for number in (2, *shape)]
    header = b"".join(bytes([len(size)]) + size for size in sizes)
    position, count = content.index(header, start) + len(header), int(np.prod(shape))
    values = np.frombuffer(content, "<f4", count, position).astype(np.float32)
    return torch.from_numpy(values), position + 4 * count

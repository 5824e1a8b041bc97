"""MTANet with a detector: windows on the maps of the trunk's third stage.

Letters: B faces, C channels, H height, W width, P parts, G windows along a side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data.batches.labelled_frames import LabelledFrames
from data.batches.loader import batches
from data.labels import ACTION_UNITS
from model.network import Outputs
from model.systems.dense_detection.windows import NUM_LANDMARKS
from model.systems.mtanet.network import EXPANSION, MTANet

_STEM = 4
"""Modules of the trunk before its first stage."""


class DenseDetection(MTANet):
    """MTANet, whose trunk also serves a detector of facial parts in training. Its answers are those of MTANet."""

    def __init__(
        self,
        *,
        num_units: int,
        layers: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,
        window_px: float = 32.0,
        window_weight: float = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(num_units=num_units, layers=layers, width=width, **settings)
        self.units = next(units for units in ACTION_UNITS.values() if len(units) == num_units)
        self.window_px = window_px
        self.window_weight = window_weight
        self._third_stage = _STEM + sum(layers[:3])
        self.detector = nn.Conv2d(width * EXPANSION * 4, NUM_LANDMARKS + num_units, 1)

    @property
    def answering(self) -> list[Tensor]:
        dropped = set(self.detector.parameters())
        return [weight for weight in super().answering if weight not in dropped]

    def with_windows(self, faces_BCHW: Tensor) -> tuple[Outputs, Tensor]:
        """The outputs, and the logit of each part in each window (B, P, G, G)."""
        middle_BCHW = self.trunk[: self._third_stage](faces_BCHW)
        return self.heads(self.neck(self.trunk[self._third_stage :](middle_BCHW))), self.detector(middle_BCHW)

    def windows(self, faces_BCHW: Tensor) -> Tensor:
        """The logit of each part in each window alone."""
        found_BPGG: Tensor = self.detector(self.trunk[: self._third_stage](faces_BCHW))
        return found_BPGG


def part_names(network: DenseDetection) -> list[str]:
    """What each part of a window's logits is."""
    return ["right eye", "left eye", "nose", "right mouth", "left mouth", *(f"AU{unit}" for unit in network.units)]


def detected(network: DenseDetection, frames: LabelledFrames) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The faces of some frames (N, H, W, RGB), and the probability of each part in each window (N, P, G, G)."""
    (batch,) = batches(frames, batch_size=len(frames))
    network = network.cpu().eval()
    with torch.inference_mode():
        probabilities_NPGG = network.windows(batch.faces_BCHW).sigmoid()
    faces_NHWC = ((batch.faces_BCHW.permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return faces_NHWC.numpy(), probabilities_NPGG.numpy()

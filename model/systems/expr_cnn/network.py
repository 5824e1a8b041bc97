"""Expressions alone, from grey faces of 48 x 48 px, by a plain convolutional network.

Letters: B faces, C channels, H height, W width, U action units, E expressions, T tasks (`data.labels.Task`).

Source: arXiv 2010.01301, with one normalisation and one rectifier for the two convolutions of a stage.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from data.labels import Task
from model.network import Network, Outputs, missing

SIDE_PX = 48
_LUMA_C = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""


class ExprCnn(Network):
    """Four stages of a 3 x 1 and a 1 x 3 convolution, and two hidden layers.

    With the defaults and 7 expressions it has 4,059,082 parameters, including the three scalars.
    """

    tasks = frozenset({Task.EXPR})

    def __init__(
        self,
        *,
        num_units: int,
        num_expressions: int,
        filters: tuple[int, int, int, int] = (64, 128, 256, 512),
        dense: tuple[int, int] = (512, 256),
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self._num_units = num_units
        self.stages = nn.Sequential(
            *(_stage(*channels, dropout) for channels in zip((1, *filters[:-1]), filters, strict=True))
        )
        side = SIDE_PX // 2 ** len(filters)
        sizes = (filters[-1] * side**2, *dense)
        self.hidden = nn.Sequential(*(_hidden(*units, dropout) for units in zip(sizes[:-1], dense, strict=True)))
        self.expression = nn.Linear(dense[-1], num_expressions)
        self.log_sigma_T = nn.Parameter(torch.ones(len(Task)))

    def forward(self, faces_BCHW: Tensor) -> Outputs:
        """`faces_BCHW`: RGB in [-1, 1], 112 x 112."""
        features_BC = self.hidden(self.stages(grey(faces_BCHW)).flatten(1))
        return Outputs(missing(features_BC, 2), missing(features_BC, self._num_units), self.expression(features_BC))


def grey(faces_BCHW: Tensor) -> Tensor:
    """The faces in grey, with antialiasing shrunk to 48 x 48 px; values stay in [-1, 1]."""
    shares_C11 = faces_BCHW.new_tensor(_LUMA_C)[:, None, None]
    grey_B1HW = (faces_BCHW * shares_C11).sum(1, keepdim=True)
    return functional.interpolate(grey_B1HW, (SIDE_PX, SIDE_PX), mode="bilinear", antialias=True)


def _stage(in_channels: int, channels: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, (3, 1), padding=(1, 0)),
        nn.Conv2d(channels, channels, (1, 3), padding=(0, 1)),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout(dropout),
    )


def _hidden(inputs: int, units: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, units), nn.BatchNorm1d(units), nn.ReLU(inplace=True), nn.Dropout(dropout))

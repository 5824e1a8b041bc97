"""Spectrally normalised layers and the blocks of the discriminators that are made of them.

A normalised weight has its largest singular value at about 1: one power iteration per forward pass in training, none in
evaluation. The iterated vectors are buffers, so a checkpoint resumes them.

Letters: B pairs, C channels, H height, W width, K features, P positions (H x W), Q positions after pooling.

Sources: spectral normalisation, Miyato et al. (2018), arXiv 1802.05957; attention, Zhang et al. (2019),
arXiv 1805.08318.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

_Layer = TypeVar("_Layer", bound=nn.Module)


def normalised(layer: _Layer) -> _Layer:
    """The layer, with the spectral norm of its weight kept at 1."""
    spectral_norm(layer, eps=1e-12)
    return layer


class Attention(nn.Module):
    """Each position adds a mixture of all others; the learned share of the mixture starts at 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = normalised(nn.Conv2d(channels, channels // 8, 1, bias=False))
        self.key = normalised(nn.Conv2d(channels, channels // 8, 1, bias=False))
        self.value = normalised(nn.Conv2d(channels, channels // 2, 1, bias=False))
        self.mixture = normalised(nn.Conv2d(channels // 2, channels, 1, bias=False))
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        query_BPC = self.query(x_BCHW).flatten(2).transpose(1, 2)
        key_BCQ = functional.max_pool2d(self.key(x_BCHW), 2).flatten(2)
        value_BQC = functional.max_pool2d(self.value(x_BCHW), 2).flatten(2).transpose(1, 2)
        mixed_BPC = (query_BPC @ key_BCQ).softmax(2) @ value_BQC
        mixed_BCHW = mixed_BPC.transpose(1, 2).unflatten(2, x_BCHW.shape[2:])
        mixture_BCHW: Tensor = self.mixture(mixed_BCHW)
        return x_BCHW + self.share * mixture_BCHW


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a 1 x 1 shortcut; halves the sides unless it keeps its size."""

    def __init__(self, in_channels: int, channels: int, *, is_first: bool = False, keeps_size: bool = False) -> None:
        super().__init__()
        halve = nn.Identity() if keeps_size else nn.AvgPool2d(2)
        self.residual = nn.Sequential(
            nn.Identity() if is_first else nn.ReLU(),
            normalised(nn.Conv2d(in_channels, channels, 3, padding=1)),
            nn.ReLU(inplace=True),
            normalised(nn.Conv2d(channels, channels, 3, padding=1)),
            halve,
        )
        self.shortcut: nn.Module = nn.Identity()
        if not keeps_size or in_channels != channels:
            self.shortcut = nn.Sequential(normalised(nn.Conv2d(in_channels, channels, 1)), halve)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        summed_BCHW: Tensor = self.residual(x_BCHW) + self.shortcut(x_BCHW)
        return summed_BCHW


class ResidualMlp(nn.Module):
    """A linear layer, to which four branches of two layers each are added."""

    def __init__(self, inputs: int, features: int, branches: int = 4) -> None:
        super().__init__()
        self.first = normalised(nn.Linear(inputs, features))
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                normalised(nn.Linear(features, features)),
                nn.ReLU(inplace=True),
                normalised(nn.Linear(features, features)),
            )
            for _ in range(branches)
        )

    def forward(self, x_BK: Tensor) -> Tensor:
        first_BK: Tensor = self.first(x_BK)
        return first_BK + torch.stack([branch(first_BK) for branch in self.branches]).sum(0)

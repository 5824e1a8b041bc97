"""A latent code and labels to a face.

Letters: B faces, C channels, H height, W width, E expressions, Z numbers of the latent code.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor, nn

from model.systems.noisy_labels.layers import normalised
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture


class Decoder(nn.Module):
    """A linear layer and deconvolutions that each double the sides, from 1 x 1 px; all are spectrally normalised."""

    def __init__(self, settings: NoisyLabelsArchitecture, num_expressions: int) -> None:
        super().__init__()
        filters = settings.decoder_filters[: int(log2(settings.side_px)) - 1]
        layers: list[nn.Module] = [
            normalised(nn.Linear(settings.latent + num_expressions + 2, filters[0])),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (filters[0], 1, 1)),
        ]
        for inputs, outputs in zip((filters[0], *filters[:-1]), filters, strict=True):
            layers += [_doubling(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, _doubling(filters[-1], 3), nn.Tanh())

    def forward(self, latent_BZ: Tensor, expression_BE: Tensor, valence_arousal_B2: Tensor) -> Tensor:
        """The faces: RGB in [-1, 1], of the side in the settings. `expression_BE` is one-hot."""
        faces_BCHW: Tensor = self.layers(torch.cat([latent_BZ, expression_BE, valence_arousal_B2], dim=1))
        return faces_BCHW


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return normalised(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1))

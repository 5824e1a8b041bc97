"""A face to its code: a latent part, of which mean and variance are given, and the labels.

Letters: B faces, C channels, H height, W width, E expressions, Z numbers of the latent code.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from model.systems.noisy_labels.settings import NoisyLabelsArchitecture


@dataclass(frozen=True)
class Code:
    """The encoder's outputs: class logits; valence and arousal unsquashed."""

    latent_mean_BZ: Tensor
    latent_log_variance_BZ: Tensor
    expression_BE: Tensor
    valence_arousal_B2: Tensor

    def float(self) -> Code:
        """The code in float32."""
        return Code(*(value.float() for value in vars(self).values()))


class Encoder(nn.Module):
    """Stages of 3 x 3 convolutions, each ending in a pooling that halves the sides; two hidden layers; linear heads.

    With the defaults, the convolutions are those of VGG-16. Published with plain dropout of whole channels, which is
    the same here: the hidden layers have one value per channel.
    """

    def __init__(self, settings: NoisyLabelsArchitecture, num_expressions: int) -> None:
        super().__init__()
        inputs, stages = 3, []
        for filters, convolutions in zip(settings.filters, settings.convolutions, strict=True):
            for _ in range(convolutions):
                stages += _convolution(inputs, filters, settings.batch_normalisation)
                inputs = filters
            stages.append(nn.MaxPool2d(2))
        self.stages = nn.Sequential(*stages)
        sizes = (inputs * (settings.side_px // 2 ** len(settings.filters)) ** 2, settings.hidden, settings.hidden)
        self.hidden = nn.Sequential(
            nn.Flatten(),
            *(
                layer
                for units in pairwise(sizes)
                for layer in (nn.Linear(*units), nn.ReLU(inplace=True), nn.Dropout(settings.dropout))
            ),
        )
        self.latent_mean = nn.Linear(settings.hidden, settings.latent)
        self.latent_log_variance = nn.Linear(settings.hidden, settings.latent)
        self.expression = nn.Linear(settings.hidden, num_expressions)
        self.valence_arousal = nn.Linear(settings.hidden, 2)

    def forward(self, faces_BCHW: Tensor) -> Code:
        """`faces_BCHW`: RGB in [-1, 1], of the side in the settings."""
        features_BC = self.hidden(self.stages(faces_BCHW))
        return Code(
            self.latent_mean(features_BC),
            self.latent_log_variance(features_BC),
            self.expression(features_BC),
            self.valence_arousal(features_BC),
        )


def draw_latent(code: Code) -> Tensor:
    """A latent code drawn for each face from its normal distribution, through which gradients reach the encoder."""
    return code.latent_mean_BZ + (code.latent_log_variance_BZ / 2).exp() * torch.randn_like(code.latent_mean_BZ)


def _convolution(inputs: int, filters: int, normalise: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, filters, 3, padding=1, bias=not normalise)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return [convolution, *([nn.BatchNorm2d(filters)] if normalise else []), nn.ReLU(inplace=True)]

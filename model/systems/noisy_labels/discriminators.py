"""The five scores of a pair of a face and a code: one for each of four parts, and one for all of them together.

A missing part of a label (`Pairs.known_B2`) has no score of its own, and the joint discriminator sees zeros in its
place. Real and fake pairs of a face miss the same, so nothing can be told from that.

Letters: B pairs, C channels, H height, W width, K features, S the five scores.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.systems.noisy_labels.layers import Attention, ResidualBlock, ResidualMlp, normalised
from model.systems.noisy_labels.pairs import Pairs
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture

SCORES = ("face", "latent", "expression", "valence_arousal", "joint")
_PARTS = len(SCORES) - 1
_SIDE_PX = 32
"""Larger faces are shrunk to it first."""


class Discriminators(nn.Module):
    """Scores rise with how likely a pair is the encoder's (real) rather than the decoder's (fake)."""

    def __init__(self, settings: NoisyLabelsArchitecture, num_expressions: int) -> None:
        super().__init__()
        features = settings.features
        self.face = _FaceFeatures(settings.discriminator_filters, features)
        self.latent = ResidualMlp(settings.latent, features)
        self.expression = ResidualMlp(num_expressions, features)
        self.valence_arousal = ResidualMlp(2, features)
        self.joint = ResidualMlp(_PARTS * features, settings.joint_features)
        self.scores = nn.ModuleList(normalised(nn.Linear(features, 1)) for _ in range(_PARTS))
        self.joint_score = normalised(nn.Linear(settings.joint_features, 1))

    def forward(self, pairs: Pairs) -> Tensor:
        """`scores_BS`, in the order of `SCORES`; to be ignored where `pairs.has_score` is False."""
        parts = self.features(pairs)
        scores = [score(part_BK) for score, part_BK in zip(self.scores, parts, strict=True)]
        return torch.cat([*scores, self.joint_score(self.joint(torch.cat(parts, dim=1)))], dim=1)

    def features(self, pairs: Pairs) -> list[Tensor]:
        """The features of the four parts, which the joint discriminator sees; zero where a label is missing."""
        known_B2 = pairs.known_B2.to(pairs.latent_BZ.dtype)
        return [
            self.face(pairs.faces_BCHW),
            self.latent(pairs.latent_BZ),
            self.expression(pairs.expression_BE) * known_B2[:, :1],
            self.valence_arousal(pairs.valence_arousal_B2) * known_B2[:, 1:],
        ]


class _FaceFeatures(nn.Module):
    """Residual blocks, with attention after the first; the features are summed over the picture."""

    def __init__(self, filters: tuple[int, ...], features: int) -> None:
        super().__init__()
        sizes = (*filters, features)
        self.blocks = nn.Sequential(
            ResidualBlock(3, filters[0], is_first=True),
            Attention(filters[0]),
            *(ResidualBlock(*channels) for channels in pairwise(sizes)),
            ResidualBlock(features, features, keeps_size=True),
            nn.ReLU(inplace=True),
        )

    def forward(self, faces_BCHW: Tensor) -> Tensor:
        if faces_BCHW.shape[-1] > _SIDE_PX:
            faces_BCHW = functional.avg_pool2d(faces_BCHW, faces_BCHW.shape[-1] // _SIDE_PX)
        features_BK: Tensor = self.blocks(faces_BCHW).sum((2, 3))
        return features_BK

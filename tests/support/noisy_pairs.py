"""The smallest networks of the system noisy_labels, a batch for them, and pairs to tell apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from data.batches.batch import Batch
from model.systems.noisy_labels.network import NoisyLabels
from model.systems.noisy_labels.pairs import Pairs
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture

TINY = NoisyLabelsArchitecture(
    side_px=32,
    latent=4,
    filters=(8, 8, 8, 8, 8),
    convolutions=(1, 1, 1, 1, 1),
    hidden=8,
    dropout=0.0,
    batch_normalisation=True,
    decoder_filters=(8, 8, 8, 8, 8),
    discriminator_filters=(8, 8, 8, 8),
    features=8,
    joint_features=8,
    adversarial_from_epoch=0,
)


def tiny_network(seed: int = 1, **settings: Any) -> NoisyLabels:
    torch.manual_seed(seed)
    return NoisyLabels(num_units=8, num_expressions=7, **TINY.but(**settings).model_dump())


def tiny_batch(num_faces: int = 6, **extras: Tensor) -> Batch:
    generator = torch.Generator().manual_seed(2)
    faces_BCHW = torch.rand(num_faces, 3, 112, 112, generator=generator) * 2 - 1
    valence_arousal_B2 = torch.rand(num_faces, 2, generator=generator) * 2 - 1
    indices_B = torch.arange(num_faces)
    units_BU = torch.full((num_faces, 8), torch.nan)
    return Batch(faces_BCHW, valence_arousal_B2, indices_B % 7.0, units_BU, indices_B, indices_B, extras)


def some_pairs(num_pairs: int = 6, *, seed: int = 3) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    return Pairs(
        torch.rand(num_pairs, 3, TINY.side_px, TINY.side_px, generator=generator) * 2 - 1,
        torch.randn(num_pairs, TINY.latent, generator=generator),
        torch.randn(num_pairs, 7, generator=generator),
        torch.rand(num_pairs, 2, generator=generator) * 2 - 1,
        torch.ones(num_pairs, 2, dtype=torch.bool),
    )

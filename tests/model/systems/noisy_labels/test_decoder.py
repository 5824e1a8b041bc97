"""The decoder's sizes, and that a face depends on each of its inputs."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from support.noisy_pairs import some_pairs, tiny_network

from model.systems.noisy_labels.decoder import Decoder
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture


def test_the_published_decoder_has_the_layers_of_the_code() -> None:
    decoder = Decoder(NoisyLabelsArchitecture(), 7)
    expected = (100 + 7 + 2) * 512 + 512
    for inputs, outputs in ((512, 512), (512, 512), (512, 256), (256, 128), (128, 64)):
        expected += 16 * inputs * outputs + outputs + 2 * outputs
    expected += 16 * 64 * 3 + 3
    assert sum(parameter.numel() for parameter in decoder.parameters()) == expected


@pytest.mark.parametrize("side_px", [32, 64])
def test_a_face_has_the_side_of_the_settings_and_values_in_the_range_of_faces(side_px: Literal[32, 64]) -> None:
    network, pairs = tiny_network(side_px=side_px), some_pairs(4)
    faces_BCHW = network.decoder(100 * pairs.latent_BZ, pairs.expression_BE, pairs.valence_arousal_B2)
    assert faces_BCHW.shape == (4, 3, side_px, side_px)
    assert faces_BCHW.abs().max() <= 1


def test_a_face_depends_on_the_latent_code_and_on_each_label() -> None:
    decoder, pairs = tiny_network().decoder.eval(), some_pairs(4)
    inputs = [pairs.latent_BZ, pairs.expression_BE, pairs.valence_arousal_B2]
    faces_BCHW = decoder(*inputs)
    for number in range(3):
        changed = [value + (position == number) for position, value in enumerate(inputs)]
        assert not torch.equal(decoder(*changed), faces_BCHW), number

"""The encoder's sizes, and how its latent code is drawn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from model.systems.noisy_labels.encoder import Code, Encoder, draw_latent
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture


def _code(mean: float, log_variance: float, num_faces: int = 1) -> Code:
    latent_BZ = torch.ones(num_faces, 3)
    return Code(latent_BZ * mean, latent_BZ * log_variance, torch.zeros(num_faces, 7), torch.zeros(num_faces, 2))


def test_the_published_encoder_has_the_convolutions_of_vgg_16() -> None:
    encoder = Encoder(NoisyLabelsArchitecture(), 7)
    convolutions = sum(layer.weight.numel() for layer in encoder.stages if isinstance(layer, nn.Conv2d))
    assert convolutions == 14_710_464  # of VGG-16, without biases
    assert encoder.stages(torch.zeros(1, 3, 64, 64)).shape == (1, 512, 2, 2)
    expected = 14_710_464 + 4_224  # the biases
    for inputs, outputs in ((4 * 512, 500), (500, 500), (500, 100), (500, 100), (500, 7), (500, 2)):
        expected += inputs * outputs + outputs
    assert sum(parameter.numel() for parameter in encoder.parameters()) == expected


def test_a_latent_code_is_its_mean_plus_its_deviation_times_a_normal_number() -> None:
    torch.manual_seed(4)
    noise_BZ = torch.randn(1, 3)
    torch.manual_seed(4)
    # A log variance of 2 ln 3 is a standard deviation of 3.
    found_BZ = draw_latent(_code(0.5, 2 * 1.0986123))
    torch.testing.assert_close(found_BZ, 0.5 + 3 * noise_BZ)


def test_drawn_codes_have_the_mean_and_the_deviation_of_their_distribution() -> None:
    torch.manual_seed(4)
    drawn_BZ = draw_latent(_code(0.5, -1.3862944, num_faces=20_000))
    assert float(drawn_BZ.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(drawn_BZ.std()) == pytest.approx(0.5, abs=0.01)


def test_gradients_reach_mean_and_variance_through_the_drawn_code() -> None:
    torch.manual_seed(4)
    mean_BZ, log_variance_BZ = torch.zeros(1, 3, requires_grad=True), torch.zeros(1, 3, requires_grad=True)
    drawn_BZ = draw_latent(Code(mean_BZ, log_variance_BZ, torch.zeros(1, 7), torch.zeros(1, 2)))
    torch.autograd.backward(drawn_BZ.sum())
    assert mean_BZ.grad is not None
    assert log_variance_BZ.grad is not None
    assert mean_BZ.grad.tolist() == [[1.0] * 3]
    torch.testing.assert_close(log_variance_BZ.grad, drawn_BZ.detach() / 2)


def test_a_code_in_half_precision_becomes_one_in_float32() -> None:
    code = Code(*(torch.zeros(1, 1, dtype=torch.bfloat16) for _ in range(4))).float()
    assert {value.dtype for value in vars(code).values()} == {torch.float32}

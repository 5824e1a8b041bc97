"""Spectral normalisation: the largest singular value of every such weight is 1, as numpy finds it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.noisy_pairs import some_pairs, tiny_network
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from model.systems.noisy_labels.layers import Attention, ResidualBlock, ResidualMlp


def _largest_singular_value(layer: nn.Module, weight: Tensor) -> float:
    """The weight as the matrix from all inputs of a position to all its outputs."""
    if isinstance(layer, nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    return float(np.linalg.svd(weight.detach().flatten(1).numpy(), compute_uv=False)[0])


@pytest.mark.slow
def test_every_layer_that_makes_or_judges_a_face_has_a_spectral_norm_of_1() -> None:
    network = tiny_network()
    parts = {"decoder": network.decoder, "discriminators": network.discriminators}
    layers = {
        f"{part}.{name}": layer
        for part, module in parts.items()
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    }
    # Of the decoder a linear layer and five deconvolutions; of the discriminators six blocks (of which only the last
    # has no shortcut), four layers of attention, four networks of nine layers and five scores.
    assert len(layers) == 6 + (6 * 2 + 5) + 4 + 4 * 9 + 5
    assert all(is_parametrized(layer, "weight") for layer in layers.values())
    with torch.no_grad():
        for layer in layers.values():
            layer.get_parameter("parametrizations.weight.original").mul_(3.0)
    with torch.no_grad():
        for _ in range(200):
            for layer in layers.values():
                _ = layer.weight  # a power iteration, as in each forward pass in training
    network.eval()
    for name, layer in layers.items():
        assert _largest_singular_value(layer, layer.weight) == pytest.approx(1, abs=0.01), name


def test_the_encoder_is_not_normalised() -> None:
    assert not any(is_parametrized(module) for module in tiny_network().encoder.modules())


def test_the_iterated_vectors_are_in_the_state_and_advance_in_training_only() -> None:
    network = tiny_network()
    names = [name for name in network.state_dict() if name.endswith("._u")]
    assert len(names) == 68
    before = {name: network.state_dict()[name].clone() for name in names}
    network.eval().discriminators(some_pairs())
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in names)
    network.train().discriminators(some_pairs())
    changed = [name for name in names if not torch.equal(network.state_dict()[name], before[name])]
    assert changed
    assert all(name.startswith("discriminators.") for name in changed)


def test_attention_starts_as_nothing_and_then_sees_the_whole_picture() -> None:
    torch.manual_seed(0)
    attention = Attention(8).eval()
    x_BCHW = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(attention(x_BCHW), x_BCHW)
    with torch.no_grad():
        attention.share.fill_(1.0)
    other_BCHW = x_BCHW.clone()
    other_BCHW[:, :, 3, 3] += 10.0
    assert (attention(other_BCHW) - attention(x_BCHW))[:, :, 0, 0].abs().max() > 1e-4
    assert attention(x_BCHW).shape == x_BCHW.shape


def test_a_block_halves_the_sides_unless_it_keeps_them() -> None:
    x_BCHW = torch.randn(2, 3, 8, 8)
    assert ResidualBlock(3, 8, is_first=True)(x_BCHW).shape == (2, 8, 4, 4)
    keeps = ResidualBlock(3, 3, keeps_size=True)
    assert keeps(x_BCHW).shape == x_BCHW.shape
    assert isinstance(keeps.shortcut, nn.Identity)


def test_a_block_does_not_change_its_input() -> None:
    x_BCHW = torch.randn(2, 8, 8, 8)
    before_BCHW = x_BCHW.clone()
    ResidualBlock(8, 8)(x_BCHW)
    assert torch.equal(x_BCHW, before_BCHW)


def test_the_branches_are_added_to_the_first_layer() -> None:
    mlp = ResidualMlp(3, 8).eval()
    x_BK = torch.randn(5, 3)
    whole_BK = mlp(x_BK)
    first_BK = mlp.first(x_BK)
    expected_BK = first_BK + sum(branch(first_BK) for branch in mlp.branches)
    torch.testing.assert_close(whole_BK, expected_BK)
    assert len(mlp.branches) == 4

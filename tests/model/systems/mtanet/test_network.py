"""The network is the paper's, down to the number of parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from data.labels import Edition
from model.systems.mtanet.network import Bottleneck, MTANet, mtanet
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network

TINY = Architecture(layers=(1, 1, 1, 1), width=8, neck=8)


def test_the_papers_network_has_28154628_parameters_with_its_three_learned_scalars() -> None:
    network = build_network(Edition.ABAW_2020, Architecture())
    assert sum(parameter.numel() for parameter in network.parameters()) == 28_154_628
    assert network.log_sigma_T.tolist() == [1, 1, 1]


def test_the_papers_trunk_turns_a_face_into_2048_maps_of_4_by_4() -> None:
    network = mtanet(build_network(Edition.ABAW_2020, Architecture())).eval()
    with torch.no_grad():
        assert network.trunk(torch.zeros(1, 3, 112, 112)).shape == (1, 2048, 4, 4)


def test_the_stride_is_on_the_first_convolution_of_a_bottleneck() -> None:
    strides = [module.stride[0] for module in Bottleneck(16, 8, stride=2).residual if isinstance(module, nn.Conv2d)]
    assert strides == [2, 1, 1]


def test_attention_scales_the_residual_before_the_sum() -> None:
    block = Bottleneck(4, 1, stride=1).eval()
    closing = block.attention[3]
    assert isinstance(closing, nn.Conv2d)
    assert closing.bias is not None
    nn.init.zeros_(closing.weight)
    nn.init.zeros_(closing.bias)
    x_BCHW = torch.rand(1, 4, 5, 5)
    expected_BCHW = torch.relu(0.5 * block.residual(x_BCHW) + x_BCHW)
    torch.testing.assert_close(block(x_BCHW), expected_BCHW)


@pytest.mark.parametrize(
    ("edition", "num_units", "num_expressions"), [("2020", 8, 7), ("2021", 12, 7), ("2022", 12, 8)]
)
def test_the_heads_fit_the_edition(edition: str, num_units: int, num_expressions: int) -> None:
    outputs = build_network(Edition(edition), TINY).eval()(torch.zeros(2, 3, 112, 112))
    assert outputs.valence_arousal_B2.shape == (2, 2)
    assert outputs.action_units_BU.shape == (2, num_units)
    assert outputs.expression_BE.shape == (2, num_expressions)


def test_dropout_acts_in_training_only() -> None:
    network = MTANet(num_units=8, num_expressions=7, layers=(1, 1, 1, 1), width=8, neck=8)
    x_BCHW = torch.rand(2, 3, 112, 112)
    network.eval()
    assert torch.equal(network(x_BCHW).expression_BE, network(x_BCHW).expression_BE)
    network.train()
    assert not torch.equal(network(x_BCHW).expression_BE, network(x_BCHW).expression_BE)

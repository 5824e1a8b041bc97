"""The detector sits on the trunk's third stage, and is dropped when the network answers."""

from __future__ import annotations

import torch
from torch import nn

from model.systems.dense_detection.network import DenseDetection
from model.systems.mtanet.network import MTANet

SMALL = {"layers": (1, 1, 1, 1), "width": 8, "neck": 8, "dropout": 0.0}


def _network() -> DenseDetection:
    torch.manual_seed(0)
    return DenseDetection(num_units=8, num_expressions=7, **SMALL).eval()  # type: ignore[arg-type]


def test_its_answers_are_those_of_mtanet_with_the_same_weights() -> None:
    network = _network()
    plain = MTANet(num_units=8, num_expressions=7, **SMALL).eval()  # type: ignore[arg-type]
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("detector")})
    faces_BCHW = torch.rand(2, 3, 112, 112)
    outputs, logits_BPGG = network.with_windows(faces_BCHW)
    for found in (outputs, network(faces_BCHW)):
        torch.testing.assert_close(vars(found), vars(plain(faces_BCHW)))
    assert logits_BPGG.shape == (2, 5 + 8, 7, 7)
    torch.testing.assert_close(network.windows(faces_BCHW), logits_BPGG)


def test_the_detectors_loss_reaches_the_trunk_up_to_its_third_stage() -> None:
    network = _network()
    network.windows(torch.rand(2, 3, 112, 112)).sum().backward()  # type: ignore[no-untyped-call]
    reached = [module.weight.grad is not None for module in network.trunk.modules() if isinstance(module, nn.Conv2d)]
    assert reached[:1] == [True]
    last_stage = network.get_submodule("trunk.7")
    assert all(parameter.grad is None for parameter in last_stage.parameters())

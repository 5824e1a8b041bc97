"""The detector sits on the trunk's third stage, and is dropped when the network answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.little_store import learnable_store
from torch import nn

from data.batches.labelled_frames import labelled_frames
from data.labels import Edition, Split
from model.systems.dense_detection.network import DenseDetection, detected, part_names
from model.systems.mtanet.network import MTANet
from tasks.plots.windows import fired_windows

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


def test_what_the_windows_fire_at_is_given_for_faces_and_drawn(tmp_path: Path) -> None:
    files, labels = learnable_store(tmp_path)
    frames = labelled_frames(files, labels, split=Split.VALIDATION, edition=Edition.ABAW_2020).take(np.arange(3))
    network = _network()
    torch.nn.init.zeros_(network.detector.weight)
    assert network.detector.bias is not None
    torch.nn.init.constant_(network.detector.bias, -2.0)
    faces_NHWC, probabilities_NPGG = detected(network, frames)
    assert faces_NHWC.shape == (3, 112, 112, 3)
    assert probabilities_NPGG.shape == (3, 13, 7, 7)
    assert probabilities_NPGG == pytest.approx(1 / (1 + np.exp(2)))
    assert abs(int(faces_NHWC[1, 56, 100, 0]) - (40 + 26) % 250) < 4
    names = part_names(network)
    assert names[:2] == ["right eye", "left eye"]
    assert names[5:7] == ["AU1", "AU2"]
    assert len(fired_windows(faces_NHWC, probabilities_NPGG, names).axes) == 3 * 14

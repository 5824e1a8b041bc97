"""The network answers by its encoder alone."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from support.noisy_pairs import TINY, tiny_batch, tiny_network

from data.labels import Edition, Task
from model.answers import answer
from model.systems.mtanet.network import MTANet
from model.systems.noisy_labels.network import NoisyLabels, noisy_labels
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture


def test_it_answers_expressions_valence_and_arousal_and_nothing_else() -> None:
    columns = answer(tiny_network().eval(), tiny_batch().faces_BCHW, Edition.ABAW_2020)
    assert {name for name in columns if not name.startswith("p_")} == {"expression", "valence", "arousal"}
    assert NoisyLabels.tasks == {Task.VA, Task.EXPR}


def test_a_prediction_is_the_same_each_time_and_uses_the_encoder_alone() -> None:
    network, faces_BCHW = tiny_network(dropout=0.5).eval(), tiny_batch().faces_BCHW
    before = network(faces_BCHW)
    state = torch.random.get_rng_state()
    with torch.no_grad():
        for part in (network.decoder, network.discriminators):
            for parameter in part.parameters():
                parameter.add_(1.0)
        for parameter in (*network.encoder.latent_mean.parameters(), *network.encoder.latent_log_variance.parameters()):
            parameter.add_(1.0)
    after = network(faces_BCHW)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(after.valence_arousal_B2, before.valence_arousal_B2)
    assert torch.equal(after.expression_BE, before.expression_BE)
    assert after.action_units_BU.isnan().all()
    with torch.no_grad():
        network.encoder.expression.bias.add_(1.0)
    torch.testing.assert_close(network(faces_BCHW).expression_BE, before.expression_BE + 1)


def test_a_face_is_shrunk_in_colour_and_keeps_its_mean() -> None:
    faces_BCHW = torch.zeros(1, 3, 112, 112)
    faces_BCHW[0, 1] = 1
    faces_BCHW[0, 2, ::2] = -1
    shrunk_BCHW = tiny_network(side_px=64).shrunk(faces_BCHW)
    assert shrunk_BCHW.shape == (1, 3, 64, 64)
    assert shrunk_BCHW.mean((0, 2, 3)).tolist() == pytest.approx([0, 1, -0.5], abs=1e-3)
    assert float(shrunk_BCHW[0, 2].std()) < 0.1  # without antialiasing, stripes are left


def test_a_copy_for_averaged_weights_is_the_same_and_apart() -> None:
    network = tiny_network()
    copy = deepcopy(network)
    assert list(copy.state_dict()) == list(network.state_dict())
    assert all(map(torch.equal, copy.state_dict().values(), network.state_dict().values()))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert not any(map(torch.equal, copy.parameters(), network.parameters()))


def test_its_settings_are_checked_and_can_be_read() -> None:
    assert tiny_network().settings == TINY
    assert NoisyLabels.__init__.__kwdefaults__ is None
    with pytest.raises(ValueError, match="side_px"):
        NoisyLabels(num_units=8, num_expressions=7, side_px=48)
    assert NoisyLabelsArchitecture().gan_weight == 1.0


def test_the_network_of_another_system_is_refused() -> None:
    network = tiny_network()
    assert noisy_labels(network) is network
    other = MTANet(num_units=8, num_expressions=7, layers=(1, 1, 1, 1), width=8, neck=8)
    with pytest.raises(ValueError, match="expected the network of the system noisy_labels, found MTANet"):
        noisy_labels(other)

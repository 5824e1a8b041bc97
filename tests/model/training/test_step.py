"""One training step: averaged weights; gradients that conflict, are too long or are not finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from data.batches.batch import Batch
from data.labels import Task
from model.network import Network
from model.systems.mtanet.network import MTANet, mtanet
from model.training.learning import Learning
from model.training.losses import NO_EMPHASIS, task_losses, weighted_losses
from model.training.step import Run, make_optimiser, start_average, step, update_average
from model.training.surgery import backward_with_surgery, without_conflict

SGD = Learning(weight_decay=0.0, learning_rate=1.0)


@pytest.fixture
def network() -> MTANet:
    torch.manual_seed(1)
    return MTANet(num_units=8, num_expressions=7, layers=(1, 1, 1, 1), width=8, neck=8, dropout=0.0)


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(2)
    faces_BCHW = torch.rand(6, 3, 112, 112) * 2 - 1
    units_BU = torch.randint(0, 2, (6, 8)).float()
    indices_B = torch.arange(6)
    return Batch(faces_BCHW, torch.rand(6, 2) * 2 - 1, (indices_B % 7).float(), units_BU, indices_B, indices_B)


def order() -> np.random.Generator:
    return np.random.default_rng(0)


def _weights(network: Network) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def _gradients(network: MTANet) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])


def test_an_average_follows_slowly_but_faster_at_first(network: MTANet) -> None:
    average = start_average(network)
    with torch.no_grad():
        average.log_sigma_T.fill_(0.0)
        network.log_sigma_T.fill_(1.0)
    network.trunk[1].state_dict()["running_mean"].fill_(10.0)
    network.trunk[1].state_dict()["num_batches_tracked"].fill_(7)
    update_average(average, network, decay=0.5, steps=0)  # keeps (1 + 0) / (10 + 0)
    assert average.log_sigma_T.tolist() == pytest.approx([0.9] * 3)
    moments = mtanet(average).trunk[1].state_dict()
    assert moments["running_mean"].tolist() == pytest.approx([9.0] * 8)
    assert moments["num_batches_tracked"].item() == 7
    update_average(average, network, decay=0.5, steps=1000)
    assert average.log_sigma_T.tolist() == pytest.approx([0.95] * 3)
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_two_conflicting_gradients_lose_their_opposing_parts() -> None:
    # (1, 0) and (-1, 1) become (1/2, 1/2) and (0, 1) without their conflict.
    assert without_conflict(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), order()).tolist() == [0.5, 1.5]
    assert without_conflict(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), order()).tolist() == [2.0, 1.0]
    assert without_conflict(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), order()).tolist() == [1.0, 0.0]


@given(seed=st.integers(0, 1000))
def test_the_joint_gradient_improves_each_of_two_tasks(seed: int) -> None:
    gradients_TK = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed))
    assert (gradients_TK @ without_conflict(gradients_TK, order()) >= -1e-5).all()


def test_the_order_of_surgery_is_drawn_from_the_given_generator() -> None:
    gradients_TK = torch.randn(3, 5, generator=torch.Generator().manual_seed(3))
    found = [tuple(without_conflict(gradients_TK, np.random.default_rng(seed)).tolist()) for seed in (0, 0, 1, 2, 3)]
    assert found[0] == found[1]
    assert len(set(found)) > 1


def test_without_conflict_surgery_changes_nothing(network: MTANet, batch: Batch) -> None:
    losses = list(
        weighted_losses(task_losses(network(batch.faces_BCHW), batch), network.log_sigma_T, "learned").values()
    )
    torch.autograd.backward(losses[0] + losses[0] / 2, retain_graph=True)
    expected = _gradients(network)
    network.zero_grad()
    backward_with_surgery([losses[0], losses[0] / 2], network, order())
    torch.testing.assert_close(_gradients(network), expected)


def _norm_of(network: MTANet, loss: Tensor) -> float:
    gradients = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    return float(torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm())


def test_two_opposite_gradients_leave_nothing(network: MTANet, batch: Batch) -> None:
    loss = task_losses(network(batch.faces_BCHW), batch)[Task.VA]
    norm = _norm_of(network, task_losses(network(batch.faces_BCHW), batch)[Task.VA])
    backward_with_surgery([loss, -loss], network, order())
    # The two gradients are opposite: surgery removes them on the shared weights; on the heads they cancel.
    shared = [*network.trunk.parameters(), *network.mean_branch.parameters(), *network.max_branch.parameters()]
    assert all(parameter.grad is not None for parameter in shared)
    assert float(_gradients(network).norm()) < 1e-4 * norm


def test_a_gradient_that_is_too_long_is_shortened_to_the_limit(network: MTANet, batch: Batch) -> None:
    before = _weights(network)
    clipped = SGD.but(optimiser="sgd", gradient_clip=0.01)
    run = Run(network, torch.optim.SGD(network.parameters(), lr=1.0))
    numbers = step(run, batch, clipped, NO_EMPHASIS, rate=1.0, steps=0)
    assert numbers["gradient_norm"] > 0.01
    assert float((_weights(network) - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_a_gradient_that_is_not_finite_leaves_the_network_as_it_was(network: MTANet, batch: Batch) -> None:
    with torch.no_grad():
        network.log_sigma_T.fill_(-43.0)  # a loss of about 1e37; its squared gradient overflows float32
    before = _weights(network)
    run = Run(network, make_optimiser(network, SGD), start_average(network))
    numbers = step(run, batch, SGD, NO_EMPHASIS, rate=1.0, steps=0)
    assert numbers["loss"] < float("inf") == numbers["gradient_norm"]
    assert torch.equal(_weights(network), before)
    assert run.average is not None
    assert torch.equal(_weights(run.average), before)

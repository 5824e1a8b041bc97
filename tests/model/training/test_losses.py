"""Losses agree with values worked out by hand; missing labels have no effect."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from data.batches.batch import Batch
from data.labels import Task
from model.network import Outputs
from model.training.learning import TaskWeights
from model.training.losses import (
    Emphasis,
    action_units_loss,
    expression_loss,
    task_losses,
    total_loss,
    valence_arousal_loss,
)

NAN = math.nan


def _batch(valence_arousal_B2: Tensor, expression_B: Tensor, action_units_BU: Tensor) -> Batch:
    indices_B = torch.arange(len(expression_B))
    return Batch(
        torch.zeros(len(expression_B), 3, 1, 1), valence_arousal_B2, expression_B, action_units_BU, indices_B, indices_B
    )


def test_valence_arousal_is_one_minus_the_mean_ccc() -> None:
    predicted_B2 = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    target_B2 = torch.tensor([[2.0, 1.0], [3.0, 2.0], [4.0, 3.0]])
    loss = valence_arousal_loss(predicted_B2, target_B2)  # CCC 4/7 and 1
    assert loss is not None
    assert loss.item() == pytest.approx(1 - (4 / 7 + 1) / 2)


def test_without_arousal_the_loss_is_that_of_valence() -> None:
    predicted_B2 = torch.tensor([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]])
    loss = valence_arousal_loss(predicted_B2, torch.tensor([[2.0, NAN], [3.0, 0.5], [4.0, NAN]]))
    assert loss is not None
    assert loss.item() == pytest.approx(1 - 4 / 7)


def test_expression_is_the_cross_entropy_of_the_labelled_rows() -> None:
    logits_BE = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0], [50.0, -50.0]])
    loss = expression_loss(logits_BE, torch.tensor([0.0, 1.0, NAN]))  # probabilities 3/4 and 1/2
    assert loss is not None
    assert loss.item() == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)


def test_action_units_is_the_binary_cross_entropy_of_the_labelled_values() -> None:
    logits_BU = torch.tensor([[math.log(4.0), 0.0], [9.0, -math.log(4.0)]])
    loss = action_units_loss(logits_BU, torch.tensor([[1.0, 0.0], [NAN, 1.0]]))  # 4/5, 1/2, 1/5
    assert loss is not None
    assert loss.item() == pytest.approx(-(math.log(0.8) + math.log(0.5) + math.log(0.2)) / 3)


def test_learned_weights_scale_a_loss_and_pay_for_it() -> None:
    log_sigma_T = torch.tensor([1.0, 0.0, 2.0])
    losses = {Task.VA: torch.tensor(0.5), Task.EXPR: torch.tensor(2.0)}
    expected = 0.5 * (math.exp(-2) * 0.5 + 1) + 0.5 * (2.0 + 0)
    assert total_loss(losses, log_sigma_T, "learned").item() == pytest.approx(expected)
    assert total_loss(losses, log_sigma_T, "equal").item() == pytest.approx(2.5)


@pytest.mark.parametrize("task_weights", ["learned", "equal"])
def test_a_task_without_a_label_adds_nothing_and_moves_nothing(task_weights: TaskWeights) -> None:
    log_sigma_T = torch.ones(3, requires_grad=True)
    outputs = Outputs(*(torch.randn(3, width, requires_grad=True) for width in (2, 8, 7)))
    batch = _batch(torch.full((3, 2), NAN), torch.tensor([1.0, NAN, 2.0]), torch.full((3, 8), NAN))
    losses = task_losses(outputs, batch)
    assert list(losses) == [Task.EXPR]
    torch.autograd.backward(total_loss(losses, log_sigma_T, task_weights))
    assert outputs.valence_arousal_B2.grad is None
    assert outputs.action_units_BU.grad is None
    assert log_sigma_T.grad is not None
    assert log_sigma_T.grad[[0, 2]].tolist() == [0, 0]


def test_a_batch_without_any_label_costs_zero() -> None:
    log_sigma_T = torch.ones(3, requires_grad=True)
    total = total_loss({}, log_sigma_T, "learned")
    torch.autograd.backward(total)
    assert total.item() == 0
    assert log_sigma_T.grad is not None
    assert log_sigma_T.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("target", [[NAN, 0.3, NAN], [0.3, 0.3, 0.3], [NAN, NAN, NAN]])
def test_a_ccc_of_one_label_or_of_a_constant_adds_nothing(target: list[float]) -> None:
    assert valence_arousal_loss(torch.randn(3, 2), torch.tensor([target, target]).T) is None


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), share_missing=st.floats(0, 1))
def test_a_missing_label_gives_its_prediction_exactly_no_gradient(seed: int, share_missing: float) -> None:
    generator = torch.Generator().manual_seed(seed)

    def with_holes(target: Tensor) -> Tensor:
        return target.masked_fill(torch.rand(target.shape, generator=generator) < share_missing, NAN)

    batch = _batch(
        with_holes(torch.rand(6, 2, generator=generator)),
        with_holes(torch.randint(7, (6,), generator=generator).float()),
        with_holes(torch.randint(2, (6, 8), generator=generator).float()),
    )
    outputs = Outputs(*(torch.randn(6, width, generator=generator, requires_grad=True) for width in (2, 8, 7)))
    total = total_loss(task_losses(outputs, batch), torch.ones(3, requires_grad=True), "learned")
    torch.autograd.backward(total)
    assert torch.isfinite(total)
    for predicted, target in (
        (outputs.valence_arousal_B2, batch.valence_arousal_B2),
        (outputs.expression_BE, batch.expression_B[:, None].expand(6, 7)),
        (outputs.action_units_BU, batch.action_units_BU),
    ):
        gradient = predicted.grad if predicted.grad is not None else torch.zeros_like(predicted)
        assert torch.isfinite(gradient).all()
        assert (gradient[target.isnan()] == 0).all()


def value_of(loss: Tensor | None) -> float:
    assert loss is not None
    return loss.item()


LOGITS_B2 = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
"""Of two expressions; the probabilities are 3/4 and 1/4, and twice 1/2."""


def test_a_smoothed_expression_label_gives_part_of_its_weight_to_all_classes() -> None:
    loss = value_of(expression_loss(LOGITS_B2[:1], torch.tensor([0.0]), Emphasis(smoothing=0.2)))
    assert loss == pytest.approx(-0.9 * math.log(0.75) - 0.1 * math.log(0.25))


def test_the_weights_of_expressions_are_those_of_a_weighted_mean() -> None:
    emphasis = Emphasis(class_weight_E=torch.tensor([1.0, 3.0]))
    loss = value_of(expression_loss(LOGITS_B2, torch.tensor([0.0, 1.0]), emphasis))
    assert loss == pytest.approx((-math.log(0.75) - 3 * math.log(0.5)) / 4)


def test_the_share_of_a_class_is_added_to_its_logit() -> None:
    emphasis = Emphasis(class_log_share_E=torch.tensor([0.2, 0.8]).log())
    loss = value_of(expression_loss(LOGITS_B2[1:], torch.tensor([1.0]), emphasis))
    assert loss == pytest.approx(-math.log(0.8))


LOGITS_BU = torch.tensor([[math.log(4.0), 0.0]])
"""Of two units; their probabilities are 4/5 and 1/2."""


def test_a_smoothed_unit_label_moves_towards_one_half() -> None:
    loss = value_of(action_units_loss(LOGITS_BU, torch.tensor([[1.0, 0.0]]), Emphasis(smoothing=0.2)))
    assert loss == pytest.approx((-0.9 * math.log(0.8) - 0.1 * math.log(0.2) - math.log(0.5)) / 2)


def test_the_weight_of_a_unit_counts_where_it_is_present() -> None:
    emphasis = Emphasis(unit_weight_U=torch.tensor([3.0, 3.0]))
    loss = value_of(action_units_loss(LOGITS_BU, torch.tensor([[1.0, 0.0]]), emphasis))
    assert loss == pytest.approx((-3 * math.log(0.8) - math.log(0.5)) / 2)


def test_the_emphasis_reaches_expressions_and_units() -> None:
    outputs = Outputs(torch.zeros(1, 2), LOGITS_BU, LOGITS_B2[:1])
    batch = _batch(torch.full((1, 2), NAN), torch.tensor([0.0]), torch.tensor([[1.0, 0.0]]))
    emphasis = Emphasis(smoothing=0.2)
    losses = task_losses(outputs, batch, emphasis)
    assert losses[Task.EXPR].item() == value_of(expression_loss(LOGITS_B2[:1], batch.expression_B, emphasis))
    assert losses[Task.AU].item() == value_of(action_units_loss(LOGITS_BU, batch.action_units_BU, emphasis))

"""Label weights, worked out by hand from the label counts."""

from __future__ import annotations

import math

import pytest
import torch
from support.labelled import frames_of

from model.training.learning import Learning
from model.training.losses import Emphasis, action_units_loss, expression_loss
from model.training.recipe import MOST_CLASS_WEIGHT, recipe_for

NAN = math.nan
PAPER = Learning()


def test_the_papers_recipe_weighs_all_labels_equally_and_draws_each_frame_once() -> None:
    recipe = recipe_for(frames_of([0, 0], expression=[0, 1], au1=[0, 1]), PAPER, "cpu")
    assert recipe.emphasis == Emphasis()
    assert recipe.draws_N is None


def test_a_rare_unit_weighs_more_up_to_the_limit() -> None:
    frames = frames_of([0] * 5, au1=[0, 0, 0, 0, 1])
    weights = [
        recipe_for(frames, Learning(action_unit_weight=most), "cpu").emphasis.unit_weight_U for most in (10.0, 2.0)
    ]
    assert all(weight_U is not None for weight_U in weights)
    # The other units have no labels.
    assert [weight_U.tolist() for weight_U in weights if weight_U is not None] == [[4.0] + [1.0] * 7, [2.0] + [1.0] * 7]


def test_a_rare_class_weighs_more_up_to_the_limit_and_one_without_frames_is_finite() -> None:
    frames = frames_of([0] * 8, expression=[0] * 6 + [1, NAN])
    weight_E = recipe_for(frames, Learning(expression_balance="class_weights"), "cpu").emphasis.class_weight_E
    assert weight_E is not None
    # Counts 6 and 1; the five others count 1 instead of 0.
    assert weight_E.tolist() == pytest.approx([12 / 7 / 6] + [12 / 7] * 6)
    many = frames_of([0] * 1000, expression=[0] * 999 + [1])
    weight_E = recipe_for(many, Learning(expression_balance="class_weights"), "cpu").emphasis.class_weight_E
    assert weight_E is not None
    assert weight_E[1].item() == MOST_CLASS_WEIGHT


def test_logit_adjustment_adds_the_logarithm_of_a_classs_share() -> None:
    frames = frames_of([0] * 8, expression=[0] * 6 + [1, NAN])
    log_share_E = recipe_for(frames, Learning(expression_balance="logit_adjustment"), "cpu").emphasis.class_log_share_E
    assert log_share_E is not None
    assert log_share_E.exp().tolist() == pytest.approx([1 / 2] + [1 / 12] * 6)


def test_oversampled_labels_are_not_weighted_up_again() -> None:
    frames = frames_of([0] * 5, au1=[0, 0, 0, 0, 1])
    emphasis = recipe_for(frames, Learning(balance=1.0, action_unit_weight=10.0), "cpu").emphasis
    assert emphasis.unit_weight_U is not None
    assert emphasis.unit_weight_U[0].item() == pytest.approx(1.0)


def test_logit_adjustment_shifts_the_logits_by_the_log_shares() -> None:
    emphasis = Emphasis(class_log_share_E=torch.tensor([0.75, 0.25]).log())
    loss = expression_loss(torch.zeros(1, 2), torch.tensor([1.0]), emphasis)
    assert loss is not None
    assert loss.item() == pytest.approx(-math.log(0.25))


def test_a_weighted_loss_is_a_weighted_mean() -> None:
    logits_BE = torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)]])
    loss = expression_loss(logits_BE, torch.tensor([0.0, 1.0]), Emphasis(class_weight_E=torch.tensor([1.0, 3.0])))
    assert loss is not None
    assert loss.item() == pytest.approx((-math.log(0.5) - 3 * math.log(0.75)) / 4)


def test_a_units_weight_multiplies_the_loss_of_a_present_unit() -> None:
    loss = action_units_loss(
        torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), Emphasis(unit_weight_U=torch.tensor([3.0, 3.0]))
    )
    assert loss is not None
    assert loss.item() == pytest.approx((3 + 1) * math.log(2) / 2)


def test_smoothing_spreads_a_share_of_the_label_over_all_classes() -> None:
    logit = math.log(4.0)  # probabilities 4/5 and 1/5
    units = action_units_loss(torch.tensor([[logit]]), torch.tensor([[1.0]]), Emphasis(smoothing=0.2))
    classes = expression_loss(torch.tensor([[logit, 0.0]]), torch.tensor([0.0]), Emphasis(smoothing=0.2))
    assert units is not None
    assert classes is not None
    assert [units.item(), classes.item()] == pytest.approx([-0.9 * math.log(0.8) - 0.1 * math.log(0.2)] * 2)


def test_a_missing_label_costs_nothing_with_any_emphasis() -> None:
    emphasis = Emphasis(unit_weight_U=torch.full((2,), 3.0), class_log_share_E=torch.zeros(2), smoothing=0.1)
    logits_BU = torch.zeros(2, 2, requires_grad=True)
    loss = action_units_loss(logits_BU, torch.tensor([[1.0, NAN], [NAN, NAN]]), emphasis)
    assert loss is not None
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits_BU.grad is not None
    assert logits_BU.grad[0, 0] != 0
    assert logits_BU.grad.flatten()[1:].tolist() == [0, 0, 0]
    assert expression_loss(torch.zeros(1, 2), torch.tensor([NAN]), emphasis) is None

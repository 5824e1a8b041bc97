"""Hinge losses by hand, and the losses of two label sets."""

from __future__ import annotations

import pytest
import torch
from torch import nan

from data.labels import Task
from model.network import Outputs
from model.systems.noisy_labels.losses import discriminator_loss, encoder_decoder_loss, label_losses
from model.systems.noisy_labels.pairs import LabelSet
from model.training.losses import expression_loss, valence_arousal_loss

EVEN = torch.full((2, 2), 0.25)


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        ([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], 2.0),
        ([[1.0, 2.0], [3.0, 9.0]], [[-1.0, -2.0], [-3.0, -9.0]], 0.0),
        ([[-1.0, -1.0], [-1.0, -1.0]], [[1.0, 1.0], [1.0, 1.0]], 4.0),
        # (1 - 0.5 + 0 + 1 - -1 + 1 - 0) / 4 + (1 + -0.5 + 0 + 1 + 1 + 1 + 0) / 4
        ([[0.5, 3.0], [-1.0, 0.0]], [[-0.5, -3.0], [1.0, 0.0]], 3.5 / 4 + 3.5 / 4),
    ],
)
def test_the_hinge_loss_of_the_discriminators_by_hand(
    real: list[list[float]], fake: list[list[float]], expected: float
) -> None:
    assert float(discriminator_loss(torch.tensor(real), torch.tensor(fake), EVEN)) == pytest.approx(expected)


def test_encoder_and_decoder_lower_real_scores_and_raise_fake_ones() -> None:
    real_BS, fake_BS = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[-1.0, 0.0], [1.0, 2.0]])
    assert float(encoder_decoder_loss(real_BS, fake_BS, EVEN)) == 2.5 - 0.5
    assert float(encoder_decoder_loss(real_BS - 1, fake_BS, EVEN)) == 1.0
    assert float(encoder_decoder_loss(real_BS, fake_BS + 1, EVEN)) == 1.0


def test_a_score_without_weight_counts_for_nothing() -> None:
    weight_BS = torch.tensor([[1.0, 0.0]])
    real_BS, fake_BS = torch.tensor([[0.5, -99.0]]), torch.tensor([[-0.25, 99.0]])
    assert float(discriminator_loss(real_BS, fake_BS, weight_BS)) == 0.5 + 0.75
    assert float(encoder_decoder_loss(real_BS, fake_BS, weight_BS)) == 0.75


def _outputs() -> Outputs:
    torch.manual_seed(6)
    return Outputs(torch.rand(4, 2), torch.full((4, 8), nan), torch.randn(4, 7))


FIRST = LabelSet(torch.tensor([0.0, 1.0, 2.0, nan]), torch.tensor([[0.1, 0.2], [0.3, -0.4], [nan, nan], [0.5, 0.6]]))
SECOND = LabelSet(torch.tensor([3.0, 1.0, 2.0, 5.0]), torch.full((4, 2), nan))


def test_the_losses_of_two_label_sets_are_averaged() -> None:
    outputs = _outputs()
    losses = label_losses(outputs, [FIRST, SECOND])
    expected = [expression_loss(outputs.expression_BE, labels.expression_B) for labels in (FIRST, SECOND)]
    assert expected[0] is not None
    assert expected[1] is not None
    assert float(losses[Task.EXPR]) == pytest.approx(float(expected[0] + expected[1]) / 2)


def test_a_set_without_labels_of_a_task_leaves_its_loss_to_the_other() -> None:
    outputs = _outputs()
    expected = valence_arousal_loss(outputs.valence_arousal_B2, FIRST.valence_arousal_B2)
    assert expected is not None
    assert float(label_losses(outputs, [FIRST, SECOND])[Task.VA]) == pytest.approx(float(expected))
    assert set(label_losses(outputs, [SECOND])) == {Task.EXPR}
    assert label_losses(outputs, []) == {}

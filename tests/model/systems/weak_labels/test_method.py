"""The student's losses, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from data.batches.batch import Batch
from data.labels import Task
from model.network import Outputs
from model.systems.weak_labels.method import distillation_losses, supervised_losses
from model.systems.weak_labels.network import Mirrored, Student
from model.training.losses import NO_EMPHASIS, expression_loss, valence_arousal_loss

NAN = math.nan
OUTPUTS = Outputs(
    torch.tensor([(0.1, 0.2), (0.5, -0.2), (-0.3, 0.4), (0.9, 0.1)]),
    torch.tensor([[0.5], [-1.0], [2.0], [0.0]]),
    torch.tensor([(1.0, 0.0), (0.0, 2.0), (0.5, 0.5), (-1.0, 1.0)]),
)


def _batch(expression: list[float], filled: list[float], **extras: Tensor) -> Batch:
    nothing_B2, nothing_B1 = torch.full((4, 2), NAN), torch.full((4, 1), NAN)
    number_B = torch.arange(4)
    teacher = {
        "filled_valence_arousal": nothing_B2,
        "filled_expression": torch.tensor(filled),
        "filled_action_units": nothing_B1,
        "teacher_valence_arousal": OUTPUTS.valence_arousal_B2,
        "teacher_expression": OUTPUTS.expression_BE.softmax(1),
        "teacher_action_units": OUTPUTS.action_units_BU.sigmoid(),
    }
    labels = (nothing_B2, torch.tensor(expression), nothing_B1, number_B, number_B)
    return Batch(torch.zeros(4, 3, 112, 112), *labels, {**teacher, **extras})


def test_given_labels_count_fully_and_filled_ones_by_their_weight() -> None:
    given, filled = [0.0, NAN, NAN, NAN], [NAN, 0.0, 1.0, NAN]
    found = supervised_losses(OUTPUTS, _batch(given, filled), NO_EMPHASIS, filled_weight=0.25)
    assert found.keys() == {Task.EXPR}
    given_loss, filled_loss = (expression_loss(OUTPUTS.expression_BE, torch.tensor(of)) for of in (given, filled))
    assert given_loss is not None
    assert filled_loss is not None
    assert found[Task.EXPR] == pytest.approx(float((1 * given_loss + 0.25 * 2 * filled_loss) / (1 + 0.25 * 2)))


def test_without_filled_labels_the_loss_is_that_of_the_given_ones() -> None:
    given = [0.0, 1.0, NAN, NAN]
    found = supervised_losses(OUTPUTS, _batch(given, [NAN] * 4), NO_EMPHASIS, filled_weight=0.5)
    assert found[Task.EXPR] == expression_loss(OUTPUTS.expression_BE, torch.tensor(given))


def test_filled_labels_of_weight_0_do_not_count() -> None:
    found = supervised_losses(OUTPUTS, _batch([NAN] * 4, [0.0, 1.0, NAN, NAN]), NO_EMPHASIS, filled_weight=0.0)
    assert found == {}


def test_a_student_that_answers_as_its_teacher_is_at_no_distance() -> None:
    found = distillation_losses(OUTPUTS, _batch([NAN] * 4, [NAN] * 4), temperature=1.5)
    for task in Task:
        assert float(found[task]) == pytest.approx(0, abs=1e-6)


def test_the_distance_is_that_of_the_softened_probabilities() -> None:
    teacher_BE = torch.tensor([(0.8, 0.2)]).expand(4, 2)
    teacher_B2 = torch.tensor([(0.1, -0.2), (0.4, 0.3), (0.0, 0.1), (0.2, 0.2)])
    batch = _batch([NAN] * 4, [NAN] * 4, teacher_expression=teacher_BE, teacher_valence_arousal=teacher_B2)
    found = distillation_losses(OUTPUTS, batch, temperature=2.0)
    p = math.sqrt(0.8) / (math.sqrt(0.8) + math.sqrt(0.2))  # a temperature of 2 takes the square root
    expected = 0.0
    for a, b in OUTPUTS.expression_BE.tolist():
        q = math.exp(a / 2) / (math.exp(a / 2) + math.exp(b / 2))
        expected += 4 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))) / 4
    assert float(found[Task.EXPR]) == pytest.approx(expected, rel=1e-5)
    assert found[Task.VA] == valence_arousal_loss(OUTPUTS.valence_arousal_B2, teacher_B2)


def test_a_mirrored_network_sees_faces_from_the_other_side() -> None:
    network = Student(num_units=8, num_expressions=7, layers=(1, 1, 1, 1), width=8, neck=8).eval()
    faces_BCHW = torch.rand(2, 3, 112, 112)
    torch.testing.assert_close(vars(Mirrored(network)(faces_BCHW.flip(3))), vars(network(faces_BCHW)))
    assert (network.temperature, network.distillation, network.filled_weight) == (1.5, 0.4, 0.5)

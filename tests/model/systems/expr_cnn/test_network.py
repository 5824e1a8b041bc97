"""The network for expressions alone, and that what it does not answer is missing everywhere."""

from __future__ import annotations

import pytest
import torch

from data.labels import Edition
from model.answers import answer
from model.serving import FaceModel, example_faces
from model.systems.expr_cnn.network import ExprCnn, grey
from model.systems.expr_cnn.settings import ExprCnnArchitecture
from model.training.learning import Learning

EDITION = Edition.ABAW_2020
TINY = ExprCnnArchitecture(filters=(8, 8, 8, 8), dense=(16, 8))
QUICK = Learning(epochs=3, batch_size=16, learning_rate=1e-2, optimiser="adamw", task_weights="equal", seed=5)


def test_the_published_network_has_the_layers_of_the_paper() -> None:
    network = ExprCnn(num_units=8, num_expressions=7)
    expected = 3  # the scalars of the tasks
    for inputs, filters in ((1, 64), (64, 128), (128, 256), (256, 512)):
        expected += 3 * inputs * filters + filters + 3 * filters * filters + filters + 2 * filters
    for inputs, units in ((3 * 3 * 512, 512), (512, 256)):
        expected += inputs * units + units + 2 * units
    expected += 256 * 7 + 7
    assert sum(parameter.numel() for parameter in network.parameters()) == expected == 4_059_082
    assert network.stages(torch.zeros(2, 1, 48, 48)).shape == (2, 512, 3, 3)


def test_a_face_is_grey_by_its_luma_and_keeps_its_mean() -> None:
    faces_BCHW = torch.zeros(3, 3, 112, 112)
    for channel in range(3):
        faces_BCHW[channel, channel] = 1
    grey_B1HW = grey(faces_BCHW)
    assert grey_B1HW.shape == (3, 1, 48, 48)
    assert grey_B1HW.mean((1, 2, 3)).tolist() == pytest.approx([0.299, 0.587, 0.114], abs=1e-6)


def test_it_answers_expressions_and_nothing_else() -> None:
    network = ExprCnn(num_units=8, num_expressions=7, **TINY.model_dump()).eval()
    columns = answer(network, torch.rand(4, 3, 112, 112), EDITION)
    assert {name for name in columns if not name.startswith("p_")} == {"expression"}
    total_B = torch.stack([columns[name] for name in columns if name.startswith("p_")]).sum(0)
    assert total_B.tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    table = FaceModel(network, EDITION).predict(example_faces())
    assert "valence" not in table
    assert len(table["expression"]) == 2

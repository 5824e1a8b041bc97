"""The network that answers from points: its map is saved and loaded without code, and it answers nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.aligned import aligned_face, as_batch
from support.face_shapes import face_shapes

from data.labels import Edition, Task
from data.landmarks.mesh import find_points
from data.landmarks.points import INDICES
from model.answers import answer
from model.serving import FaceModel, example_faces
from model.systems.geometry_pls.fit import fit
from model.systems.geometry_pls.network import GeometryPls, LinearMap
from model.systems.geometry_pls.settings import GeometrySettings
from model.systems.geometry_pls.shape import NUM_DISTANCES, distances
from model.systems.registry import build_network

EDITION = Edition.ABAW_2020
SHAPES = face_shapes(40)


def first_distances() -> LinearMap:
    """Valence is the first distance, arousal 0.25 minus twice the second."""
    coefficients_D2 = np.zeros((NUM_DISTANCES, 2), np.float32)
    coefficients_D2[0, 0], coefficients_D2[1, 1] = 1, -2
    mean_D = np.full(NUM_DISTANCES, 0.5, np.float32)
    return LinearMap(mean_D, coefficients_D2, np.array([0.5, -0.75], np.float32), 1, {})


def new_network() -> GeometryPls:
    made = build_network(EDITION, GeometrySettings())
    assert isinstance(made, GeometryPls)
    return made


def network() -> GeometryPls:
    made = new_network().eval()
    made.take(first_distances())
    return made


def test_points_are_mapped_to_valence_and_arousal() -> None:
    outputs = network().answer_points(torch.from_numpy(SHAPES))
    distances_ND = distances(SHAPES)
    np.testing.assert_allclose(outputs.valence_arousal_B2[:, 0], distances_ND[:, 0], atol=1e-5)
    np.testing.assert_allclose(outputs.valence_arousal_B2[:, 1], 0.25 - 2 * distances_ND[:, 1], atol=1e-5)


def test_a_face_is_answered_by_its_points() -> None:
    faces_BCHW = torch.from_numpy(as_batch(aligned_face(), aligned_face(right_px=3)))
    found = network()(faces_BCHW).valence_arousal_B2
    points_BP3 = find_points(faces_BCHW.numpy()).points_BP3[:, INDICES]
    torch.testing.assert_close(found, network().answer_points(torch.from_numpy(points_BP3)).valence_arousal_B2)
    strided_BCHW = faces_BCHW.contiguous(memory_format=torch.channels_last).double()
    torch.testing.assert_close(network()(strided_BCHW).valence_arousal_B2, found, atol=1e-4, rtol=0)


def test_it_answers_valence_and_arousal_and_nothing_else() -> None:
    outputs = network()(torch.from_numpy(as_batch(aligned_face())))
    assert outputs.action_units_BU.shape == (1, 8)
    assert outputs.expression_BE.shape == (1, 7)
    assert outputs.action_units_BU.isnan().all()
    assert outputs.expression_BE.isnan().all()
    columns = answer(network(), torch.from_numpy(as_batch(aligned_face())), EDITION)
    assert set(columns) == {"valence", "arousal"}
    assert network().tasks == {Task.VA}


def test_a_frame_without_a_face_has_no_answer() -> None:
    points_BP3 = torch.from_numpy(SHAPES[:2].copy())
    points_BP3[0] = torch.nan
    assert network().answer_points(points_BP3).valence_arousal_B2.isnan().tolist() == [[True, True], [False, False]]


def test_a_new_network_answers_zero() -> None:
    found = new_network().answer_points(torch.from_numpy(SHAPES)).valence_arousal_B2
    assert found.tolist() == [[0, 0]] * 40


def test_the_map_is_saved_and_loaded_as_tensors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = new_network()
    made.take(
        fit(SHAPES, rng.uniform(-1, 1, (40, 2)).astype(np.float32), np.arange(40), GeometrySettings(components=(2,)))
    )
    save_file(made.state_dict(), tmp_path / "model.safetensors")
    read = new_network()
    read.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert {"mean_D", "coefficients_D2", "intercept_2", "log_sigma_T"} == set(read.state_dict())
    expected, found = (each.answer_points(torch.from_numpy(SHAPES)).valence_arousal_B2 for each in (made, read))
    assert torch.equal(found, expected)
    assert found.std() > 0


def test_only_the_scalars_of_the_losses_are_parameters() -> None:
    assert [name for name, _ in network().named_parameters()] == ["log_sigma_T"]


@pytest.mark.slow
def test_it_serves_crops() -> None:
    table = FaceModel(network(), EDITION).predict(example_faces())
    assert len(table["valence"]) == 2
    assert table["valence"].between(-1, 1).all()

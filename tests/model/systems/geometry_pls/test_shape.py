from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.face_shapes import face_shapes

from data.landmarks.points import INDICES, PARTS, position
from model.systems.geometry_pls.shape import NUM_DISTANCES, distances, frontal

SHAPES = face_shapes(3)


def square() -> np.ndarray:
    """A face of which all that counts is in one of four places, around (50, 60): the corners of a square of side 2.

    The chin is straight below the left ones.
    """
    points_P3 = np.zeros((len(INDICES), 3), np.float32)
    corners = [(49, 59), (51, 59), (51, 61), (49, 61)]
    for number in range(17, len(INDICES)):
        points_P3[number, :2] = corners[number % 4]
    points_P3[position("right_eye", 0), :2] = corners[0]
    points_P3[position("left_eye", 3), :2] = corners[1]
    points_P3[position("nose_bridge", 0), :2] = corners[0]
    points_P3[position("jaw", 8), :2] = 49, 90
    return points_P3


def turned(points_NP3: np.ndarray, roll: float = 0.0, yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    """The points after a turn of the head, in radians."""
    turn_33 = np.eye(3)
    for angle, (first, second) in ((roll, (0, 1)), (yaw, (0, 2)), (pitch, (1, 2))):
        step_33 = np.eye(3)
        step_33[first, first] = step_33[second, second] = math.cos(angle)
        step_33[first, second], step_33[second, first] = -math.sin(angle), math.sin(angle)
        turn_33 = step_33 @ turn_33
    return (points_NP3 @ turn_33.T).astype(np.float32)


def test_distances_are_those_of_a_square_by_hand() -> None:
    """All points are sqrt(2) from the middle of the square, give or take that a corner has a point more than another.

    So a side of 2 counts as sqrt(2), and a diagonal as 2.
    """
    found_D = distances(square()[None])[0]
    assert sorted({round(float(value), 1) for value in found_D}) == [0, 1.4, 2]
    # 13 points at each corner but the lower left one, which has 12
    assert int((found_D < 0.1).sum()) == 3 * (13 * 12 // 2) + 12 * 11 // 2
    assert int((found_D > 1.9).sum()) == 13 * 12 + 13 * 13


def test_a_pair_has_the_distance_of_its_points_over_the_size_of_the_face() -> None:
    shape_Q2 = SHAPES[0, 17:, :2].astype(np.float64)
    flat_P3 = SHAPES[:1].copy()
    flat_P3[..., 2] = 0
    size = np.sqrt(((shape_Q2 - shape_Q2.mean(0)) ** 2).sum(1).mean())
    found_D = distances(flat_P3)[0]
    assert len(found_D) == NUM_DISTANCES == 51 * 50 // 2
    assert found_D[0] == pytest.approx(np.linalg.norm(shape_Q2[0] - shape_Q2[1]) / size, abs=1e-5)
    assert found_D[49] == pytest.approx(np.linalg.norm(shape_Q2[0] - shape_Q2[50]) / size, abs=1e-5)
    assert found_D[-1] == pytest.approx(np.linalg.norm(shape_Q2[49] - shape_Q2[50]) / size, abs=1e-5)


def test_a_frontal_face_is_upright_and_of_unit_size_around_the_origin() -> None:
    shape_NQ2 = frontal(turned(SHAPES, roll=0.7, yaw=0.4, pitch=-0.3))
    assert shape_NQ2.dtype == np.float32
    right_NE2, left_NE2 = (shape_NQ2[:, position(part, number) - 17] for part, number in EYE_CORNERS)
    np.testing.assert_allclose(right_NE2[:, 1], left_NE2[:, 1], atol=1e-5)
    assert (right_NE2[:, 0] < left_NE2[:, 0]).all()
    assert (shape_NQ2[:, position("outer_lips", 0) - 17, 1] > right_NE2[:, 1]).all()
    np.testing.assert_allclose(shape_NQ2.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose((shape_NQ2**2).sum(2).mean(1), 1, atol=1e-5)


EYE_CORNERS = (("right_eye", 0), ("left_eye", 3))


@given(
    roll=st.floats(-3, 3),
    yaw=st.floats(-1, 1),
    pitch=st.floats(-1, 1),
    scale=st.floats(0.2, 5),
    shift=st.tuples(*[st.floats(-50, 50)] * 3),
)
def test_distances_stay_when_the_head_turns_moves_or_comes_nearer(
    roll: float, yaw: float, pitch: float, scale: float, shift: tuple[float, float, float]
) -> None:
    moved_NP3 = (turned(SHAPES, roll, yaw, pitch) * scale + np.array(shift)).astype(np.float32)
    np.testing.assert_allclose(distances(moved_NP3), distances(SHAPES), atol=1e-3)


def test_an_open_mouth_changes_the_distances_of_the_mouth_only_by_more_than_its_share() -> None:
    opened_NP3 = SHAPES.copy()
    lower = [INDICES.index(index) for index in PARTS["inner_lips"][5:]]
    opened_NP3[:, lower, 1] += 5
    assert np.abs(distances(opened_NP3) - distances(SHAPES)).max() > 0.1


def test_the_jaw_does_not_count_but_for_the_direction_of_the_chin() -> None:
    changed_NP3 = SHAPES.copy()
    changed_NP3[:, [number for number in range(17) if number != position("jaw", 8)]] += 9
    np.testing.assert_array_equal(distances(changed_NP3), distances(SHAPES))


def test_a_frame_without_a_face_has_no_distances_and_leaves_the_others_alone() -> None:
    points_NP3 = SHAPES.copy()
    points_NP3[1] = np.nan
    found_ND = distances(points_NP3)
    assert np.isnan(found_ND).all(1).tolist() == [False, True, False]
    np.testing.assert_array_equal(found_ND[[0, 2]], distances(SHAPES[[0, 2]]))


def test_many_faces_have_the_distances_of_few() -> None:
    many_NP3 = np.tile(SHAPES, (1500, 1, 1))
    np.testing.assert_array_equal(distances(many_NP3)[4497:], distances(SHAPES))
    assert distances(SHAPES[:0]).shape == (0, NUM_DISTANCES)


def test_points_on_one_line_are_no_face() -> None:
    with pytest.raises(ValueError, match="expected eyes and chin of a face apart from each other, found them on one l"):
        frontal(np.ones((1, len(INDICES), 3), np.float32))

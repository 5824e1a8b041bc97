from __future__ import annotations

from data.landmarks.points import INDICES, NUM_MESH_POINTS, PARTS, position


def test_the_points_are_68_different_ones_of_the_mesh() -> None:
    assert [len(indices) for indices in PARTS.values()] == [17, 5, 5, 4, 5, 6, 6, 12, 8]
    assert len(INDICES) == len(set(INDICES)) == 68
    assert all(0 <= index < NUM_MESH_POINTS for index in INDICES)


def test_a_position_counts_among_the_points_that_are_kept() -> None:
    assert position("jaw", 0) == 0
    assert position("right_brow", 0) == 17
    assert position("inner_lips", 7) == 67
    assert INDICES[position("nose_bridge", 3)] == 4

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.faces.crops import (
    APPEARANCE_LENGTH,
    TEMPLATE_52,
    _cut_by_dali,
    _cut_on_cpu,
    _regions,
    alignment,
    appearances,
    cut_faces,
    encode_jpegs,
)
from data.schema import FACE_SIZE_PX
from data.testing.numbered import SIZE, number_in, numbered


def similarity(scale: float, turn_deg: float, shift: tuple[float, float]) -> np.ndarray:
    """The 2x3 matrix from a frame to a crop."""
    turn = np.deg2rad(turn_deg)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def landmarks_for(matrix_23: np.ndarray) -> np.ndarray:
    """Landmarks in the frame that the matrix takes to the template."""
    landmarks_52: np.ndarray = np.linalg.solve(matrix_23[:, :2], (TEMPLATE_52 - matrix_23[:, 2]).T).T
    return landmarks_52


def ramp(height: int, width: int) -> tuple[torch.Tensor, ...]:
    """One frame whose red is x and whose green is y."""
    rows, columns = np.mgrid[:height, :width]
    return (torch.from_numpy(np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8)),)


@given(st.floats(0.05, 8), st.floats(-180, 180), st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)))
def test_a_known_turn_scale_and_shift_is_found_again(scale: float, turn_deg: float, shift: tuple[float, float]) -> None:
    matrix_23 = similarity(scale, turn_deg, shift)
    assert alignment(landmarks_for(matrix_23)) == pytest.approx(matrix_23, abs=1e-6)


def test_landmarks_that_fit_no_turn_get_the_nearest_one_and_no_mirrored_face() -> None:
    mirrored_52 = TEMPLATE_52 * (-1, 1)
    matrix_23 = alignment(mirrored_52)
    assert np.linalg.det(matrix_23[:, :2]) > 0

    def error(matrix_23: np.ndarray) -> float:
        return float(((mirrored_52 @ matrix_23[:, :2].T + matrix_23[:, 2] - TEMPLATE_52) ** 2).sum())

    for change in np.eye(6).reshape(6, 2, 3)[[2, 5]]:
        assert error(matrix_23) < min(error(matrix_23 + 0.1 * change), error(matrix_23 - 0.1 * change))


@pytest.mark.parametrize("landmarks_52", [np.full((5, 2), 7.0), np.full((5, 2), np.nan)])
def test_landmarks_that_are_one_point_are_refused(landmarks_52: np.ndarray) -> None:
    with pytest.raises(ValueError, match="landmarks: expected five finite points apart from each other, found"):
        alignment(landmarks_52)


@pytest.mark.parametrize(("scale", "turn_deg"), [(1.0, 0.0), (0.5, 0.0), (0.7, 30.0), (2.0, -45.0)])
def test_a_crop_shows_the_frame_where_its_matrix_says(scale: float, turn_deg: float) -> None:
    centre = np.array([128.0, 128.0])
    matrix_23 = similarity(scale, turn_deg, (0, 0))
    matrix_23[:, 2] = 55.5 - matrix_23[:, :2] @ centre
    (crop,) = cut_faces(ramp(256, 256), [0], landmarks_for(matrix_23)[None], device="cpu")
    rows, columns = np.mgrid[:FACE_SIZE_PX, :FACE_SIZE_PX]
    in_crop_2N = np.stack([columns.ravel(), rows.ravel()])
    in_frame_2N = np.linalg.solve(matrix_23[:, :2], in_crop_2N - matrix_23[:, 2:])
    inside_N = ((in_frame_2N > 1) & (in_frame_2N < 254)).all(0)
    difference_2N = crop[..., :2].reshape(-1, 2).T - in_frame_2N
    assert (
        np.abs(difference_2N[:, inside_N]).max() < 1.1
    )  # grey levels are px here; half a px off would be 0.5 in the mean
    assert np.abs(difference_2N[:, inside_N].mean(1)).max() < 0.05


def test_a_face_partly_out_of_the_frame_goes_on_with_the_frames_edge() -> None:
    frame = torch.zeros(1, 80, 100, 3, dtype=torch.uint8)
    frame[..., 0] = 200
    frame[:, :, :3] = torch.tensor([10, 220, 30], dtype=torch.uint8)  # the edge on the left
    landmarks_N52 = TEMPLATE_52 + np.array([(-56, -20), (5000, 0)])[:, None]
    crop, far_out = cut_faces((frame[0],), [0, 0], landmarks_N52, device="cpu")
    assert np.abs(crop[:, :50].astype(int) - (10, 220, 30)).max() <= 2
    assert np.abs(crop[:, 65:].astype(int) - (200, 0, 0)).max() <= 2
    assert np.abs(far_out.astype(int) - (200, 0, 0)).max() <= 2


def test_the_operators_of_a_gpu_cut_the_same_faces() -> None:
    """Run on a CPU; only where they run is left to a GPU."""
    frames_FHWC = torch.from_numpy(np.stack([numbered(number) for number in range(12)]))
    matrices_N23 = np.stack([similarity(0.7 + 0.15 * number, 15 * number, (0, 0)) for number in range(12)])
    matrices_N23[:, :, 2] = 55.5 - matrices_N23[:, :, :2] @ (80, 48)
    starts_N2, ends_N2, from_regions_N23 = _regions(matrices_N23, SIZE)
    regions = (list(frames_FHWC), starts_N2, ends_N2, from_regions_N23)
    by_gpu = _cut_by_dali(*regions, FACE_SIZE_PX, device="cpu").torch()
    by_cpu = _cut_on_cpu(*regions, FACE_SIZE_PX).torch()
    apart = (by_gpu.int() - by_cpu.int()).abs()
    assert by_gpu.shape == (12, FACE_SIZE_PX, FACE_SIZE_PX, 3)
    assert by_cpu.float().std() > 30
    assert apart.max() <= 2
    assert apart.float().mean() < 0.2


def test_each_face_is_cut_from_the_frame_of_its_owner_and_read_back_from_its_jpeg() -> None:
    owners = [5, 0, 5, 3, 1]
    frames_FHWC = torch.from_numpy(np.stack([numbered(20 + 7 * number) for number in range(6)]))
    matrix_23 = similarity(FACE_SIZE_PX / SIZE[1], 0, (0, 0))
    crops = cut_faces(list(frames_FHWC), owners, np.stack([landmarks_for(matrix_23)] * len(owners)), device="cpu")
    jpegs = encode_jpegs(crops, quality=95)
    assert crops.shape == (5, FACE_SIZE_PX, FACE_SIZE_PX, 3)
    assert [len(jpeg) < len(one) for jpeg, one in zip(encode_jpegs(crops, quality=50), jpegs, strict=True)] == [
        True
    ] * 5
    for owner, jpeg in zip(owners, jpegs, strict=True):
        nearest = np.arange(SIZE[1]) * FACE_SIZE_PX // SIZE[1]
        assert number_in(simplejpeg.decode_jpeg(jpeg)[nearest][:, nearest]) == 20 + 7 * owner


def test_no_faces_give_no_crops() -> None:
    assert cut_faces(ramp(20, 20), [], np.empty((0, 5, 2)), device="cpu").shape == (0, FACE_SIZE_PX, FACE_SIZE_PX, 3)
    assert appearances(ramp(20, 20), [], np.empty((0, 4))).shape == (0, APPEARANCE_LENGTH)


def test_looks_are_near_for_the_same_colours_and_far_for_others() -> None:
    frames_FHWC = torch.zeros(3, 100, 100, 3, dtype=torch.uint8)
    frames_FHWC[0] = torch.tensor([200, 30, 30])
    frames_FHWC[1] = torch.tensor([205, 35, 25])
    frames_FHWC[2] = torch.tensor([30, 30, 200])
    boxes_N4 = np.array([[40, 30, 20, 20], [42, 33, 25, 20], [-300, 30, 20, 2000]], np.float32)
    looks_NL = appearances(list(frames_FHWC), [0, 1, 2], boxes_N4)
    assert looks_NL.dtype == np.float32
    assert np.linalg.norm(looks_NL, axis=1) == pytest.approx(1, abs=1e-5)
    assert looks_NL[0] @ looks_NL[1] > 0.95
    assert looks_NL[0] @ looks_NL[2] < 0.7

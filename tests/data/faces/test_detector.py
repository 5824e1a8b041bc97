from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.clips import one_person, two_people

from data.faces.detector import FaceDetector, candidates, non_maximum_suppression
from data.faces.retinaface import RetinaFace, read_weights, weights_in
from data.testing.drawn import with_face


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(device="cpu", min_score=0.7, detection_size=640)


def frames(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures))


def test_the_faces_of_two_people_are_found_where_they_are(detector: FaceDetector) -> None:
    picture, truth_F4 = two_people()
    (faces,) = detector.detect(frames(picture))
    assert len(faces.scores_F) == 2
    assert (faces.scores_F >= 0.7).all()
    assert faces.scores_F[0] >= faces.scores_F[1]
    order = np.argsort(faces.boxes_F4[:, 0])
    centres_F2 = faces.boxes_F4[order, :2] + faces.boxes_F4[order, 2:] / 2
    assert (np.abs(centres_F2 - truth_F4[:, :2] - truth_F4[:, 2:] / 2) < truth_F4[:, 2:] / 4).all()


def test_landmarks_are_eyes_nose_and_mouth_from_left_to_right(detector: FaceDetector) -> None:
    (faces,) = detector.detect(frames(one_person()))
    eye_left, eye_right, nose, mouth_left, mouth_right = faces.landmarks_F52[0]
    x, y, w, h = faces.boxes_F4[0]
    assert x < eye_left[0] < nose[0] < eye_right[0] < x + w
    assert mouth_left[0] < mouth_right[0]
    assert y < eye_left[1] < nose[1] < mouth_left[1] < y + h


def test_faces_of_a_larger_frame_are_given_in_its_own_pixels(detector: FaceDetector) -> None:
    picture = two_people()[0]
    (faces,) = detector.detect(frames(picture))
    (larger,) = detector.detect(frames(picture.repeat(2, axis=0).repeat(2, axis=1)))
    assert larger.boxes_F4 == pytest.approx(2 * faces.boxes_F4, abs=3)
    assert larger.landmarks_F52 == pytest.approx(2 * faces.landmarks_F52, abs=3)


@pytest.mark.parametrize("height_px", [60, 90, 130])
def test_a_drawn_face_is_surely_found_where_it_was_drawn(detector: FaceDetector, height_px: int) -> None:
    grey = np.full((180, 320, 3), 128, np.uint8)
    (faces,) = detector.detect(frames(with_face(grey, middle_xy=(140, 90), height_px=height_px)))
    assert len(faces.scores_F) == 1
    assert faces.scores_F[0] > 0.99
    eye_left, eye_right, nose, mouth_left, mouth_right = faces.landmarks_F52[0]
    off_px = height_px / 15
    assert np.stack([eye_left, eye_right]).mean(0) == pytest.approx([140, 90 - 0.05 * height_px], abs=off_px)
    assert eye_right[0] - eye_left[0] == pytest.approx(0.29 * height_px, abs=off_px)
    assert nose == pytest.approx([140, 90 + 0.12 * height_px], abs=off_px)
    assert np.stack([mouth_left, mouth_right]).mean(0) == pytest.approx([140, 90 + 0.25 * height_px], abs=off_px)


def test_a_small_frame_is_enlarged_for_its_small_faces(detector: FaceDetector) -> None:
    small = np.ascontiguousarray(two_people()[0][::6, ::6])
    as_it_is = FaceDetector(device="cpu", min_score=0.7, detection_size=small.shape[1])
    assert len(detector.detect(frames(small))[0].scores_F) == 2
    assert len(as_it_is.detect(frames(small))[0].scores_F) < 2


def test_each_frame_of_a_batch_has_its_own_faces(detector: FaceDetector) -> None:
    picture = one_person()
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    grey = np.full_like(picture, 128)
    found = detector.detect(frames(grey, picture, grey, grey, mirrored))
    assert [len(faces.scores_F) for faces in found] == [0, 1, 0, 0, 1]
    assert found[0].boxes_F4.shape == (0, 4)
    assert found[0].landmarks_F52.shape == (0, 5, 2)
    box_4, mirrored_4 = found[1].boxes_F4[0], found[4].boxes_F4[0]
    assert mirrored_4[0] == pytest.approx(320 - box_4[0] - box_4[2], abs=8)


def test_the_network_has_a_cell_every_8_16_and_32_px_for_a_frame_of_any_size() -> None:
    maps = RetinaFace(read_weights())(torch.zeros(1, 3, 50, 70))
    assert [tuple(level.shape) for level in maps] == [(1, 32, 7, 9), (1, 32, 4, 5), (1, 32, 2, 3)]


def test_an_anchor_without_offsets_is_a_square_around_its_cell() -> None:
    maps = [torch.zeros(2, 32, 4, 6), torch.zeros(2, 32, 2, 3), torch.zeros(2, 32, 1, 2)]
    for level in maps:
        level[:, 0:4:2] = 5.0  # nothing anywhere
    maps[1][1, 2:4, 1, 2] = torch.tensor([0.0, 2.0])  # second anchor (128 px) of the cell at row 1, column 2
    nothing, found = candidates(maps, 0.7)
    assert len(nothing.scores_F) == 0
    assert found.boxes_F4.tolist() == [[40 - 64, 24 - 64, 128, 128]]
    assert found.landmarks_F52.tolist() == [[[40, 24]] * 5]
    assert found.scores_F == pytest.approx([1 / (1 + np.exp(-2))])


def test_of_boxes_that_overlap_too_much_the_surest_is_kept() -> None:
    boxes_F4 = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [6, 0, 10, 10], [50, 0, 10, 10]], np.float32)
    kept = non_maximum_suppression(boxes_F4, np.array([0.8, 0.9, 0.7, 0.95], np.float32), 0.4)
    assert kept.tolist() == [3, 1, 2]
    assert non_maximum_suppression(boxes_F4[:0], np.empty(0, np.float32), 0.4).tolist() == []


@pytest.mark.parametrize("source", ["WEIGHTS = b'other weights'", "", "raise SystemExit"])
def test_other_weights_than_the_pinned_ones_are_refused(tmp_path: Path, source: str) -> None:
    path = tmp_path / "weights.py"
    path.write_text(source)
    with pytest.raises(ValueError, match=r"weights\.py: expected weights with sha256 b7a7ac\w+, found \w+; install"):
        weights_in(path)

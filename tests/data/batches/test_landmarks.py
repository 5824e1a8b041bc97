"""The landmarks of labelled frames: in px of the crop, and moved as the faces are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.little_store import STILL, jpeg, label, write_labels, write_track

from data.batches.augment import LANDMARKS
from data.batches.labelled_frames import LabelledFrames, labelled_frames
from data.batches.loader import batches
from data.batches.stored_faces import with_landmarks
from data.faces.crops import TEMPLATE_52
from data.labels import Edition, Split

SPOTS_52 = np.array([(40, 40), (72, 40), (56, 60), (44, 80), (70, 82)], dtype=np.float64)
"""Where the drawn faces have their landmarks, in px of the crop."""


def _drawn(position: int) -> np.ndarray:
    """A black face with a white spot of 7 x 7 px at one of the landmarks."""
    face_HWC = np.zeros((112, 112, 3), dtype=np.uint8)
    x, y = SPOTS_52[position].astype(int)
    face_HWC[y - 3 : y + 4, x - 3 : x + 4] = 255
    return face_HWC


@pytest.fixture
def frames(tmp_path: Path) -> LabelledFrames:
    """Five frames, each with a spot at another of the same landmarks."""
    crops = {frame: jpeg(_drawn(frame)) for frame in range(5)}
    files = [write_track(tmp_path, "a", 5, crops=crops)]
    labels = write_labels(tmp_path / "labels.parquet", [label("a", frame, valence=0.0) for frame in range(5)])
    found = labelled_frames(files, labels, split=Split.TRAIN, edition=Edition.ABAW_2020)
    landmarks_N52 = np.broadcast_to(SPOTS_52.astype(np.float32), (5, 5, 2))
    return type(found)(**{**vars(found), "extras": {LANDMARKS: landmarks_N52}})


def test_landmarks_of_a_frame_are_given_where_they_lie_in_the_crop(tmp_path: Path) -> None:
    in_frame_52 = TEMPLATE_52 * 2 + (300, 100)  # twice as large, elsewhere: the crop undoes it
    smiling_52 = in_frame_52 + np.array([(0, 0), (0, 0), (0, 0), (-6, 0), (6, 0)])
    landmarks = {0: in_frame_52, 3: smiling_52}
    files = [write_track(tmp_path, "a", 4, landmarks=landmarks)]
    labels = write_labels(tmp_path / "labels.parquet", [label("a", frame, valence=0.0) for frame in (0, 1, 3)])
    frames = labelled_frames(files, labels, split=Split.TRAIN, edition=Edition.ABAW_2020)
    found_N52 = with_landmarks(frames).extras[LANDMARKS]
    assert found_N52[0] == pytest.approx(TEMPLATE_52, abs=1e-3)
    assert np.isnan(found_N52[1]).all()
    wider = found_N52[2, 4, 0] - found_N52[2, 3, 0] - (TEMPLATE_52[4, 0] - TEMPLATE_52[3, 0])
    assert 4 < wider < 6  # 12 px of the frame, which is twice as large, less what the crop shrinks the wider face
    assert with_landmarks(frames).take(np.array([2])).extras[LANDMARKS] == pytest.approx(found_N52[2:])


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_landmarks_move_with_the_faces_and_a_mirror_swaps_left_and_right(frames: LabelledFrames, flip: float) -> None:
    (batch,) = batches(frames, batch_size=5, augment=STILL.but(crop=1.0, flip=flip), shuffle=True, seed=3)
    place_HW2 = torch.stack(torch.meshgrid(torch.arange(112) + 0.5, torch.arange(112) + 0.5, indexing="xy"), dim=-1)
    for face_CHW, landmarks_52, frame in zip(
        batch.faces_BCHW, batch.extras[LANDMARKS], batch.frame_index_B, strict=True
    ):
        bright_HW = face_CHW.mean(0) + 1
        spot_2 = (bright_HW[..., None] * place_HW2).sum((0, 1)) / bright_HW.sum()
        shown = [1, 0, 2, 4, 3][frame] if flip else int(frame)
        assert torch.dist(landmarks_52[shown], spot_2) < 1.5
        assert (landmarks_52 - torch.from_numpy(SPOTS_52)).abs().max() > 0.5

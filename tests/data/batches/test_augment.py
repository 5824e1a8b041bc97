"""Blur and erasing, as the loader's graph does them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.little_store import STILL, face, jpeg, label, write_labels, write_track
from torch import Tensor

from data.batches.augment import Augmentation, draw
from data.batches.labelled_frames import LabelledFrames, labelled_frames
from data.batches.loader import batches
from data.labels import Edition, Split


@pytest.fixture
def frames(tmp_path: Path) -> LabelledFrames:
    """24 faces, each with an edge down its middle."""
    crops = {frame: jpeg(face(200)) for frame in range(24)}
    files = [write_track(tmp_path, "a", 24, crops=crops)]
    labels = write_labels(tmp_path / "labels.parquet", [label("a", frame, valence=0.0) for frame in range(24)])
    return labelled_frames(files, labels, split=Split.TRAIN, edition=Edition.ABAW_2020)


def _faces(frames: LabelledFrames, augment: Augmentation | None, epoch: int = 0) -> Tensor:
    (batch,) = batches(frames, batch_size=24, augment=augment, epoch=epoch)
    return batch.faces_BCHW


def test_a_blur_softens_the_edges_of_its_share_of_the_faces_and_leaves_the_others_alone(frames: LabelledFrames) -> None:
    plain_BCHW = _faces(frames, STILL)
    blurred_BCHW = _faces(frames, STILL.but(blur=0.5))
    edge_B = (blurred_BCHW[..., 56] - blurred_BCHW[..., 55]).mean((1, 2))
    sharp = float((plain_BCHW[..., 56] - plain_BCHW[..., 55]).mean())
    untouched_B = (blurred_BCHW == plain_BCHW).all(3).all(2).all(1)
    assert 4 <= int(untouched_B.sum()) <= 20
    assert (edge_B[~untouched_B] < 0.8 * sharp).all()
    # Far from the edge there is nothing to blur.
    torch.testing.assert_close(blurred_BCHW[..., :40], plain_BCHW[..., :40], atol=0.02, rtol=0)


def test_erasing_paints_one_rectangle_over_its_share_of_the_faces(frames: LabelledFrames) -> None:
    plain_BCHW = _faces(frames, STILL)
    erased_BCHW = _faces(frames, STILL.but(erase=0.5))
    changed_BHW = (erased_BCHW != plain_BCHW).any(1)
    shares = changed_BHW.float().mean((1, 2))
    assert 4 <= int((shares == 0).sum()) <= 20
    assert all(0.01 < share < 0.27 for share in shares.tolist() if share)
    for face_CHW, changed_HW in zip(erased_BCHW, changed_BHW, strict=True):
        if changed_HW.any():
            rows, columns = np.flatnonzero(changed_HW.any(1)), np.flatnonzero(changed_HW.any(0))
            painted_CP = face_CHW[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].flatten(1)
            assert (painted_CP == painted_CP[:, :1]).all()


@pytest.mark.parametrize("change", ["flip", "crop", "colour"])
def test_each_change_is_made_to_its_share_of_the_faces_and_the_others_stay(frames: LabelledFrames, change: str) -> None:
    plain_BCHW = _faces(frames, None)
    for share, fewest, most in ((0, 24, 24), (0.5, 4, 20), (1, 0, 0)):
        found_BCHW = _faces(frames, STILL.but(**{change: share}))
        unchanged_B = ((found_BCHW - plain_BCHW).abs() < 1e-6).all(3).all(2).all(1)
        assert fewest <= int(unchanged_B.sum()) <= most


def test_the_same_epoch_has_the_same_blur_and_rectangles_and_another_has_others(frames: LabelledFrames) -> None:
    augment = Augmentation(flip=0.5, crop=1, colour=1, blur=0.5, erase=0.5)
    assert torch.equal(_faces(frames, augment), _faces(frames, augment))
    assert not torch.equal(_faces(frames, augment), _faces(frames, augment, epoch=1))


def test_what_is_off_draws_nothing_so_that_the_rest_stays_as_it_is() -> None:
    plain = draw(Augmentation(flip=0.5, crop=1, colour=1), np.random.default_rng(1), 5)
    more = draw(Augmentation(flip=0.5, crop=1, colour=1, blur=1, erase=1), np.random.default_rng(1), 5)
    assert [array.shape for array in more] == [(5, 2, 3), (5,), (5,), (5,), (5,), (5, 2), (5, 2), (5, 3)]
    assert all(np.array_equal(one, other) for one, other in zip(plain, more[:4], strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_rectangles_lie_within_the_face(seed: int) -> None:
    *_, corner_B2, size_B2, _ = draw(
        Augmentation(flip=0.5, crop=1, colour=1, erase=1), np.random.default_rng(seed), 200
    )
    assert corner_B2.min() >= 0
    assert (corner_B2 + size_B2).max() <= 112 + 1e-3
    assert size_B2.min() > 0

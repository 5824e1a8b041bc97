"""Every labelled face comes once, with its own labels, in an order that a seed fixes."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline
from support.little_store import STILL, face, jpeg, label, learnable_store, write_labels, write_track
from torch import Tensor

from data.batches.augment import Augmentation, draw
from data.batches.batch import Batch
from data.batches.dali_graph import face_pipeline
from data.batches.labelled_frames import LabelledFrames, labelled_frames
from data.batches.loader import batches, face_batches
from data.labels import Edition, Split, Task
from data.machine import Device
from data.schema import Status

DEVICES: tuple[Device, ...] = ("cpu", "gpu")


def _frames(files: list[Path], labels: Path, split: Split = Split.TRAIN, **options: Any) -> LabelledFrames:
    return labelled_frames(files, labels, split=split, edition=Edition.ABAW_2020, **options)


def _two_tracks(folder: Path) -> LabelledFrames:
    files = [write_track(folder, name, 10) for name in ("a", "b")]
    rows = [label(name, frame, valence=frame / 10, arousal=0.0) for name in ("a", "b") for frame in range(10)]
    return _frames(files, write_labels(folder / "labels.parquet", rows))


def _identities(epoch: list[Batch]) -> list[tuple[int, int]]:
    return [
        (int(track), int(frame))
        for batch in epoch
        for track, frame in zip(batch.track_index_B, batch.frame_index_B, strict=True)
    ]


def _levels(faces_BCHW: Tensor) -> list[float]:
    """Of the right half of each face, as `little_store.face` makes it."""
    levels: list[float] = (faces_BCHW[:, :, :, 70:].mean((1, 2, 3)) * 127.5 + 127.5).tolist()
    return levels


def test_a_frame_needs_a_face_and_a_label(tmp_path: Path) -> None:
    files = [write_track(tmp_path, "a", 5, status={1: Status.NO_FACE, 2: Status.INTERPOLATED, 3: Status.DECODE_ERROR})]
    rows = [label("a", frame, expression=frame) for frame in (0, 1, 2, 3, 7)]
    frames = _frames(files, write_labels(tmp_path / "labels.parquet", [*rows, label("a", 4)]))
    assert frames.frame_index_N.tolist() == [0, 2]
    assert frames.expression_N.tolist() == [0, 2]
    assert np.isnan(frames.valence_arousal_N2).all()


def test_labels_of_a_task_that_holds_the_track_out_are_missing(tmp_path: Path) -> None:
    files = [write_track(tmp_path, "a", 3)]
    split = {"va": "train", "expr": "validation", "au": None}
    rows = [label("a", frame, split=split, valence=0.5, arousal=0.1, expression=3, au1=True) for frame in range(2)]
    labels = write_labels(tmp_path / "labels.parquet", [*rows, label("a", 2, split=split, expression=1)])
    train, validation = _frames(files, labels), _frames(files, labels, Split.VALIDATION)
    assert train.valence_arousal_N2.tolist() == [[0.5, pytest.approx(0.1)]] * 2
    assert np.isnan(train.expression_N).all()
    assert np.isnan(train.action_units_NU).all()
    assert validation.expression_N.tolist() == [3, 3, 1]
    assert np.isnan(validation.valence_arousal_N2).all()


def test_units_come_in_the_editions_order_and_missing_ones_are_nan(tmp_path: Path) -> None:
    files = [write_track(tmp_path, "a", 1)]
    labels = write_labels(tmp_path / "labels.parquet", [label("a", 0, au1=True, au25=False, au20=True, au26=True)])
    frames = _frames(files, labels)
    np.testing.assert_array_equal(frames.action_units_NU, [[1, *[math.nan] * 5, 1, 0]])
    assert frames.truth()["au20"].tolist() == [1]
    assert list(frames.truth())[:4] == ["valence", "arousal", "expression", "au1"]


def test_every_kth_frame_is_the_one_whose_index_is_a_multiple(tmp_path: Path) -> None:
    files = [write_track(tmp_path, "a", 10)]
    labels = write_labels(tmp_path / "labels.parquet", [label("a", frame, valence=0.0) for frame in range(1, 10)])
    assert _frames(files, labels, frame_step=3).frame_index_N.tolist() == [3, 6, 9]


def test_shuffled_labels_are_the_same_rows_on_other_frames(tmp_path: Path) -> None:
    files, labels = learnable_store(tmp_path)
    honest, shuffled = _frames(files, labels), _frames(files, labels, shuffle_labels_seed=3)

    def rows(frames: LabelledFrames) -> list[list[float]]:
        columns = (frames.valence_arousal_N2, frames.expression_N, frames.action_units_NU)
        return [row.tolist() for row in np.column_stack(columns)]

    assert rows(honest) != rows(shuffled)
    assert sorted(rows(honest)) == sorted(rows(shuffled))
    assert shuffled.frame_index_N.tolist() == honest.frame_index_N.tolist()
    assert rows(_frames(files, labels, shuffle_labels_seed=3)) == rows(shuffled)


def test_a_split_without_frames_is_refused(tmp_path: Path) -> None:
    files, labels = learnable_store(tmp_path)
    with pytest.raises(
        ValueError, match=r"no frame of the split 'held_out' has a face and a label of edition 2020 \(3 tr"
    ):
        _frames(files, labels, Split.HELD_OUT)


def test_each_face_comes_with_its_own_labels(tmp_path: Path) -> None:
    frames = _two_tracks(tmp_path)
    for batch in batches(frames, batch_size=6, shuffle=True, seed=1):
        assert batch.faces_BCHW.shape == (6, 3, 112, 112)
        assert batch.faces_BCHW.dtype == torch.float32
        assert batch.expression_B.isnan().all()
        torch.testing.assert_close(batch.valence_arousal_B2[:, 0], batch.frame_index_B / 10)
        assert _levels(batch.faces_BCHW) == pytest.approx((10.0 * batch.frame_index_B + 5).tolist(), abs=2)


def test_without_shuffling_frames_come_in_order_with_a_short_last_batch(tmp_path: Path) -> None:
    epoch = list(batches(_two_tracks(tmp_path), batch_size=8))
    assert [len(batch.frame_index_B) for batch in epoch] == [8, 8, 4]
    assert _identities(epoch) == [(track, frame) for track in (0, 1) for frame in range(10)]


@pytest.mark.parametrize("copies", [False, True])
def test_the_frames_of_a_batch_are_of_at_least_half_as_many_tracks(tmp_path: Path, copies: bool) -> None:
    lengths = [40, 3, 12, 7, 30, 5, 9, 14, 20, 6]
    files = [write_track(tmp_path, str(track), length) for track, length in enumerate(lengths)]
    rows = [label(str(track), frame, valence=0.0) for track, length in enumerate(lengths) for frame in range(length)]
    frames = _frames(files, write_labels(tmp_path / "labels.parquet", rows))
    drawn = np.random.default_rng(0).integers(0, len(frames), len(frames))
    epoch = batches(frames, batch_size=8, shuffle=True, seed=2, chosen=np.sort(drawn) if copies else None)
    tracks = [len(set(batch.track_index_B.tolist())) for batch in epoch]
    assert len(tracks) == sum(lengths) // 8
    assert min(tracks) >= 4


@pytest.mark.parametrize("shuffle", [False, True])
def test_no_frames_make_no_batch(tmp_path: Path, shuffle: bool) -> None:
    assert list(batches(_two_tracks(tmp_path).take(np.arange(0)), batch_size=8, shuffle=shuffle)) == []


@pytest.mark.parametrize("pool_batches", [1, 7, 1000])
def test_an_epoch_has_every_frame_once_in_an_order_of_its_seed_and_number(tmp_path: Path, pool_batches: int) -> None:
    frames = _two_tracks(tmp_path)

    def epoch(seed: int, number: int) -> list[tuple[int, int]]:
        order = batches(frames, batch_size=4, shuffle=True, seed=seed, epoch=number, pool_batches=pool_batches)
        return _identities(list(order))

    assert sorted(epoch(1, 0)) == [(track, frame) for track in (0, 1) for frame in range(10)]
    assert epoch(1, 0) == epoch(1, 0)
    assert epoch(1, 0) != epoch(1, 1)
    assert epoch(1, 0) != epoch(2, 0)


def test_a_short_last_batch_is_dropped_in_training_unless_it_is_all_there_is(tmp_path: Path) -> None:
    frames = _two_tracks(tmp_path)
    assert [len(batch.frame_index_B) for batch in batches(frames, batch_size=8, shuffle=True)] == [8, 8]
    assert [len(batch.frame_index_B) for batch in batches(frames, batch_size=80, shuffle=True)] == [20]


def test_augmentation_is_the_same_for_the_same_epoch_and_leaves_labels_alone(tmp_path: Path) -> None:
    frames = _two_tracks(tmp_path)

    def faces(epoch: int, threads: int, augment: Augmentation | None = None) -> Tensor:
        options = {"augment": augment or Augmentation(flip=0.5, crop=1, colour=1), "threads": threads}
        return torch.cat([batch.faces_BCHW for batch in batches(frames, batch_size=5, epoch=epoch, **options)])  # type: ignore[arg-type]

    plain = torch.cat([batch.faces_BCHW for batch in batches(frames, batch_size=5)])
    assert torch.equal(faces(0, 1), faces(0, 2))
    assert not torch.equal(faces(0, 1), faces(1, 1))
    torch.testing.assert_close(faces(0, 1, STILL), plain)


def test_a_flip_is_a_mirror_image(tmp_path: Path) -> None:
    frames = _two_tracks(tmp_path)
    (plain,) = batches(frames, batch_size=20)
    (flipped,) = batches(frames, batch_size=20, augment=STILL.but(flip=1))
    torch.testing.assert_close(flipped.faces_BCHW, plain.faces_BCHW.flip(3), atol=0.02, rtol=0)


@given(seed=st.integers(0, 1000))
def test_a_draw_keeps_the_centre_of_the_face_within_the_largest_shift(seed: int) -> None:
    matrix_B23, *factors = draw(Augmentation(flip=0.5, crop=1, colour=1), np.random.default_rng(seed), 16)
    centre_B2 = matrix_B23 @ np.array([56, 56, 1], dtype=np.float32)
    assert np.abs(centre_B2 - 56).max() <= 0.06 * 112 + 1e-3
    assert all(factor.shape == (16,) and np.abs(factor - 1).max() <= 0.25 + 1e-6 for factor in factors)


def test_a_track_is_read_for_prediction_in_order_without_the_frames_that_have_no_face(tmp_path: Path) -> None:
    path = write_track(tmp_path, "a", 10, status=dict.fromkeys((0, 4, 5, 6, 7), Status.NO_FACE))
    found = list(face_batches(path, batch_size=3))
    assert [frame_index_B.tolist() for frame_index_B, _ in found] == [[1, 2, 3], [8, 9]]
    assert _levels(found[0][1]) == pytest.approx([15, 25, 35], abs=2)


def test_a_track_without_any_face_has_no_batches(tmp_path: Path) -> None:
    path = write_track(tmp_path, "a", 3, status=dict.fromkeys(range(3), Status.NO_FACE))
    assert list(face_batches(path, batch_size=3)) == []


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (None, "track b, frame 7: a row with a face has no crop"),
        (b"not a JPEG", "track b, frame 7: the crop is not an image"),
        (jpeg(face(9))[:300], "track b, frame 7: the crop is not an image"),
        (jpeg(face(9, size_px=64)), "track b, frame 7: expected a crop of 112 x 112 px, found 64 x 64"),
    ],
)
def test_a_bad_crop_is_named(tmp_path: Path, crop: bytes | None, message: str) -> None:
    files = [write_track(tmp_path, "a", 10), write_track(tmp_path, "b", 10, crops={7: crop})]
    rows = [label(name, frame, valence=0.0) for name in ("a", "b") for frame in range(10)]
    frames = _frames(files, write_labels(tmp_path / "labels.parquet", rows))
    with pytest.raises(ValueError, match=message):
        list(batches(frames, batch_size=4))
    with pytest.raises(ValueError, match=message):
        list(face_batches(files[1], batch_size=1))


@pytest.mark.parametrize("augment", [None, Augmentation(flip=0.5, crop=1, colour=1, blur=0.5, erase=0.5)])
def test_the_graph_is_the_same_on_a_gpu(augment: Augmentation | None) -> None:
    """Without a GPU a graph cannot be run, but it is checked and written down."""
    graphs = {
        device: face_pipeline(batch_size=2, device=device, augment=augment, source=iter(())).serialize()
        for device in DEVICES
    }
    # A string of five letters in protobuf; the graph also quotes our source, so the bare word would be found in both.
    assert b"\x05mixed" in graphs["gpu"]
    assert b"\x05mixed" not in graphs["cpu"]
    for operator in (b"ColorTwist", b"GaussianBlur", b"Erase"):
        assert (operator in graphs["cpu"]) == (operator in graphs["gpu"]) == (augment is not None)
    assert (b"WarpAffine" in graphs["gpu"]) == (augment is not None)


def test_a_face_is_warped_to_the_same_pixels_by_the_operator_of_either_device(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (14, 14, 3), dtype=np.uint8)
    crop = jpeg(np.kron(picture, np.ones((8, 8, 1), dtype=np.uint8)))
    files = [write_track(tmp_path, "a", 8, crops=dict.fromkeys(range(8), crop))]
    frames = _frames(files, write_labels(tmp_path / "labels.parquet", [label("a", 0, valence=0.0)]))
    turned = STILL.but(flip=0.5, crop=1)
    (batch,) = batches(frames, batch_size=1, augment=turned, seed=4)
    (matrix_B23, *_) = draw(turned, np.random.default_rng((4, 0, 1)), 1)
    pixels_HWC = _warp_affine(simplejpeg.decode_jpeg(crop), matrix_B23[0])
    torch.testing.assert_close(
        batch.faces_BCHW[0].permute(1, 2, 0) * 127.5 + 127.5, torch.from_numpy(pixels_HWC).float(), atol=1.01, rtol=0
    )


def _warp_affine(pixels_HWC: NDArray[np.uint8], matrix_23: NDArray[np.float32]) -> NDArray[np.uint8]:
    """As the graph does it on a GPU."""
    pipeline = Pipeline(batch_size=1, num_threads=1, device_id=None)
    with pipeline:
        faces = types.Constant(pixels_HWC)
        pipeline.set_outputs(fn.warp_affine(fn.reinterpret(faces, layout="HWC"), matrix=matrix_23, size=(112, 112)))
    warped: NDArray[np.uint8] = np.asarray(pipeline.run()[0].at(0))
    return warped


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    """Crops held are Python's bytes; beside them lie two batches of pixels, and some 100 bytes a frame."""
    noise = np.random.default_rng(0).bytes(8000)
    crop = jpeg(face(9)) + noise
    files = [write_track(tmp_path, str(track), 300, crops=dict.fromkeys(range(300), crop)) for track in range(4)]
    rows = [label(str(track), frame, valence=0.0) for track in range(4) for frame in range(300)]
    frames = _frames(files, write_labels(tmp_path / "labels.parquet", rows))

    def most_held(num_frames: int) -> float:
        """In crops."""
        chosen = np.arange(len(frames))[:num_frames]
        epoch = batches(frames, batch_size=4, shuffle=True, pool_batches=10, chosen=chosen)
        next(epoch)
        tracemalloc.start()
        assert sum(len(batch.frame_index_B) for batch in epoch) == num_frames - 4
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / len(crop)

    few = most_held(300)
    assert few < 300
    assert most_held(1200) < few + 100  # by turns some 40 more are held; 900 would be if all were


def test_labels_of_other_tasks_are_missing_and_frames_with_no_others_left_out(tmp_path: Path) -> None:
    files = [write_track(tmp_path, "a", 4)]
    values: list[dict[str, Any]] = [
        {"valence": 0.1, "arousal": 0.2},
        {"expression": 3, "valence": 0.1},
        {"au1": True},
        {"expression": 5},
    ]
    rows = [label("a", frame, **given) for frame, given in enumerate(values)]
    frames = _frames(files, write_labels(tmp_path / "labels.parquet", rows), tasks=[Task.EXPR])
    assert frames.frame_index_N.tolist() == [1, 3]
    assert frames.expression_N.tolist() == [3, 5]
    assert np.isnan(frames.valence_arousal_N2).all()
    assert np.isnan(frames.action_units_NU).all()

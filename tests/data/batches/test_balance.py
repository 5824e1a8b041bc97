"""Who is drawn how often: tables that can be checked by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.labelled import frames_of
from support.little_store import label, learnable_store, write_labels, write_track

from data.batches.balance import MOST_DRAWS, deal, draws, spread
from data.batches.labelled_frames import Integers, LabelledFrames, labelled_frames
from data.batches.loader import batches
from data.labels import Edition, Split

NAN = math.nan


def test_classes_come_equally_often_and_in_each_its_tracks() -> None:
    frames = frames_of([0, 0, 0, 0, 1, 1], expression=[0, 0, 0, 4, 0, 4])
    # Three draws each for classes 0 and 4; of class 0, half go to track 0's three frames, half to track 1's one.
    assert draws(frames, 1).tolist() == pytest.approx([0.5, 0.5, 0.5, 1.5, 1.5, 1.5])
    assert draws(frames, 0).tolist() == [1] * 6


def test_a_class_comes_as_often_whether_it_has_one_track_or_two() -> None:
    frames = frames_of([0, 0, 0, 1], expression=[0, 0, 4, 4])
    assert draws(frames, 1).tolist() == pytest.approx([1] * 4)
    frames = frames_of([0, 1, 1, 1], expression=[0, 0, 0, 4])
    assert draws(frames, 1).tolist() == pytest.approx([1, 0.5, 0.5, 2])


def test_between_none_and_all_a_task_comes_by_the_root_of_its_frames() -> None:
    frames = frames_of([0] * 5, valence=[0.1] * 4 + [NAN], expression=[NAN] * 4 + [2])
    assert draws(frames, 0.5).tolist() == pytest.approx([5 * 2 / 3 / 4] * 4 + [5 / 3])


def test_between_none_and_all_a_class_comes_by_the_root_of_its_frames() -> None:
    frames = frames_of([0] * 5, expression=[0, 0, 0, 0, 1])
    assert draws(frames, 0.5).tolist() == pytest.approx([5 * 2 / 3 / 4] * 4 + [5 / 3])


def test_tasks_come_equally_often() -> None:
    frames = frames_of([0] * 4, valence=[0.1, 0.1, 0.1, NAN], expression=[NAN, NAN, NAN, 2])
    assert draws(frames, 1).tolist() == pytest.approx([2 / 3] * 3 + [2])


def test_a_unit_that_is_there_comes_as_often_as_one_that_is_not() -> None:
    frames = frames_of([0] * 4, au1=[0, 0, 0, 1])
    assert draws(frames, 1).tolist() == pytest.approx([2 / 3] * 3 + [2])


def test_valence_and_arousal_are_balanced_by_where_they_lie() -> None:
    frames = frames_of([0] * 4, valence=[0.0, 0.05, -0.05, 0.9])
    assert draws(frames, 1).tolist() == pytest.approx([2 / 3] * 3 + [2])


def test_what_is_very_rare_comes_only_so_often_and_the_rest_goes_to_the_others() -> None:
    frames = frames_of([0] * 100, expression=[0] * 99 + [1])
    expected = [(100 - MOST_DRAWS) / 99] * 99 + [MOST_DRAWS]
    assert draws(frames, 1).tolist() == pytest.approx(expected)


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=50), st.integers(0, 100))
def test_an_epoch_has_as_many_frames_as_there_are_each_as_often_as_it_should(weights: list[float], seed: int) -> None:
    draws_N = np.array(weights) / sum(weights) * len(weights)
    position_N = deal(draws_N, np.random.default_rng(seed))
    assert len(position_N) == len(weights)
    times_N = np.bincount(position_N, minlength=len(weights))
    assert (np.abs(times_N - draws_N) < 1 + 1e-6).all()
    assert (np.diff(position_N) >= 0).all()


def test_another_epoch_takes_other_frames() -> None:
    draws_N = np.array([0.5] * 10 + [1.5] * 10)
    epochs = [deal(draws_N, np.random.default_rng((3, epoch))).tolist() for epoch in range(8)]
    assert epochs[0] == deal(draws_N, np.random.default_rng((3, 0))).tolist()
    assert len({tuple(epoch) for epoch in epochs}) > 1
    # Of a stretch of alike frames every other one is taken.
    assert {tuple(frame for frame in epoch if frame < 10) for epoch in epochs} == {(0, 2, 4, 6, 8), (1, 3, 5, 7, 9)}


@given(st.lists(st.integers(1, 6), min_size=1, max_size=60), st.integers(0, 100))
def test_copies_of_a_frame_are_far_apart(copies: list[int], seed: int) -> None:
    position_P = np.repeat(np.arange(len(copies)), copies)
    mixed_P = position_P[spread(position_P, np.random.default_rng(seed))]
    assert sorted(mixed_P) == position_P.tolist()
    if max(copies) > 1 and len(copies) > 30:
        places = {frame: np.flatnonzero(mixed_P == frame) for frame in range(len(copies))}
        nearest = min(int(np.diff(at).min()) for at in places.values() if len(at) > 1)
        assert nearest >= len(position_P) / 6 / 2


def test_without_copies_the_order_is_any_with_equal_chances() -> None:
    first = [int(spread(np.arange(4), np.random.default_rng(seed))[0]) for seed in range(400)]
    assert all(70 < count < 130 for count in np.bincount(first))


def test_the_order_of_a_pool_is_that_of_a_sort_by_place_and_then_position() -> None:
    """The m copies of a frame come m times in an order of all frames, each with the place of its first copy there."""
    generator = np.random.default_rng(2)
    position_P = generator.permutation(np.repeat(np.arange(150), generator.integers(1, 5, 150)))
    num_frames = len(position_P)
    at = np.random.default_rng(0).permutation(num_frames).tolist()
    rank = {at_P: place for place, at_P in enumerate(at)}
    frames = position_P.tolist()
    place = {
        index: (frames[:index].count(frame) * num_frames + rank[frames.index(frame)]) / frames.count(frame)
        for index, frame in enumerate(frames)
    }
    assert len(set(place.values())) < num_frames, "no two have the same place"
    assert spread(position_P, np.random.default_rng(0)).tolist() == sorted(place, key=lambda index: place[index])


@pytest.fixture
def unbalanced(tmp_path: Path) -> LabelledFrames:
    files = [write_track(tmp_path, "common", 24), write_track(tmp_path, "rare", 4)]
    rows = [label("common", frame, expression=0) for frame in range(24)]
    rows += [label("rare", frame, expression=3) for frame in range(4)]
    labels = write_labels(tmp_path / "labels.parquet", rows)
    return labelled_frames(files, labels, split=Split.TRAIN, edition=Edition.ABAW_2020)


def _epoch(frames: LabelledFrames, chosen: Integers, pool_batches: int = 1000) -> list[tuple[int, int, float]]:
    return [
        (int(track), int(frame), float(expression))
        for batch in batches(frames, batch_size=4, shuffle=True, seed=1, chosen=chosen, pool_batches=pool_batches)
        for track, frame, expression in zip(batch.track_index_B, batch.frame_index_B, batch.expression_B, strict=True)
    ]


@pytest.mark.parametrize("pool_batches", [5, 1000])
def test_the_loader_gives_a_dealt_epoch_with_its_own_labels(unbalanced: LabelledFrames, pool_batches: int) -> None:
    chosen = deal(draws(unbalanced, 1), np.random.default_rng(5))
    epoch = _epoch(unbalanced, chosen, pool_batches)
    assert sorted((track, frame) for track, frame, _ in epoch) == [
        (int(unbalanced.track_index_N[position]), int(unbalanced.frame_index_N[position])) for position in chosen
    ]
    assert sum(track == 1 for track, _, _ in epoch) == 14
    assert all(expression == (3 if track else 0) for track, _, expression in epoch)


def test_no_frame_comes_twice_in_a_batch_when_there_are_others(tmp_path: Path) -> None:
    files, labels = learnable_store(tmp_path, tracks=4, frames=24)
    frames = labelled_frames(files, labels, split=Split.TRAIN, edition=Edition.ABAW_2020)
    chosen = deal(draws(frames, 1), np.random.default_rng(0))
    assert len(set(chosen.tolist())) < len(chosen)
    for batch in batches(frames, batch_size=8, shuffle=True, chosen=chosen):
        identities = list(zip(batch.track_index_B.tolist(), batch.frame_index_B.tolist(), strict=True))
        assert len(set(identities)) == len(identities)


def test_between_none_and_all_a_track_comes_by_the_root_of_its_frames() -> None:
    frames = frames_of([0, 0, 0, 0, 1], expression=[0] * 5)
    assert draws(frames, 0.5).tolist() == pytest.approx([5 * 2 / 3 / 4] * 4 + [5 / 3])


def test_the_units_of_a_frame_count_equally() -> None:
    frames = frames_of([0] * 4, au1=[0, 0, 0, 1], au2=[0, 0, 1, 1])
    absent, present = math.sqrt(3) / (math.sqrt(3) + 1), 1 / (math.sqrt(3) + 1)
    expected = [2 * (absent / 3 + 1 / 4)] * 3 + [2 * (present + 1 / 4)]
    assert draws(frames, 0.5).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("valence", "expected"),
    [
        ([-0.9, -0.9, -0.9, -0.5], [2 / 3] * 3 + [2]),
        ([0.9, 0.9, 0.9, 0.5], [2 / 3] * 3 + [2]),
        ([0.7, 0.9, 0.95, 1.0], [1] * 4),
        ([-0.7, -0.9, -0.95, -1.0], [1] * 4),
    ],
)
def test_valence_has_five_cells_and_its_ends_belong_to_the_outer_ones(
    valence: list[float], expected: list[float]
) -> None:
    assert draws(frames_of([0] * 4, valence=valence), 1).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ([0] * 98 + [1, 2], [(100 - 2 * MOST_DRAWS) / 98] * 98 + [MOST_DRAWS] * 2),
        ([0] * 23 + [1], [(24 - MOST_DRAWS) / 23] * 23 + [MOST_DRAWS]),
    ],
)
def test_what_is_above_the_limit_goes_to_the_frames_below_it(expression: list[float], expected: list[float]) -> None:
    assert draws(frames_of([0] * len(expression), expression=expression), 1).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("copies", [2, 3])
def test_if_every_frame_has_as_many_copies_the_order_repeats(copies: int) -> None:
    position_P = np.repeat(np.arange(20), copies)
    mixed_P = position_P[spread(position_P, np.random.default_rng(1))].reshape(copies, 20)
    assert (mixed_P == mixed_P[0]).all()
    assert sorted(mixed_P[0]) == list(range(20))


def test_the_copies_of_one_frame_are_spread_among_the_others() -> None:
    position_P = np.array([0] * 10 + [*range(1, 91)])
    for seed in range(5):
        mixed_P = position_P[spread(position_P, np.random.default_rng(seed))]
        assert sorted(mixed_P) == position_P.tolist()
        gaps = np.diff(np.flatnonzero(mixed_P == 0))
        assert len(gaps) == 9
        assert (abs(gaps - 10) <= 6).all()

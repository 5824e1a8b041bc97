"""Batches have frames of as many tracks as any order could promise, and each frame comes once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.batches.labelled_frames import Integers
from data.batches.mixing import mixed


def _epoch(lengths: list[int], batch_size: int, seed: int = 0, pool_batches: int = 1000) -> Integers:
    """The batches (rows) of an epoch of tracks of these lengths, as positions."""
    order = np.random.default_rng(seed)
    given = {"batch_size": batch_size, "pool_batches": pool_batches, "order": order}
    pools = list(mixed(np.arange(sum(lengths)), _tracks(lengths), **given))  # type: ignore[arg-type]
    assert all(len(pool_SB) <= pool_batches for pool_SB in pools)
    return np.concatenate(pools)


def _tracks(lengths: list[int]) -> Integers:
    return np.repeat(np.arange(len(lengths)), lengths)


def _tracks_of_batches(lengths: list[int], epoch_KB: Integers) -> list[int]:
    return [len(set(batch_B.tolist())) for batch_B in _tracks(lengths)[epoch_KB]]


LENGTHS = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 400)), min_size=1, max_size=40)


@given(LENGTHS, st.integers(1, 24), st.integers(0, 2**32), st.integers(1, 60))
def test_no_batch_has_fewer_tracks_than_any_order_could_promise(
    lengths: list[int], batch_size: int, seed: int, pool_batches: int
) -> None:
    batch_size = min(batch_size, sum(lengths))
    epoch_KB = _epoch(lengths, batch_size, seed, pool_batches)
    num_batches = sum(lengths) // batch_size
    assert epoch_KB.shape == (num_batches, batch_size)
    assert len(np.unique(epoch_KB)) == epoch_KB.size
    frames_T = np.bincount(_tracks(lengths)[epoch_KB.ravel()])
    promised = int(np.minimum(frames_T, num_batches).sum()) // num_batches
    assert min(_tracks_of_batches(lengths, epoch_KB)) >= promised


@pytest.mark.parametrize(
    ("lengths", "fewest"),
    [
        ([100] * 80, 80),
        ([100] * 40, 40),
        ([1000] * 40, 40),
        ([50] * 1000, 80),
        ([4000, *[100] * 41], 41),
        ([20_000, *range(100, 500, 2)], 60),
        ([10_000] * 10, 10),
    ],
)
def test_a_batch_of_80_has_as_many_tracks_as_there_are_or_half_as_many_as_frames_and_more(
    lengths: list[int], fewest: int
) -> None:
    for seed in range(5):
        assert min(_tracks_of_batches(lengths, _epoch(lengths, 80, seed))) >= fewest


def test_the_order_is_that_of_its_seed_and_begins_anywhere() -> None:
    lengths = [300] * 8
    epochs = [_epoch(lengths, 4, seed, pool_batches=50) for seed in (1, 1, 2)]
    assert np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], epochs[2])
    first = [int(_epoch(lengths, 4, seed)[0, 0]) for seed in range(200)]
    assert len(set(first)) > 100


def test_a_small_batch_is_not_followed_by_others_of_the_same_few_tracks() -> None:
    tracks = {int(position) // 750 for position in _epoch([750] * 64, 8, pool_batches=6000)[:40].ravel()}
    assert len(tracks) > 48


def test_the_frames_of_a_pool_lie_together_so_that_few_row_groups_are_read() -> None:
    lengths = [2000] * 10
    order = np.random.default_rng(0)
    tracks_P = _tracks(lengths)
    for pool_SB in mixed(np.arange(20_000), tracks_P, batch_size=8, pool_batches=256, order=order):
        for lane_S in pool_SB.T:
            pieces = np.split(np.sort(lane_S), np.flatnonzero(np.diff(np.sort(lane_S)) > 1) + 1)
            assert len(pieces) <= 2 * -(-len(pool_SB) // 384) + 1


def test_which_frames_fill_no_batch_is_drawn_anew() -> None:
    left_out = {frozenset(set(range(23)) - set(_epoch([23], 5, seed).ravel().tolist())) for seed in range(50)}
    assert {len(frames) for frames in left_out} == {3}
    assert len(set().union(*left_out)) == 23


def test_copies_of_a_frame_come_in_different_batches_where_its_track_fits_into_a_lane() -> None:
    position_P = np.repeat(np.arange(60), np.tile([1, 5], 30))
    pools = mixed(position_P, position_P // 5, batch_size=6, pool_batches=384, order=np.random.default_rng(3))
    epoch_KB = np.concatenate(list(pools))
    assert sorted(epoch_KB.ravel().tolist()) == position_P.tolist()
    assert all(len(set(batch_B.tolist())) == 6 for batch_B in epoch_KB)

"""The order of an epoch: every batch has frames of as many tracks as possible, and a pool of batches fits in memory.

All frames are laid end to end, track after track, and this line is cut into as many lanes of equal length as a batch
has frames: batch k takes the k-th frame of each lane. A track no longer than a lane then occurs in a batch at most
once, and a longer one occurs in every batch. No order can guarantee more tracks per batch:

    every batch has frames of at least floor(sum over the tracks of min(frames, batches) / batches) tracks,

which is half a batch or more whenever the tracks allow it. The epoch is then cut into chunks of batches. Within a
chunk, the frames that a lane has of a track are shuffled, and as many chunks as fit in a pool, from anywhere in the
epoch, are shuffled together.

Letters: P frames of an epoch, S batches of a chunk or a pool, B frames of a batch, T tracks.

Source: the layout is McNaughton's wrap-around rule (1959), doi:10.1287/mnsc.6.1.1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data.batches.balance import spread
from data.batches.labelled_frames import Integers

CHUNK_BATCHES = 384
"""Row groups are read whole, so a lane should have about as many frames in a chunk as a row group has rows."""


def mixed(
    position_P: Integers, track_index_P: Integers, *, batch_size: int, pool_batches: int, order: np.random.Generator
) -> Iterator[Integers]:
    """The positions of an epoch's frames as pools (S, B) of batches; a column holds few tracks, side by side.

    Every frame occurs as often as in `position_P`, with copies as far apart as their chunk allows, except that fewer
    than `batch_size` random frames that do not fill a batch are dropped. Pools have at most about `pool_batches`
    batches.

    Args:
        position_P: Ascending.
    """
    num_batches = len(position_P) // batch_size
    kept_P = np.sort(order.permutation(len(position_P))[: num_batches * batch_size])
    position_P, track_index_P = position_P[kept_P], track_index_P[kept_P]
    line_P = _line(track_index_P, num_batches, order)
    lanes_BK = np.roll(line_P, int(order.integers(max(len(line_P), 1)))).reshape(batch_size, num_batches)
    size = min(pool_batches, CHUNK_BATCHES)
    chunks = np.array_split(np.arange(num_batches), -(-num_batches // size)) if num_batches else []
    drawn = order.permutation(len(chunks))
    for pool in np.split(drawn, range(pool_batches // size, len(drawn), pool_batches // size)):
        shuffled = []
        for chunk in pool:
            lanes_BS = lanes_BK[:, chunks[chunk]]
            lanes = [_shuffled(lane_S, position_P, track_index_P, order) for lane_S in lanes_BS]
            shuffled.append(np.stack(lanes, axis=1))
        yield _into_each_other(shuffled, order)


def _into_each_other(chunks: list[Integers], order: np.random.Generator) -> Integers:
    """Merges the rows of all chunks and keeps each chunk's order, so that distant rows stay distant."""
    places = [np.sort(order.random(len(chunk_SB))) for chunk_SB in chunks]
    return np.concatenate(chunks)[np.argsort(np.concatenate(places))]


def _line(track_index_P: Integers, num_batches: int, order: np.random.Generator) -> Integers:
    """Positions of frames, track after track in random order; tracks that are in every batch come first.

    The others are then contiguous, so that all batches have the same number of them, plus or minus one.
    """
    _, track_P, frames_T = np.unique(track_index_P, return_inverse=True, return_counts=True)
    rank_T = order.permutation(len(frames_T)) + len(frames_T) * (frames_T < num_batches)
    return np.argsort(rank_T[track_P], kind="stable")


def _shuffled(lane_S: Integers, position_P: Integers, track_index_P: Integers, order: np.random.Generator) -> Integers:
    """The positions of a lane's frames in a chunk: each track keeps its batches, its frames change places in them."""
    starts = np.flatnonzero(np.diff(track_index_P[lane_S], prepend=-1))
    runs = np.split(position_P[lane_S], starts[1:])
    return np.concatenate([run[spread(run, order)] for run in runs])

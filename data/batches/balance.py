"""How often each labelled frame is drawn in an epoch, so that rare tasks, classes and videos count enough.

An epoch always has as many draws as there are frames: rare frames are drawn several times, and some common ones are
left for another epoch. Letters: N labelled frames, M frames labelled by a task, P frames of a pool.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.batches.labelled_frames import Integers, LabelledFrames

Shares = NDArray[np.float64]

MOST_DRAWS = 8.0
"""Upper bound on how often a frame is drawn in an epoch, however rare its content."""
_CELLS = 5
"""Bins of valence and of arousal in [-1, 1]; each of the 25 cells of their plane is balanced like a class."""


def draws(frames: LabelledFrames, balance: float) -> Shares:
    """Expected number of draws of each frame in an epoch (N); sums to N.

    With a balance of 1, each draw picks a task, then a class of it, then a track that shows that class, then one of its
    frames, each with equal probability. With a smaller balance, a task, class or track with n frames is picked with
    probability proportional to n^(1 - balance). The classes of an action unit are present and absent. Balance 0 draws
    every frame once. No frame is drawn more than `MOST_DRAWS` times; the excess goes to the others.
    """
    num_frames = len(frames)
    if balance == 0:
        return np.ones(num_frames)
    share_N = np.zeros(num_frames)
    for rows_M, questions in _tasks(frames):
        weight = float(len(rows_M)) ** (1 - balance)
        for rows_K, class_K in questions:
            share_K = _share(class_K, frames.track_index_N[rows_K], 1 - balance)
            share_N[rows_K] += weight / len(questions) * share_K
    return _at_most(share_N / share_N.sum() * num_frames, MOST_DRAWS)


def deal(draws_N: Shares, order: np.random.Generator) -> Integers:
    """The positions of an epoch's frames, ascending, each repeated `draws_N` times, rounded up or down.

    Systematic sampling: one random number offsets equal strides along the frames, so that a long stretch of similar
    frames contributes every second, third, ... frame, with a new offset in each epoch.
    """
    until_N = np.cumsum(draws_N)
    until_N[-1] = len(draws_N)
    times_N = np.diff(np.floor(until_N + order.random()), prepend=0).astype(np.int64)
    return np.repeat(np.arange(len(draws_N)), times_N)


def spread(position_P: Integers, order: np.random.Generator) -> Integers:
    """A random order of the frames of a pool in which the m copies of a frame are P/m positions apart."""
    num_frames = len(position_P)
    place_P = np.empty(num_frames)
    place_P[order.permutation(num_frames)] = np.arange(num_frames)
    _, first, copy_of_P, num_copies = np.unique(position_P, return_index=True, return_inverse=True, return_counts=True)
    by_frame_P = np.argsort(copy_of_P, kind="stable")
    copy_P = np.empty(num_frames)
    copy_P[by_frame_P] = np.arange(num_frames) - np.repeat(np.cumsum(num_copies) - num_copies, num_copies)
    place_P = (copy_P * num_frames + place_P[first][copy_of_P]) / num_copies[copy_of_P]
    return np.argsort(place_P, kind="stable")


_Questions = list[tuple[Integers, Integers]]
"""For each question of a task: the frames that answer it, and their classes."""


def _tasks(frames: LabelledFrames) -> Iterator[tuple[Integers, _Questions]]:
    """The frames that each task labels, and its questions; tasks without labels are skipped."""
    cell_N2 = np.floor((np.nan_to_num(frames.valence_arousal_N2) + 1) / 2 * _CELLS).clip(0, _CELLS - 1).astype(np.int64)
    affect_N = np.where(np.isnan(frames.valence_arousal_N2).all(1), np.nan, cell_N2 @ [_CELLS, 1])
    for class_NQ in (affect_N[:, None], frames.expression_N[:, None], frames.action_units_NU):
        known_NQ = np.logical_not(np.isnan(class_NQ))
        questions = [
            (np.flatnonzero(known_NQ[:, q]), class_NQ[known_NQ[:, q], q].astype(np.int64))
            for q in range(class_NQ.shape[1])
        ]
        questions = [(rows_K, class_K) for rows_K, class_K in questions if len(rows_K)]
        if questions:
            yield np.flatnonzero(known_NQ.any(1)), questions


def _share(class_M: Integers, track_index_M: Integers, power: float) -> Shares:
    """Sums to 1: classes by their frames to a power, in each class its tracks likewise, in each track all alike."""
    num_tracks = int(track_index_M.max()) + 1
    cell_M = class_M * num_tracks + track_index_M
    frames_of_cell = np.bincount(cell_M).astype(np.float64)
    class_of_cell = np.arange(len(frames_of_cell)) // num_tracks
    frames_of_class = np.bincount(class_of_cell, frames_of_cell)
    # Nothing stays nothing, also to the power of 0.
    by_class = np.where(frames_of_class > 0, frames_of_class**power, 0)
    by_cell = np.where(frames_of_cell > 0, frames_of_cell**power, 0)
    class_M = class_of_cell[cell_M]
    in_class_M = by_cell[cell_M] / np.bincount(class_of_cell, by_cell)[class_M]
    share_M: Shares = by_class[class_M] / by_class.sum() * in_class_M / frames_of_cell[cell_M]
    return share_M


def _at_most(draws_N: Shares, most: float) -> Shares:
    """Caps values at the limit and distributes the excess among the others, keeping the sum."""
    total = draws_N.sum()
    while draws_N.max() > most * (1 + 1e-9):
        full_N = draws_N >= most
        rest = total - most * full_N.sum()
        draws_N = np.where(full_N, most, draws_N * (rest / draws_N[~full_N].sum()))
    return draws_N

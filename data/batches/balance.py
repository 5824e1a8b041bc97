"""How often each labelled frame is seen in an epoch, so that rare tasks, classes and videos are not drowned.

An epoch has as many frames as there are, whatever the balance: the rare ones come several times, and of the common
ones some wait for another epoch. Letters: N labelled frames, M those that a task labels, P frames of a pool.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.batches.labelled_frames import Integers, LabelledFrames

Shares = NDArray[np.float64]

MOST_DRAWS = 8.0
"""So often at most is a frame seen in an epoch, however rare what it shows."""
_CELLS = 5
"""Of valence and of arousal, from -1 to 1: their plane is balanced as a class of each of its 25 cells would be."""


def draws(frames: LabelledFrames, balance: float) -> Shares:
    """How often each frame is drawn in an epoch, on average (N); sums to N.

    With a balance of 1 it is as if, for each draw, first a task were chosen, then a class of it, then a track that
    shows that class, then one of its frames, each time with equal chances. A task, class or track that has n frames
    is chosen by n^(1 - balance) otherwise. The classes of the action units are, of each unit, there and not there.
    Balance 0 draws every frame once. No frame is drawn more than `MOST_DRAWS` times: what is above goes to the others.
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
    """The positions of an epoch's frames, ascending, each as often as it is drawn: `draws_N` rounded up or down.

    Systematic sampling: one random number sets off equal strides along the frames, so that of a long stretch of
    alike frames every other, third, ... is taken, from another one on in each epoch.
    """
    until_N = np.cumsum(draws_N)
    until_N[-1] = len(draws_N)
    times_N = np.diff(np.floor(until_N + order.random()), prepend=0).astype(np.int64)
    return np.repeat(np.arange(len(draws_N)), times_N)


def spread(position_P: Integers, order: np.random.Generator) -> Integers:
    """An order in which to take the frames of a pool: at random, and the m copies of one P/m places apart."""
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
"""For each question that a task asks: which frames answer it, and with which class."""


def _tasks(frames: LabelledFrames) -> Iterator[tuple[Integers, _Questions]]:
    """The frames that each task labels, and its questions; tasks without labels are left out."""
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
    """The same sum, with what is above the limit shared out among those below it."""
    total = draws_N.sum()
    while draws_N.max() > most * (1 + 1e-9):
        full_N = draws_N >= most
        rest = total - most * full_N.sum()
        draws_N = np.where(full_N, most, draws_N * (rest / draws_N[~full_N].sum()))
    return draws_N

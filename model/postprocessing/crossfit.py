"""Estimates the gain of fitted postprocessing on videos that it was not fitted on.

The recordings are divided into folds; each fold is answered with postprocessing fitted on the others, and the answers
of all folds are scored together. Letters: M labelled rows with a face.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.batches.labelled_frames import Integers, LabelledFrames
from data.labels import Task
from model.answers import value_columns
from model.postprocessing.fitting import Arrays, Fit, Floats, TaskFrames, fit_task, official, task_frames
from model.scores.intervals import Interval, paired_differences
from model.scores.tallies import OFFICIAL, Tallies, tally

FOLDS = 5

_DECISION = {Task.EXPR: "class bias", Task.AU: "thresholds"}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One combination of postprocessing steps for a task, and its gain; scores are official and pooled over all frames.

    `raw` is the score without postprocessing and `score` the cross-fitted one; `gain` is their difference, with its 95
    % interval by bootstrap over recordings. `fits` holds the postprocessing of each fold, fitted on the other folds.
    """

    task: Task
    steps: tuple[str, ...]
    raw: float
    score: float
    gain: Interval
    fits: tuple[Fit, ...]


def cross_fit(frames: TaskFrames, *, num_folds: int = FOLDS, seed: int = 0) -> list[Trial]:
    """Smoothing alone, the decision alone, and both, in this order.

    None with fewer than two recordings, or without labels for a score. There are `num_folds` folds, or one per
    recording if there are fewer recordings.
    """
    fold_M = deal(frames.recording_M, num_folds, seed)
    if fold_M.max(initial=0) == 0 or math.isinf(frames.score(Fit())):
        return []
    names = ["smoothing", *([_DECISION[frames.task]] if frames.task in _DECISION else [])]
    variants = [(name,) for name in names] + ([tuple(names)] if len(names) > 1 else [])
    return [_trial(frames, fold_M, steps) for steps in variants]


def fit_kept(frames: TaskFrames, trials: list[Trial]) -> Fit:
    """The postprocessing for later videos: the steps with the highest cross-fitted gain, fitted on all frames.

    Empty if nothing helped. It cannot be scored on these same frames.
    """
    best = max(trials, key=lambda trial: trial.gain.value, default=None)
    if best is None or not best.gain.value > 0:
        return Fit()
    return _fit(frames, best.steps)


def deal(recording_M: NDArray[np.int64], num_folds: int, seed: int) -> NDArray[np.int64]:
    """The part of each row: all rows of a recording are in one, and the parts have as many recordings each, or one."""
    recordings, position_M = np.unique(recording_M, return_inverse=True)
    order_R = np.random.default_rng(seed).permutation(len(recordings))
    fold_R = np.empty(len(recordings), dtype=np.int64)
    fold_R[order_R] = np.arange(len(recordings)) % num_folds
    return fold_R[position_M]


def _fit(frames: TaskFrames, steps: tuple[str, ...]) -> Fit:
    return fit_task(frames, smooths="smoothing" in steps, decides=_DECISION.get(frames.task) in steps)


def _trial(frames: TaskFrames, fold_M: NDArray[np.int64], steps: tuple[str, ...]) -> Trial:
    answers: dict[str, Floats] = {name: np.full(len(frames), np.nan) for name in frames.answers(Fit())}
    fits = []
    for fold in range(int(fold_M.max()) + 1):
        fit = _fit(frames.take(fold_M != fold), steps)
        for name, found in frames.take(fold_M == fold).answers(fit).items():
            answers[name][fold_M == fold] = found
        fits.append(fit)
    raw = frames.answers(Fit())
    ours, theirs = (_tallies(frames, said) for said in (answers, raw))
    return Trial(
        task=frames.task,
        steps=steps,
        raw=official(frames.task, raw, frames.truth, frames.edition),
        score=official(frames.task, answers, frames.truth, frames.edition),
        gain=paired_differences(ours, theirs)[OFFICIAL[frames.task]],
        fits=tuple(fits),
    )


def _tallies(frames: TaskFrames, answers: Mapping[str, Floats]) -> Tallies:
    recordings, group_M = np.unique(frames.recording_M, return_inverse=True)
    groups = tuple(map(str, recordings))
    return tally(answers, frames.truth, frames.edition, group_N=group_M, groups=groups, tasks=(frames.task,))


Columns = dict[str, NDArray[Any]]


def frames_to_fit(
    labelled: LabelledFrames, predicted_of: Callable[[Path], tuple[Integers, Arrays]], recording_of: Mapping[str, str]
) -> dict[Task, TaskFrames]:
    """The labelled frames of each task, with the answers for their whole tracks, which smoothing needs.

    Args:
        labelled: The frames to score.
        predicted_of: The frame index of every row of a faces file, and the answers there, before postprocessing.
        recording_of: The recording of each track; all tracks of a recording are in the same fold.
    """
    numbers = {name: number for number, name in enumerate(sorted(set(recording_of.values())))}
    said, labels, places = list[Columns](), list[Columns](), list[Columns]()
    for track_index in np.unique(labelled.track_index_N):
        file = labelled.faces_files[track_index]
        frame_index_N, predicted = predicted_of(file)
        names = [name for task in Task for name in value_columns(task, labelled.edition)]
        said.append({name: predicted[name] for name in names})
        labels.append(_labels(labelled, int(track_index), frame_index_N))
        same = {"track_index_N": int(track_index), "recording_N": numbers[recording_of[file.stem]]}
        where = {name: np.full(len(frame_index_N), value, dtype=np.int64) for name, value in same.items()}
        places.append({**where, "frame_index_N": frame_index_N})
    all_said, all_labels, all_places = (_joined(parts) for parts in (said, labels, places))
    return {task: task_frames(task, all_said, all_labels, **all_places, edition=labelled.edition) for task in Task}


def _labels(labelled: LabelledFrames, track_index: int, frame_index_N: Integers) -> Columns:
    """The labels of a track, aligned with its rows; NaN for rows that are not among the labelled frames."""
    position_F = np.flatnonzero(labelled.track_index_N == track_index)
    row_F = np.searchsorted(frame_index_N, labelled.frame_index_N[position_F])
    columns = {}
    for name, label_F in labelled.truth().items():
        columns[name] = np.full(len(frame_index_N), np.nan, dtype=np.float32)
        columns[name][row_F] = label_F[position_F]
    return columns


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

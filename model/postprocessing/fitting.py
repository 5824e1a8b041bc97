"""Postprocessing of a network's answers: smoothing over time, class bias, thresholds, and how they are chosen.

They are chosen by the official score, so scores on the same videos are too high; `model.postprocessing.crossfit`
gives unbiased ones. Letters: N rows of tracks, M labelled rows with a face, C columns of a task, E expressions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from data.labels import Edition, Task, action_unit_columns
from model.answers import value_columns
from model.scores.metrics import OFFICIAL, POSITIVE, task_scores

WINDOWS = (1, 5, 9, 15, 25, 41, 61, 91)
"""Frames over which answers may be averaged: at 30 Hz up to 3 s. 1 is no smoothing."""
BIASES = sorted(np.linspace(-2, 2, 17).tolist(), key=abs)
"""Values that may be added to the log-probability of a class."""
THRESHOLDS = sorted(np.linspace(0.04, 0.96, 47).round(2).tolist(), key=lambda threshold: abs(threshold - POSITIVE))
_SWEEPS = 2
"""The biases of the classes depend on each other, so fitting takes more than one round."""
_TINY = 1e-7

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Candidate = TypeVar("Candidate")


@dataclass(frozen=True)
class Fit:
    """The postprocessing for one task; by default none."""

    window: int = 1
    """Frames of the centred mean."""
    decision: Mapping[str, float] = field(default_factory=dict)
    """For EXPR, the bias added to the log-probability of each class; for AU, the probability above which a unit is
    present; by the name of the probability's column. Defaults: 0, and 0.5.
    """


Fits = Mapping[Task, Fit]


@dataclass(frozen=True, eq=False)
class TaskFrames:
    """The labelled frames of one task that have a face, with the answers for each window over their whole tracks.

    `recording_M` numbers the recordings of the frames, for dividing them into folds.
    """

    task: Task
    edition: Edition
    values_MC: Mapping[int, Floats]
    truth: Arrays
    recording_M: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.recording_M)

    def take(self, rows: NDArray[Any]) -> TaskFrames:
        """Some of the frames, by a mask or by their positions."""
        values_MC = {window: found_MC[rows] for window, found_MC in self.values_MC.items()}
        truth = {name: column_M[rows] for name, column_M in self.truth.items()}
        return TaskFrames(self.task, self.edition, values_MC, truth, self.recording_M[rows])

    def answers(self, fit: Fit) -> dict[str, Floats]:
        return decide(self.task, self.values_MC[fit.window], fit, self.edition)

    def score(self, fit: Fit) -> float:
        """The task's official score; minus infinity if undefined."""
        return official(self.task, self.answers(fit), self.truth, self.edition)


def task_frames(
    task: Task,
    predicted: Arrays,
    truth: Arrays,
    *,
    track_index_N: NDArray[np.int64],
    frame_index_N: NDArray[np.int64],
    recording_N: NDArray[np.int64],
    edition: Edition,
) -> TaskFrames:
    """The frames to fit a task on, from every row of their tracks, because smoothing needs unlabelled frames too."""
    names = {Task.VA: ("valence", "arousal"), Task.EXPR: ("expression",), Task.AU: action_unit_columns(edition)}[task]
    values_NC = _columns(predicted, task, edition)
    labelled_N = np.any([~np.isnan(truth[name]) for name in names], axis=0) & ~np.isnan(values_NC).any(axis=1)
    smoothed = {window: smooth(values_NC, track_index_N, frame_index_N, window)[labelled_N] for window in WINDOWS}
    return TaskFrames(
        task, edition, smoothed, {name: truth[name][labelled_N] for name in names}, recording_N[labelled_N]
    )


def decide(task: Task, values_MC: Floats, fit: Fit, edition: Edition) -> dict[str, Floats]:
    """Answers for `model.scores.metrics`: valence and arousal, a class, or 1 and 0 for each unit; NaN stays NaN."""
    names = value_columns(task, edition)
    if task is Task.VA:
        return dict(zip(names, values_MC.T, strict=True))
    missing_M = np.isnan(values_MC.sum(axis=1))
    if task is Task.EXPR:
        factor_E = np.exp([fit.decision.get(name, 0.0) for name in names])
        classes_M = (values_MC * factor_E).argmax(axis=1)
        return {"expression": np.where(missing_M, np.nan, classes_M)}
    threshold_C = np.array([fit.decision.get(name, POSITIVE) for name in names])
    return dict(zip(names, np.where(missing_M[:, None], np.nan, values_MC > threshold_C).T, strict=True))


def official(task: Task, answers: Arrays, truth: Arrays, edition: Edition) -> float:
    """The task's official score; minus infinity if undefined."""
    found = task_scores(task, answers, truth, edition).get(OFFICIAL[task], math.nan)
    return -math.inf if math.isnan(found) else found


def fit_task(frames: TaskFrames, *, smooths: bool = True, decides: bool = True) -> Fit:
    """The window, and then bias or thresholds, with the best official score on these frames; ties change least."""
    window = _best([Fit(window) for window in (WINDOWS if smooths else WINDOWS[:1])], frames.score).window
    if not decides or frames.task is Task.VA:
        return Fit(window)
    decision = _biases(frames, window) if frames.task is Task.EXPR else _thresholds(frames, window)
    return Fit(window, decision)


def finish(
    predicted: Arrays,
    fits: Fits,
    edition: Edition,
    *,
    track_index_N: NDArray[np.int64],
    frame_index_N: NDArray[np.int64],
) -> dict[str, Floats]:
    """The finished answers for every row: `valence`, `arousal`, `expression` and 1 or 0 for each unit."""
    answers: dict[str, Floats] = {}
    for task in Task:
        fit = fits.get(task, Fit())
        values_NC = smooth(_columns(predicted, task, edition), track_index_N, frame_index_N, fit.window)
        answers |= decide(task, values_NC, fit, edition)
    return answers


def _columns(predicted: Arrays, task: Task, edition: Edition) -> NDArray[Any]:
    return np.stack([predicted[name] for name in value_columns(task, edition)], axis=1)


def _best(candidates: Sequence[Candidate], score: Callable[[Candidate], float]) -> Candidate:
    """The first of the best."""
    scores = [score(candidate) for candidate in candidates]
    return next(candidate for candidate, found in zip(candidates, scores, strict=True) if found >= max(scores) - _TINY)


def _biases(frames: TaskFrames, window: int) -> Mapping[str, float]:
    bias: Mapping[str, float] = dict.fromkeys(value_columns(Task.EXPR, frames.edition), 0.0)
    for _ in range(_SWEEPS):
        for name in bias:
            fits = [Fit(window, {**bias, name: value}) for value in (bias[name], *BIASES)]
            bias = _best(fits, frames.score).decision
    return bias


def _thresholds(frames: TaskFrames, window: int) -> Mapping[str, float]:
    """Fits each unit alone, because its part of the official score does not depend on the others."""

    def score(name: str, threshold: float, probability_M: Floats) -> float:
        return official(Task.AU, {name: probability_M > threshold}, {name: frames.truth[name]}, frames.edition)

    names = value_columns(Task.AU, frames.edition)
    return {
        name: _best(THRESHOLDS, partial(score, name, probability_M=values_M))
        for name, values_M in zip(names, frames.values_MC[window].T, strict=True)
    }


def smooth(
    values_NC: NDArray[np.floating], track_index_N: NDArray[np.int64], frame_index_N: NDArray[np.int64], window: int
) -> Floats:
    """The mean over the frames of the same track at most `window // 2` frames before or after; NaN where a row has one.

    Rows with a NaN (no face) count for nothing. Towards the ends of a track, and of a gap that the window does not
    reach across, the window shrinks on both sides: a mean over more of one side would lag behind a slope. Averages of
    probabilities that add up to 1 still do.

    Raises:
        ValueError: The window is even or below 1.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"a centred window has an odd number of frames, got {window}")
    smoothed_NC = np.full(values_NC.shape, np.nan)
    row_M = np.flatnonzero(~np.isnan(values_NC).any(axis=1))
    if len(row_M) == 0 or window == 1:
        smoothed_NC[row_M] = values_NC[row_M]
        return smoothed_NC
    row_M = row_M[np.lexsort((frame_index_N[row_M], track_index_N[row_M]))]
    reach = window // 2
    # One time axis for all tracks, on which frames of different tracks are further apart than any window.
    place_M = track_index_N[row_M] * (int(frame_index_N.max()) + window + 1) + frame_index_N[row_M]
    starts_M = np.diff(place_M, prepend=place_M[0] - window) > reach
    starts_M[0] = True
    stretch_M = np.cumsum(starts_M) - 1
    first_M = place_M[starts_M][stretch_M]
    last_M = place_M[np.append(starts_M[1:], True)][stretch_M]
    reach_M = np.minimum(reach, np.minimum(place_M - first_M, last_M - place_M))
    from_M = np.searchsorted(place_M, place_M - reach_M, side="left")
    to_M = np.searchsorted(place_M, place_M + reach_M, side="right")
    sums_MC = np.concatenate([np.zeros((1, values_NC.shape[1])), values_NC[row_M].astype(np.float64).cumsum(axis=0)])
    smoothed_NC[row_M] = (sums_MC[to_M] - sums_MC[from_M]) / (to_M - from_M)[:, None]
    return smoothed_NC

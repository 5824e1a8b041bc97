"""Uncertainty of scores: 95 % intervals by bootstrap over videos, and the difference between two models.

The frames of a video are not independent, so whole videos are drawn with replacement, as many as there are, many
times. The interval of a score goes from the 2.5th to the 97.5th percentile of its values over the draws. For two
models, each draw is the same for both, and the interval is that of the difference.

A system that was trained from several seeds has the mean score of its trainings. In each draw as many of them as there
are seeds are drawn too, with replacement, so that the interval covers videos and seeds.

It applies to other videos of the same kind. With few videos it is too narrow, by as much as
`tests/model/scores/test_intervals.py` measures.

Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13 (percentile intervals); Bisani & Ney
(2004), doi:10.1109/ICASSP.2004.1326009 (differences by paired draws).

Letters: V videos, R draws, S trainings from different seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.labels import Task
from model.scores.tallies import OFFICIAL, Floats, Scores, Tallies, scores_of

DRAWS = 2000
SEED = 0
OFFICIAL_SUM = "official"
"""The sum of the edition's official scores that have labels; models are chosen by it."""
_PERCENT = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """The 95 % interval of a score or a difference; `value` is that of all videos. The ends are NaN with one video."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def intervals(tallies: Tallies, *, num_draws: int = DRAWS, seed: int = SEED) -> dict[str, Interval]:
    """The interval of every score over some videos; none with fewer than two videos or for undefined scores.

    Videos of the same people are drawn together where that is known.
    """
    return mean_intervals([tallies], num_draws=num_draws, seed=seed)


def paired_differences(
    ours: Tallies, theirs: Tallies, *, num_draws: int = DRAWS, seed: int = SEED
) -> dict[str, Interval]:
    """The interval of our score minus theirs: see `mean_differences`."""
    return mean_differences([ours], [theirs], num_draws=num_draws, seed=seed)


def mean_intervals(trainings: Sequence[Tallies], *, num_draws: int = DRAWS, seed: int = SEED) -> dict[str, Interval]:
    """The mean of each score over trainings from different seeds, and of the sum `official`, with its interval.

    None with fewer than two videos, or for a score that is not defined.
    """
    value_1, value_R = _means(trainings, num_draws, seed)
    counted = _official(value_1)
    return _intervals(_with_sum(value_1, counted), _with_sum(value_R, counted), _units(trainings[0])[1])


def mean_scores(trainings: Sequence[Tallies]) -> dict[str, float]:
    """The mean of each defined score over trainings from different seeds, and of the sum `official`."""
    value_1 = _means(trainings, 1, SEED)[0]
    return {name: float(of[0]) for name, of in _with_sum(value_1, _official(value_1)).items() if not np.isnan(of[0])}


def mean_differences(
    ours: Sequence[Tallies], theirs: Sequence[Tallies], *, num_draws: int = DRAWS, seed: int = SEED
) -> dict[str, Interval]:
    """Our mean score minus theirs, for each score that both have, and for `official` if it sums the same scores.

    Both are trained from the same seeds. None with fewer than two videos.

    Raises:
        ValueError: The scores are of different frames, or of frames with different labels.
    """
    for our, their in zip(ours, theirs, strict=True):
        _check_same_frames(our, their)
    (our_1, our_R), (their_1, their_R) = _means(ours, num_draws, seed), _means(theirs, num_draws, seed)
    counted = _official(our_1) if _official(our_1) == _official(their_1) else []
    differences_1, differences_R = (
        {name: our[name] - their[name] for name in our if name in their}
        for our, their in ((our_1, their_1), (our_R, their_R))
    )
    return _intervals(_with_sum(differences_1, counted), _with_sum(differences_R, counted), _units(ours[0])[1])


def official_sum(scores: Mapping[str, float]) -> float:
    """The sum of the existing official scores; NaN counts as 0."""
    return float(np.nansum([scores.get(name, 0.0) for name in OFFICIAL.values()]))


def labelled_videos(tallies: Tallies) -> dict[Task, int]:
    """Number of videos with labels of each task; tasks without any are omitted."""
    counts = {Task.VA: [moments.count_G for moments in tallies.moments.values()]}
    counts[Task.EXPR] = [tallies.expressions.target_GE.sum(axis=1)] if tallies.expressions else []
    counts[Task.AU] = [tallies.units.count_GU.sum(axis=1)] if tallies.units else []
    numbers = {task: min((int((of > 0).sum()) for of in found), default=0) for task, found in counts.items()}
    return {task: number for task, number in numbers.items() if number}


def _means(trainings: Sequence[Tallies], num_draws: int, seed: int) -> tuple[Scores, Scores]:
    """The mean of every score over the trainings: of all videos, and of each draw."""
    as_they_are_1V = np.ones((1, len(trainings[0].groups)))
    weight_RV = _draw_videos(trainings[0], num_draws, seed)
    chosen_RS = np.random.default_rng((seed, 1)).integers(len(trainings), size=(num_draws, len(trainings)))
    whole, drawn = ([scores_of(tallies, weight) for tallies in trainings] for weight in (as_they_are_1V, weight_RV))

    def drawn_mean(name: str) -> Floats:
        value_SR = np.stack([found[name] for found in drawn])
        mean_R: Floats = value_SR[chosen_RS, np.arange(num_draws)[:, None]].mean(axis=1)
        return mean_R

    names = whole[0]
    return (
        {name: np.mean([found[name] for found in whole], axis=0) for name in names},
        {name: drawn_mean(name) for name in names},
    )


def _draw_videos(tallies: Tallies, num_draws: int, seed: int) -> Floats:
    """How often each video is drawn in each draw (R, V)."""
    unit_V, num_units = _units(tallies)
    draws_RU = np.random.default_rng(seed).multinomial(num_units, [1 / num_units] * num_units, size=num_draws)
    weight_RV: Floats = draws_RU[:, unit_V].astype(np.float64)
    return weight_RV


def _units(tallies: Tallies) -> tuple[NDArray[np.int64], int]:
    """What is drawn: the number of each video's people, or of the video itself; and how many there are."""
    if not tallies.people:
        return np.arange(len(tallies.groups)), len(tallies.groups)
    names, unit_V = np.unique(np.array(tallies.people), return_inverse=True)
    return unit_V, len(names)


def _official(value_1: Scores) -> list[str]:
    """The official scores that are defined for all videos together."""
    return [name for name in OFFICIAL.values() if name in value_1 and not np.isnan(value_1[name][0])]


def _with_sum(scores: Scores, counted: Sequence[str]) -> Scores:
    """Adds the sum of the official scores, undefined in draws in which one of them is."""
    if not counted:
        return scores
    return {**scores, OFFICIAL_SUM: np.sum([scores[name] for name in counted], axis=0)}


def _intervals(value_1: Scores, value_R: Scores, num_units: int) -> dict[str, Interval]:
    found: dict[str, Interval] = {}
    if num_units < 2:
        return found
    for name, values_R in value_R.items():
        # In a draw without the only videos that have labels for it, a score is not defined.
        known_R: NDArray[np.float64] = values_R[~np.isnan(values_R)]
        if not np.isnan(value_1[name][0]) and len(known_R) > 1:
            low, high = np.percentile(known_R, _PERCENT)
            found[name] = Interval(float(value_1[name][0]), float(low), float(high))
    return found


def _check_same_frames(ours: Tallies, theirs: Tallies) -> None:
    """
    Raises:
        ValueError: The statistics are of different videos, or of different labelled frames in tasks that both have.
    """
    if ours.groups != theirs.groups:
        raise ValueError(f"a paired comparison needs the same videos, got {len(ours.groups)} and {len(theirs.groups)}")
    for name, our_G, their_G in zip(_LABELLED, _labels(ours), _labels(theirs), strict=True):
        if our_G is None or their_G is None:
            continue
        differ_G = ~np.isclose(our_G, their_G, rtol=0, atol=1e-6).reshape(len(ours.groups), -1).all(axis=1)
        if differ_G.any():
            video = ours.groups[int(differ_G.argmax())]
            raise ValueError(
                f"a paired comparison needs the same labelled frames, but those of {name} differ in video {video}: "
                f"one of the models has no prediction there"
            )


_LABELLED = ("valence", "arousal", "expressions", "action units")


def _labels(tallies: Tallies) -> list[Floats | None]:
    """A fingerprint of the labels used: their number and means; None where there are no statistics."""
    return [
        *(
            np.stack([moments.count_G, moments.target_G], axis=1) if (moments := tallies.moments.get(name)) else None
            for name in _LABELLED[:2]
        ),
        tallies.expressions.target_GE if tallies.expressions else None,
        tallies.units.count_GU if tallies.units else None,
    ]

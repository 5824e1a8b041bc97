"""Sufficient statistics for the scores of each group of frames, such as a video, and the scores from them.

Groups can be dropped or repeated without their frames, which makes a bootstrap take milliseconds. Letters: N frames, G
groups, R rows of weights, E expressions, U action units.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data.labels import EXPRESSIONS, Edition, Task, action_unit_columns

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Columns = Mapping[str, NDArray[Any]]
Scores = dict[str, Floats]
"""A value for each row of weights, NaN where the score is not defined."""
Number = TypeVar("Number", Floats, Tensor)

POSITIVE = 0.5
"""A unit is predicted where its probability is above this."""
OFFICIAL = {Task.VA: "ccc", Task.EXPR: "expression", Task.AU: "action_units"}
"""The name of each task's official score."""


def concordance(covariance: Number, spread: Number, bias: Number) -> Number:
    """The concordance correlation coefficient.

    Args:
        covariance: Of predictions and targets, with 1/N as all moments here.
        spread: The variances of both, added up.
        bias: The difference of their means.
    """
    return 2 * covariance / (spread + bias**2)


def f1(both: Floats, mentions: Floats) -> Floats:
    """F1 from summed counts of positives in both, and in each; 0 if there are no positives."""
    return np.divide(2 * both, mentions, out=np.zeros_like(mentions), where=mentions > 0)


@dataclass(frozen=True, eq=False)
class Moments:
    """Statistics of one column per group: frames, means, sums of squares and products about the group's own means."""

    count_G: Floats
    predicted_G: Floats
    target_G: Floats
    predicted_squares_G: Floats
    target_squares_G: Floats
    products_G: Floats
    lowest_G: Floats
    """The range of the targets, up to `highest_G`."""
    highest_G: Floats


@dataclass(frozen=True, eq=False)
class Expressions:
    """For each group and expression: frames where prediction and label agree on it, where it is predicted, and
    labelled."""

    both_GE: Floats
    predicted_GE: Floats
    target_GE: Floats


@dataclass(frozen=True, eq=False)
class Units:
    """For each group and unit: frames where both are positive, positives in either, agreements, and labels."""

    names: tuple[str, ...]
    both_GU: Floats
    mentions_GU: Floats
    right_GU: Floats
    count_GU: Floats


@dataclass(frozen=True, eq=False)
class Tallies:
    """All statistics for all groups, by name; a frame counts if both its label and its prediction exist."""

    edition: Edition
    groups: tuple[str, ...]
    moments: Mapping[str, Moments] = field(default_factory=dict)
    """Statistics of `valence` and `arousal`."""
    expressions: Expressions | None = None
    units: Units | None = None
    people: tuple[str, ...] = ()
    """Whom each group shows, if known: groups of the same people are drawn together."""


def tally(
    predicted: Columns,
    truth: Columns,
    edition: Edition,
    *,
    group_N: Integers | None = None,
    groups: tuple[str, ...] = ("all",),
    people: tuple[str, ...] = (),
    tasks: Collection[Task] = tuple(Task),
) -> Tallies:
    """The statistics that the scores of some tasks need.

    Args:
        predicted: Columns as in `model.scores.metrics.scores`; missing units are skipped.
        truth: The labels; NaN is missing.
        edition: Determines expressions and units.
        group_N: The group of each frame, as an index into `groups`; by default one group for all.
        groups: Names of the groups; `people` are as in `Tallies`.
        tasks: Columns of other tasks are ignored.
    """
    num_groups = len(groups)

    def both(name: str) -> tuple[Floats, Floats, Integers]:
        exists_N = ~(np.isnan(predicted[name]) | np.isnan(truth[name]))
        group = np.zeros(int(exists_N.sum()), np.int64) if group_N is None else group_N[exists_N]
        return predicted[name][exists_N].astype(np.float64), truth[name][exists_N].astype(np.float64), group

    moments = {name: _moments(*both(name), num_groups) for name in ("valence", "arousal") if Task.VA in tasks}
    expressions = units = None
    if Task.EXPR in tasks:
        expressions = _expressions(*both("expression"), num_groups, len(EXPRESSIONS[edition]))
    if Task.AU in tasks:
        names = tuple(name for name in action_unit_columns(edition) if name in predicted)
        units = Units(names, *np.stack([_unit(*both(name), num_groups) for name in names], axis=2))
    return Tallies(edition, groups, moments, expressions, units, people)


def scores_of(tallies: Tallies, weight_RG: Floats) -> Scores:
    """`model.scores.metrics.scores` over all groups, with each group counted as often as its weight in a row says.

    A score without labelled frames (for a CCC: two that differ) is NaN.
    """
    result = _valence_arousal_scores(tallies.moments, weight_RG) if tallies.moments else {}
    if tallies.expressions is not None:
        result |= _expression_scores(tallies.expressions, weight_RG, tallies.edition)
    if tallies.units is not None:
        result |= _unit_scores(tallies.units, weight_RG, tallies.edition)
    parts = [result[name] for name in OFFICIAL.values() if name in result]
    return {**result, "total": sum(parts[1:], parts[0])} if len(parts) == len(Task) else result


def scores_by(tallies: Tallies, member_of: Sequence[str]) -> dict[str, dict[str, float]]:
    """The scores of groups merged by membership, by name; undefined ones are omitted.

    Args:
        tallies: Of G groups.
        member_of: The merged group of each group; its own name gives the scores of each group.
    """
    names = sorted(set(member_of))
    weight_RG = np.array([[float(name == other) for other in member_of] for name in names])
    found = scores_of(tallies, weight_RG)
    return {
        name: {score: float(value_R[row]) for score, value_R in found.items() if not np.isnan(value_R[row])}
        for row, name in enumerate(names)
    }


def _moments(predicted_N: Floats, target_N: Floats, group_N: Integers, num_groups: int) -> Moments:
    def summed(values_N: Floats) -> Floats:
        return np.bincount(group_N, values_N, num_groups).astype(np.float64)

    count_G = np.bincount(group_N, minlength=num_groups).astype(np.float64)
    predicted_G, target_G = (summed(values_N) / np.maximum(count_G, 1) for values_N in (predicted_N, target_N))
    predicted_from_mean_N, target_from_mean_N = predicted_N - predicted_G[group_N], target_N - target_G[group_N]
    lowest_G, highest_G = np.full(num_groups, np.inf), np.full(num_groups, -np.inf)
    np.minimum.at(lowest_G, group_N, target_N)
    np.maximum.at(highest_G, group_N, target_N)
    return Moments(
        count_G,
        predicted_G,
        target_G,
        summed(predicted_from_mean_N**2),
        summed(target_from_mean_N**2),
        summed(predicted_from_mean_N * target_from_mean_N),
        lowest_G,
        highest_G,
    )


def _expressions(
    predicted_N: Floats, target_N: Floats, group_N: Integers, num_groups: int, num_classes: int
) -> Expressions:
    def counted(class_N: Floats, rows_N: Booleans | slice = slice(None)) -> Floats:
        cell_N = (group_N * num_classes + class_N.astype(np.int64))[rows_N]
        return np.bincount(cell_N, minlength=num_groups * num_classes).reshape(num_groups, -1).astype(np.float64)

    return Expressions(counted(target_N, predicted_N == target_N), counted(predicted_N), counted(target_N))


def _unit(predicted_N: Floats, target_N: Floats, group_N: Integers, num_groups: int) -> Floats:
    yes_N, truly_N = predicted_N > POSITIVE, target_N > POSITIVE
    counted = (yes_N & truly_N, yes_N.astype(np.float64) + truly_N, yes_N == truly_N, np.ones(len(group_N)))
    return np.stack([np.bincount(group_N, values_N, num_groups) for values_N in counted])


def _ccc(moments: Moments, weight_RG: Floats) -> Floats:
    """Merges means and sums of groups into those of all their frames (Chan, Golub, LeVeque 1979)."""
    count_RG = weight_RG * moments.count_G
    count_R = np.maximum(count_RG.sum(axis=1), 1)
    predicted_R, target_R = count_RG @ moments.predicted_G / count_R, count_RG @ moments.target_G / count_R
    predicted_RG, target_RG = moments.predicted_G - predicted_R[:, None], moments.target_G - target_R[:, None]
    between = (predicted_RG**2, target_RG**2, predicted_RG * target_RG)
    within = (moments.predicted_squares_G, moments.target_squares_G, moments.products_G)
    predicted_variance_R, target_variance_R, covariance_R = (
        (weight_RG @ within_G + (count_RG * between_RG).sum(axis=1)) / count_R
        for within_G, between_RG in zip(within, between, strict=True)
    )
    counts_RG = count_RG > 0
    lowest_R = np.where(counts_RG, moments.lowest_G, np.inf).min(axis=1)
    highest_R = np.where(counts_RG, moments.highest_G, -np.inf).max(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ccc_R = concordance(covariance_R, predicted_variance_R + target_variance_R, predicted_R - target_R)
    return np.where(highest_R > lowest_R, ccc_R, np.nan)


def _valence_arousal_scores(moments: Mapping[str, Moments], weight_RG: Floats) -> Scores:
    result = {f"ccc_{name}": _ccc(of, weight_RG) for name, of in moments.items()}
    return {**result, "ccc": sum(result.values(), np.zeros(len(weight_RG))) / 2}


def _expression_scores(counts: Expressions, weight_RG: Floats, edition: Edition) -> Scores:
    both_RE, target_RE = weight_RG @ counts.both_GE, weight_RG @ counts.target_GE
    f1_RE = f1(both_RE, weight_RG @ counts.predicted_GE + target_RE)
    f1_RE[target_RE.sum(axis=1) == 0] = np.nan
    macro_R, accuracy_R = f1_RE.mean(axis=1), _ratio(both_RE.sum(axis=1), target_RE.sum(axis=1))
    return {
        **{f"f1_{name}": f1_R for name, f1_R in zip(EXPRESSIONS[edition], f1_RE.T, strict=True)},
        "expression_macro_f1": macro_R,
        "expression_accuracy": accuracy_R,
        "expression": macro_R if edition is Edition.ABAW_2022 else 0.67 * macro_R + 0.33 * accuracy_R,
    }


def _unit_scores(counts: Units, weight_RG: Floats, edition: Edition) -> Scores:
    count_RU = weight_RG @ counts.count_GU
    f1_RU = f1(weight_RG @ counts.both_GU, weight_RG @ counts.mentions_GU)
    f1_R = _ratio(f1_RU.sum(axis=1), (count_RU > 0).sum(axis=1))
    accuracy_R = _ratio((weight_RG @ counts.right_GU).sum(axis=1), count_RU.sum(axis=1))
    f1_RU[count_RU == 0] = np.nan
    return {
        **{f"f1_{name}": values_R for name, values_R in zip(counts.names, f1_RU.T, strict=True)},
        "action_units_mean_f1": f1_R,
        "action_units_accuracy": accuracy_R,
        "action_units": f1_R if edition is Edition.ABAW_2022 else 0.5 * f1_R + 0.5 * accuracy_R,
    }


def _ratio(part_R: Floats, whole_R: NDArray[Any]) -> Floats:
    """Division that gives NaN where the divisor is 0."""
    ratio_R = np.full(len(part_R), np.nan)
    np.divide(part_R, whole_R, out=ratio_R, where=whole_R > 0)
    return ratio_R

"""The scores, defined once; the loss uses `ccc` from here.

A column has one value per frame. NaN is missing; a frame counts for a score if its label and its prediction exist.
Letters: N frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.labels import Edition, Task, action_unit_columns
from model.scores.tallies import OFFICIAL as OFFICIAL
from model.scores.tallies import POSITIVE as POSITIVE
from model.scores.tallies import Tallies, concordance, f1, scores_of, tally

Column = Tensor | NDArray[Any]
Columns = Mapping[str, Column]
"""Columns by their names everywhere: `valence`, `arousal`, `expression` (class number), `au1`, ..."""


def ccc(predicted_N: Column, target_N: Column) -> Tensor:
    """Concordance correlation coefficient: 1 is perfect agreement, 0 none, -1 opposite.

    NaN when both inputs are the same constant, or one has a NaN. Drop frames without a label first.

    Raises:
        ValueError: The lengths differ, or there are fewer than two frames.

    Source: Lin (1989), doi:10.2307/2532051, with population (1/N) moments, as the challenge scorer does.
    """
    predicted_N, target_N = torch.as_tensor(predicted_N), torch.as_tensor(target_N)
    if predicted_N.shape != target_N.shape or len(target_N) < 2:
        raise ValueError(f"ccc needs two equal lengths >= 2, got {len(predicted_N)} and {len(target_N)}")
    predicted_from_mean_N, target_from_mean_N = predicted_N - predicted_N.mean(), target_N - target_N.mean()
    covariance = (predicted_from_mean_N * target_from_mean_N).mean()
    spread = predicted_from_mean_N.square().mean() + target_from_mean_N.square().mean()
    return concordance(covariance, spread, predicted_N.mean() - target_N.mean())


def has_ccc(target_N: Tensor) -> bool:
    """Whether a CCC is defined for these targets: there are at least two, and they differ."""
    return len(target_N) >= 2 and bool(target_N.max() > target_N.min())


def f1_binary(predicted_N: Column, target_N: Column, *, if_absent: float = 0.0) -> float:
    """F1 of the values above 0.5; `if_absent` where neither side has one (0, as scikit-learn's default).

    Raises:
        ValueError: The lengths differ.
    """
    predicted_N, target_N = torch.as_tensor(predicted_N) > POSITIVE, torch.as_tensor(target_N) > POSITIVE
    if predicted_N.shape != target_N.shape:
        raise ValueError(f"f1_binary needs two equal lengths, got {len(predicted_N)} and {len(target_N)}")
    both, mentions = int((predicted_N & target_N).sum()), int(predicted_N.sum()) + int(target_N.sum())
    return float(f1(np.array([both], float), np.array([mentions], float))[0]) if mentions else if_absent


def scores(predicted: Columns, truth: Columns, edition: Edition) -> dict[str, float]:
    """The official scores of an edition and their parts, pooled over all given frames.

    `predicted` holds probabilities for the units. Names: `ccc_valence`, `ccc_arousal`, `ccc` (their mean);
    `f1_<expression>`, `expression_macro_f1`, `expression_accuracy`, `expression` (official); `f1_au<n>`,
    `action_units_mean_f1`, `action_units_accuracy` (over all labelled cells), `action_units` (official); `total`, the
    sum of `ccc`, `expression` and `action_units` (official from 2022 on). A score without labelled frames (for a CCC:
    two that differ) is omitted.
    """
    return _pooled(tally(_arrays(predicted), _arrays(truth), edition))


def task_scores(task: Task, predicted: Columns, truth: Columns, edition: Edition) -> dict[str, float]:
    """The `scores` of one task, including `OFFICIAL[task]`."""
    return _pooled(tally(_arrays(predicted), _arrays(truth), edition, tasks=[task]))


def batch_averaged_scores(
    predicted: Columns, truth: Columns, edition: Edition, *, batch_size: int = 80, seed: int = 0
) -> dict[str, float]:
    """The scores as the method's own code computes them, for comparison with the paper; they are too high.

    Means over shuffled batches, weighted by their labelled frames: CCC, macro-F1 over the expressions that occur in the
    batch, and mean F1 over the units, where one that neither occurs nor is predicted in a batch counts as 1.
    """
    order_N = np.random.default_rng(seed).permutation(len(truth["valence"]))
    sums: dict[str, float] = {}
    weights: dict[str, int] = {}
    for start in range(0, len(order_N), batch_size):
        rows_B = order_N[start : start + batch_size]
        for name, (value, weight) in _batch_scores(_rows(predicted, rows_B), _rows(truth, rows_B), edition).items():
            sums[name] = sums.get(name, 0.0) + value * weight
            weights[name] = weights.get(name, 0) + weight
    return {f"batch_averaged_{name}": total / weights[name] for name, total in sums.items()}


def constant_guess(training: Columns, truth: Columns, edition: Edition) -> dict[str, float]:
    """The scores on `truth` of the best constant answer that the `training` labels suggest.

    That is the mean valence and arousal, the most frequent expression (no constant class has a higher F1), and every
    unit that occurs at all (a constant "no" has an F1 of 0). Its CCC is 0.
    """
    predicted = {}
    for name in ("valence", "arousal", "expression", *action_unit_columns(edition)):
        known_N = _values(training[name])
        known_N = known_N[~known_N.isnan()]
        if len(known_N) == 0:
            guess = float("nan")
        elif name == "expression":
            guess = float(known_N.long().bincount().argmax())
        else:
            guess = float(known_N.mean() if name in ("valence", "arousal") else known_N.max())
        predicted[name] = torch.full((len(truth[name]),), guess, dtype=torch.float64)
    return scores(predicted, truth, edition)


def _values(column: Column) -> Tensor:
    return torch.as_tensor(column).detach().to("cpu", torch.float64)


def _arrays(columns: Columns) -> dict[str, NDArray[np.float64]]:
    return {name: _values(column).numpy() for name, column in columns.items()}


def _pooled(tallies: Tallies) -> dict[str, float]:
    found = scores_of(tallies, np.ones((1, len(tallies.groups))))
    return {name: float(value_R[0]) for name, value_R in found.items() if not np.isnan(value_R[0])}


def _rows(columns: Columns, rows_B: NDArray[np.int64]) -> Columns:
    return {name: _values(column)[rows_B] for name, column in columns.items()}


def _both(predicted: Columns, truth: Columns, name: str) -> tuple[Tensor, Tensor]:
    predicted_N, target_N = _values(predicted[name]), _values(truth[name])
    exists_N = ~(predicted_N.isnan() | target_N.isnan())
    return predicted_N[exists_N], target_N[exists_N]


def _batch_scores(predicted: Columns, truth: Columns, edition: Edition) -> dict[str, tuple[float, int]]:
    """Each score of one batch with the number of its labelled frames."""
    result = {}
    for name in ("valence", "arousal"):
        predicted_N, target_N = _both(predicted, truth, name)
        if has_ccc(target_N):
            result[f"ccc_{name}"] = (float(ccc(predicted_N, target_N)), len(target_N))
    predicted_N, target_N = _both(predicted, truth, "expression")
    if len(target_N) > 0:
        present = sorted({*predicted_N.tolist(), *target_N.tolist()})
        values = [f1_binary(predicted_N == k, target_N == k) for k in present]
        result["expression_macro_f1"] = (sum(values) / len(values), len(target_N))
    pairs = [_both(predicted, truth, name) for name in action_unit_columns(edition)]
    values = [f1_binary(*pair, if_absent=1.0) for pair in pairs if len(pair[1]) > 0]
    if values:
        result["action_units_mean_f1"] = (sum(values) / len(values), max(len(pair[1]) for pair in pairs))
    return result

"""How the labels of a data set are distributed. Letters: N rows, U action units, V bins of valence, A of arousal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.labels import EXPRESSIONS, Edition, action_unit_columns
from data.store.shards import read_table

BINS = 40
"""Edges of the bins of valence and of arousal, from -1 to 1."""


@dataclass(frozen=True)
class LabelCounts:
    """Rows of labels, by their values."""

    valence_arousal_VA: NDArray[np.int64]
    """Rows with both."""
    expressions: dict[str, int]
    action_units: dict[str, tuple[int, int]]
    """For each unit: number of rows where it is active, and of rows where it is labelled."""
    together_UU: NDArray[np.float64]
    """Co-occurrence: of the rows where one unit (row) is active and the other (column) is labelled, the share where
    both are active; NaN without such rows.
    """


def count_labels(labels_file: Path, edition: Edition) -> LabelCounts:
    """The distribution of all labels in a file."""
    valence_N, arousal_N = (_floats(labels_file, name) for name in ("valence", "arousal"))
    both_N = ~(np.isnan(valence_N) | np.isnan(arousal_N))
    limits = ((-1, 1), (-1, 1))
    density_VA, *_ = np.histogram2d(valence_N[both_N], arousal_N[both_N], bins=BINS, range=limits)
    names = EXPRESSIONS[edition]
    expression_N = _floats(labels_file, "expression")
    classes = np.bincount(expression_N[~np.isnan(expression_N)].astype(int), minlength=len(names))
    units, together_UU = _count_units(labels_file, edition)
    return LabelCounts(
        density_VA.astype(np.int64), dict(zip(names, map(int, classes), strict=True)), units, together_UU
    )


def _count_units(labels_file: Path, edition: Edition) -> tuple[dict[str, tuple[int, int]], NDArray[np.float64]]:
    names = list(action_unit_columns(edition))
    table = read_table([labels_file], names)
    is_known = [table[name].is_valid().to_numpy() for name in names]
    is_active = [table[name].fill_null(False).to_numpy() for name in names]
    together_UU = np.full((len(names), len(names)), np.nan)
    for row, column in np.ndindex(together_UU.shape):
        num_known = np.count_nonzero(is_active[row] & is_known[column])
        if num_known:
            together_UU[row, column] = np.count_nonzero(is_active[row] & is_active[column]) / num_known
    counts = {
        name: (int(active_N.sum()), int(known_N.sum()))
        for name, active_N, known_N in zip(names, is_active, is_known, strict=True)
    }
    return counts, together_UU


def _floats(labels_file: Path, name: str) -> NDArray[np.float32]:
    """A column, NaN where a value is missing."""
    values_N: NDArray[np.float32] = read_table([labels_file], [name])[name].cast("float32").to_numpy()
    return values_N

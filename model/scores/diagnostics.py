"""Where a model is wrong: the calibration of its probabilities, the size of its errors, and its worst frames.

Columns are those of `model.scores.metrics`. Letters: N frames, B bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.labels import EXPRESSIONS, Edition, action_unit_columns

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Columns = Mapping[str, NDArray[Any]]

NUM_BINS = 10
_FULL_RANGE = np.sqrt(8)
"""The distance of the farthest two points in valence and arousal."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Calibration: how often predictions of some probability are right, in bins of equal width from 0 to 1.

    `probability_B` and `frequency_B` are means of a bin, NaN if it is empty. `error` is the expected calibration error:
    the mean distance of the two, weighted by frames; NaN without any.

    Source: Guo et al. (2017), arXiv 1706.04599.
    """

    probability_B: Floats
    frequency_B: Floats
    count_B: Integers
    error: float


def reliability(probability_N: NDArray[Any], is_so_N: NDArray[Any], num_bins: int = NUM_BINS) -> Reliability:
    """Compares probabilities with the truth (1 or 0); frames with a NaN in either are ignored."""
    known_N = ~(np.isnan(probability_N) | np.isnan(is_so_N))
    probability_N, is_so_N = probability_N[known_N].astype(np.float64), is_so_N[known_N].astype(np.float64)
    bin_N = np.minimum((probability_N * num_bins).astype(np.int64), num_bins - 1)
    count_B = np.bincount(bin_N, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        probability_B, frequency_B = (
            np.bincount(bin_N, values_N, num_bins) / count_B for values_N in (probability_N, is_so_N)
        )
    distance = float(np.nansum(count_B * np.abs(probability_B - frequency_B)))
    return Reliability(probability_B, frequency_B, count_B, distance / len(bin_N) if len(bin_N) else float("nan"))


def expression_reliability(predicted: Columns, truth: Columns, edition: Edition) -> Reliability:
    """Calibration of the most likely expression."""
    probability_NE = np.stack([predicted[f"p_{name}"] for name in EXPRESSIONS[edition]], axis=1)
    known_N = ~np.isnan(truth["expression"]) & ~np.isnan(probability_NE).any(axis=1)
    probability_NE = probability_NE[known_N]
    return reliability(probability_NE.max(axis=1), probability_NE.argmax(axis=1) == truth["expression"][known_N])


def frame_errors(predicted: Columns, truth: Columns, edition: Edition) -> Floats:
    """How wrong each frame is, from 0 to 1: the mean over the tasks that have a label there; NaN without one.

    Of valence and arousal the distance, as a share of the longest there is; of the expression the probability that the
    right one does not get; of the units the mean distance of probability and truth.
    """
    errors = []
    off = [(predicted[name] - truth[name]).astype(np.float64) for name in ("valence", "arousal")]
    errors.append(np.hypot(*off) / _FULL_RANGE)
    right_N = np.full(len(truth["expression"]), np.nan)
    for number, name in enumerate(EXPRESSIONS[edition]):
        is_it_N = truth["expression"] == number
        right_N[is_it_N] = predicted[f"p_{name}"][is_it_N]
    errors.append(1 - right_N)
    errors.append(_mean([np.abs(predicted[name] - truth[name]) for name in action_unit_columns(edition)]))
    return _mean(errors)


def worst(error_N: Floats, frame_index_N: Integers, number: int, apart: int) -> list[int]:
    """The positions of the `num` frames with the largest errors, at least `apart` frames from each other."""
    chosen: list[int] = []
    for position in np.argsort(-error_N, kind="stable"):
        near = any(abs(frame_index_N[position] - frame_index_N[other]) < apart for other in chosen)
        if len(chosen) < number and not near and not np.isnan(error_N[position]):
            chosen.append(int(position))
    return chosen


def usual_error(error_N: NDArray[Any], video_N: Integers, video: int, share: float = 0.9) -> float:
    """The value below which this share of the absolute errors in all other videos lies; NaN without other videos.

    A band of that width around the predictions for a video contains its truth about as often, if videos are similar; no
    frame of the video itself was used.
    """
    others_N = np.abs(error_N[(video_N != video) & ~np.isnan(error_N)])
    return float(np.quantile(others_N, share)) if len(others_N) else float("nan")


def _mean(columns: list[NDArray[Any]]) -> Floats:
    """Over the columns that are not NaN."""
    stacked = np.stack(columns).astype(np.float64)
    known_N = (~np.isnan(stacked)).sum(axis=0)
    mean_N = np.full(stacked.shape[1], np.nan)
    np.divide(np.nansum(stacked, axis=0), known_N, out=mean_N, where=known_N > 0)
    return mean_N

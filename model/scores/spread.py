"""What trainings from several seeds say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import t


@dataclass(frozen=True)
class Spread:
    """`deviation` is that of a sample, NaN of one value; the interval holds the mean of all seeds at 95 %."""

    mean: float
    deviation: float
    half_interval: float


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and half the 95 % interval of the mean (Student's t), for one value or more."""
    if len(values) == 1:
        return Spread(values[0], math.nan, math.nan)
    deviation = stdev(values)
    quantile = float(t.ppf(0.975, len(values) - 1))
    return Spread(fmean(values), deviation, quantile * deviation / math.sqrt(len(values)))


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Of the differences, seed by seed: what the seeds share, such as initial weights, is no part of the spread."""
    return spread([our - their for our, their in zip(ours, theirs, strict=True)])

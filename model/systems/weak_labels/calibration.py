"""How far a teacher's answers can be trusted: fitted on frames whose labels it has not seen.

A temperature for the expressions' logits and one for the action units' (Guo et al., 2017, arXiv 1706.04599); for
valence and arousal, which come without a probability, the expected error as a function of how much the teacher's
answer changes when the face is mirrored.

Letters: N frames, E expressions, U action units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar, nnls
from scipy.special import expit, log_softmax, logit, softmax

Floats = NDArray[np.float64]

_TEMPERATURES = (0.05, 20.0)
_FEWEST = 20
"""Frames with labels below which nothing is fitted."""
_SURE = 1e-6
"""Probabilities are kept this far from 0 and 1."""


@dataclass(frozen=True)
class Answers:
    """A teacher's answers: valence and arousal, those for the mirrored face, and probabilities."""

    valence_arousal_N2: Floats
    mirrored_N2: Floats
    expression_NE: Floats
    action_units_NU: Floats

    def take(self, row_M: NDArray[np.int64]) -> Answers:
        return Answers(*(getattr(self, name)[row_M] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Truth:
    """Labels of the same frames: class numbers, and 1 or 0 for units; NaN where there is none."""

    valence_arousal_N2: Floats
    expression_N: Floats
    action_units_NU: Floats

    def take(self, row_M: NDArray[np.int64]) -> Truth:
        return Truth(*(getattr(self, name)[row_M] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Calibration:
    """Temperatures by which logits are divided; and the expected error of valence and arousal, which is
    `error_base + error_slope * |answer - answer for the mirrored face|`.
    """

    expression_temperature: float = 1.0
    action_units_temperature: float = 1.0
    error_base: float = 0.0
    error_slope: float = 1.0

    def expressions(self, answers: Answers) -> Floats:
        """The calibrated probabilities (N, E)."""
        found_NE: Floats = softmax(_log(answers.expression_NE) / self.expression_temperature, axis=1)
        return found_NE

    def action_units(self, answers: Answers) -> Floats:
        """The calibrated probabilities (N, U)."""
        found_NU: Floats = expit(_logit(answers.action_units_NU) / self.action_units_temperature)
        return found_NU

    def errors(self, answers: Answers) -> Floats:
        """The expected errors of valence and arousal (N, 2)."""
        apart_N2: Floats = np.abs(answers.valence_arousal_N2 - answers.mirrored_N2)
        return self.error_base + self.error_slope * apart_N2


def calibrated(answers: Answers, truth: Truth) -> Calibration:
    """The calibration that fits frames best; the default for what fewer than 20 frames have labels of."""
    plain = Calibration()
    known_N = ~np.isnan(truth.expression_N)
    if known_N.sum() >= _FEWEST:
        logits_ME, class_M = _log(answers.expression_NE[known_N]), truth.expression_N[known_N].astype(int)

        def surprise(temperature: float) -> float:
            return float(-log_softmax(logits_ME / temperature, axis=1)[np.arange(len(class_M)), class_M].mean())

        expression_temperature = _best_temperature(surprise)
    else:
        expression_temperature = plain.expression_temperature
    known_NU = ~np.isnan(truth.action_units_NU)
    if known_NU.sum() >= _FEWEST:
        logit_K, sign_K = _logit(answers.action_units_NU[known_NU]), 2 * truth.action_units_NU[known_NU] - 1

        def unit_surprise(temperature: float) -> float:
            return float(np.logaddexp(0, -sign_K * logit_K / temperature).mean())

        units_temperature = _best_temperature(unit_surprise)
    else:
        units_temperature = plain.action_units_temperature
    base, slope = plain.error_base, plain.error_slope
    known_N2 = ~np.isnan(truth.valence_arousal_N2)
    if known_N2.sum() >= _FEWEST:
        error_K = np.abs(answers.valence_arousal_N2 - truth.valence_arousal_N2)[known_N2]
        apart_K = np.abs(answers.valence_arousal_N2 - answers.mirrored_N2)[known_N2]
        (base, slope), _ = nnls(np.stack([np.ones_like(apart_K), apart_K], axis=1), error_K)
    return Calibration(expression_temperature, units_temperature, float(base), float(slope))


def expected_calibration_error(confidence_K: Floats, right_K: NDArray[np.bool_], *, num_bins: int = 10) -> float:
    """How far confidence is from the share of right answers, averaged over bins of confidence, weighted by answers.

    0 is perfect. Source: Naeini et al. (2015); Guo et al. (2017), arXiv 1706.04599, equation 3.
    """
    bin_K = np.minimum((confidence_K * num_bins).astype(int), num_bins - 1)
    gap_B = np.abs(np.bincount(bin_K, right_K - confidence_K, minlength=num_bins))
    return float(gap_B.sum() / len(confidence_K))


def _best_temperature(surprise: Callable[[float], float]) -> float:
    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(lambda log: surprise(float(np.exp(log))), bounds=(low, high), method="bounded")
    return float(np.exp(found.x))


def _log(probability_NE: Floats) -> Floats:
    log_NE: Floats = np.log(np.clip(probability_NE, _SURE, 1))
    return log_NE


def _logit(probability_NU: Floats) -> Floats:
    logit_NU: Floats = logit(np.clip(probability_NU, _SURE, 1 - _SURE))
    return logit_NU

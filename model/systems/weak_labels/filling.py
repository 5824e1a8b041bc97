"""The labels that a teacher fills, and how right they are where the truth is known.

Letters: N frames, E expressions, U action units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.labels import ACTION_UNITS, EXPRESSIONS, Edition, action_unit_column
from model.systems.weak_labels.calibration import Answers, Calibration, Floats, Truth
from model.systems.weak_labels.settings import Filling

TEACHER, FILLED = "teacher", "filled"
VALENCE_AROUSAL, EXPRESSION, ACTION_UNITS_ = "valence_arousal", "expression", "action_units"


@dataclass(frozen=True)
class Filled:
    """How many labels of a task or class were missing, how many were filled, and how right these are.

    Where the truth is known, `right` is the share of filled classes that are right, or the mean absolute error of
    filled valence or arousal; otherwise NaN. `share` is the class's share of the filled labels.
    """

    name: str
    missing: int
    filled: int
    checked: int
    right: float


def fill(given: Truth, answers: Answers, calibration: Calibration, filling: Filling) -> Truth:
    """Labels where none is given and the teacher is sure enough; NaN elsewhere."""
    p_NE, p_NU = calibration.expressions(answers), calibration.action_units(answers)
    with np.errstate(invalid="ignore"):
        sure_N2 = calibration.errors(answers) <= filling.valence_arousal_error
        sure_N = p_NE.max(axis=1) >= filling.confidence
        sure_NU = np.maximum(p_NU, 1 - p_NU) >= filling.confidence
    return Truth(
        np.where(sure_N2 & np.isnan(given.valence_arousal_N2), answers.valence_arousal_N2, np.nan),
        np.where(sure_N & np.isnan(given.expression_N), p_NE.argmax(axis=1), np.nan),
        np.where(sure_NU & np.isnan(given.action_units_NU), p_NU > 0.5, np.nan),
    )


def extras_of(filled: Truth, answers: Answers, calibration: Calibration) -> dict[str, NDArray[np.float32]]:
    """What the student learns from besides the given labels, by name, with a row for each frame: filled labels, and
    the teacher's calibrated answers to all frames.
    """
    arrays = {
        f"{FILLED}_valence_arousal": filled.valence_arousal_N2,
        f"{FILLED}_expression": filled.expression_N,
        f"{FILLED}_action_units": filled.action_units_NU,
        f"{TEACHER}_valence_arousal": answers.valence_arousal_N2,
        f"{TEACHER}_expression": calibration.expressions(answers),
        f"{TEACHER}_action_units": calibration.action_units(answers),
    }
    return {name: values.astype(np.float32) for name, values in arrays.items()}


def counted(given: Truth, filled: Truth, truth: Truth, edition: Edition) -> list[Filled]:
    """What was filled: per value of valence and arousal, per expression (by the class that was filled), per unit.

    Args:
        truth: All labels that are known, with those that were withheld from training.
    """
    found = []
    for number, name in enumerate(("valence", "arousal")):
        given_N, filled_N, truth_N = (part.valence_arousal_N2[:, number] for part in (given, filled, truth))
        checked_N = ~np.isnan(filled_N) & ~np.isnan(truth_N)
        found.append(_row(name, given_N, filled_N, checked_N, np.abs(filled_N - truth_N)))
    right_N = (filled.expression_N == truth.expression_N).astype(np.float64)
    for number, name in enumerate(EXPRESSIONS[edition]):
        filled_N = np.where(filled.expression_N == number, filled.expression_N, np.nan)
        checked_N = ~np.isnan(filled_N) & ~np.isnan(truth.expression_N)
        found.append(_row(name, given.expression_N, filled_N, checked_N, right_N))
    for number, unit in enumerate(ACTION_UNITS[edition]):
        given_N, filled_N, truth_N = (part.action_units_NU[:, number] for part in (given, filled, truth))
        checked_N = ~np.isnan(filled_N) & ~np.isnan(truth_N)
        right_N = (filled_N == truth_N).astype(np.float64)
        found.append(_row(action_unit_column(unit), given_N, filled_N, checked_N, right_N))
    return found


def _row(name: str, given_N: Floats, filled_N: Floats, checked_N: NDArray[np.bool_], measure_N: Floats) -> Filled:
    checked = int(checked_N.sum())
    right = float(measure_N[checked_N].mean()) if checked else float("nan")
    return Filled(name, int(np.isnan(given_N).sum()), int((~np.isnan(filled_N)).sum()), checked, right)

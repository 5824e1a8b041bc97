"""Which labels are filled, and how they are counted, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.labels import ACTION_UNITS, Edition
from model.systems.weak_labels.calibration import Answers, Calibration, Truth
from model.systems.weak_labels.filling import counted, extras_of, fill
from model.systems.weak_labels.settings import Filling

NAN = math.nan
EDITION = Edition.ABAW_2020
NUM_UNITS = len(ACTION_UNITS[EDITION])
CALIBRATION = Calibration(error_base=0.0, error_slope=1.0)


def _sure_of(number: int, p: float) -> list[float]:
    return [p if number == other else (1 - p) / 6 for other in range(7)]


def _units(first: float, rest: float) -> list[float]:
    return [first] + [rest] * (NUM_UNITS - 1)


ANSWERS = Answers(
    np.array([(0.5, -0.5), (0.5, -0.5), (0.1, 0.2)]),
    np.array([(0.5, -0.5), (0.9, -0.45), (0.1, 0.2)]),  # the mirror changes the second frame's valence by 0.4
    np.array([_sure_of(4, 0.9), _sure_of(4, 0.7), _sure_of(2, 0.95)]),
    np.array([_units(0.9, 0.05), _units(0.6, 0.3), _units(0.9, 0.9)]),
)
GIVEN = Truth(
    np.array([(NAN, NAN), (NAN, NAN), (0.0, 0.0)]),
    np.array([NAN, NAN, 1.0]),
    np.array([[NAN] * NUM_UNITS, [NAN] * NUM_UNITS, [0.0] * NUM_UNITS]),
)


def test_a_label_is_filled_where_it_is_missing_and_the_teacher_is_sure_enough() -> None:
    filled = fill(GIVEN, ANSWERS, CALIBRATION, Filling(confidence=0.8, valence_arousal_error=0.2))
    assert filled.valence_arousal_N2 == pytest.approx(np.array([(0.5, -0.5), (NAN, -0.5), (NAN, NAN)]), nan_ok=True)
    assert filled.expression_N == pytest.approx(np.array([4, NAN, NAN]), nan_ok=True)
    assert filled.action_units_NU[0].tolist() == _units(1, 0)
    assert np.isnan(filled.action_units_NU[1:]).all()


def test_a_hotter_calibration_fills_less() -> None:
    hot = Calibration(expression_temperature=3.0, action_units_temperature=3.0, error_base=0.3)
    filled = fill(GIVEN, ANSWERS, hot, Filling())
    for values in (filled.valence_arousal_N2, filled.expression_N, filled.action_units_NU):
        assert np.isnan(values).all()


def test_what_was_filled_is_counted_and_checked_where_the_truth_is_known() -> None:
    filled = fill(GIVEN, ANSWERS, CALIBRATION, Filling(confidence=0.6))
    truth = Truth(
        np.array([(0.4, NAN), (0.0, -0.5), (0.0, 0.0)]),
        np.array([4.0, 3.0, 1.0]),
        np.array([_units(1, 1), [NAN] * NUM_UNITS, [0.0] * NUM_UNITS]),
    )
    rows = {row.name: row for row in counted(GIVEN, filled, truth, EDITION)}
    assert (rows["valence"].missing, rows["valence"].filled, rows["valence"].checked) == (2, 1, 1)
    assert rows["valence"].right == pytest.approx(0.1)
    assert (rows["arousal"].filled, rows["arousal"].checked, rows["arousal"].right) == (2, 1, 0)
    assert (rows["happiness"].missing, rows["happiness"].filled, rows["happiness"].right) == (2, 2, 0.5)
    assert (rows["anger"].filled, rows["anger"].checked) == (0, 0)
    assert math.isnan(rows["anger"].right)
    assert (rows["au1"].filled, rows["au1"].checked, rows["au1"].right) == (2, 1, 1)
    assert (rows["au2"].filled, rows["au2"].checked, rows["au2"].right) == (2, 1, 0)


def test_the_student_gets_what_was_filled_and_the_calibrated_answers_to_all_frames() -> None:
    filled = fill(GIVEN, ANSWERS, CALIBRATION, Filling())
    extras = extras_of(filled, ANSWERS, Calibration(expression_temperature=2.0))
    assert extras["filled_expression"] == pytest.approx(filled.expression_N, nan_ok=True)
    assert extras["teacher_expression"].sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert extras["teacher_expression"][0, 4] < 0.9
    assert extras["teacher_action_units"] == pytest.approx(ANSWERS.action_units_NU)
    assert {values.dtype for values in extras.values()} == {np.dtype(np.float32)}

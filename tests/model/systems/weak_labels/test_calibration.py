"""How far a teacher is trusted: temperatures and expected errors are found again from answers made with them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, softmax

from model.systems.weak_labels.calibration import Answers, Calibration, Truth, calibrated, expected_calibration_error

NUM_FRAMES = 4000


def _answers(**arrays: np.ndarray) -> Answers:
    nothing = {
        "valence_arousal_N2": np.zeros((NUM_FRAMES, 2)),
        "mirrored_N2": np.zeros((NUM_FRAMES, 2)),
        "expression_NE": np.full((NUM_FRAMES, 3), 1 / 3),
        "action_units_NU": np.full((NUM_FRAMES, 2), 0.5),
    }
    return Answers(**{**nothing, **arrays})


def _truth(**arrays: np.ndarray) -> Truth:
    nothing = {
        "valence_arousal_N2": np.full((NUM_FRAMES, 2), math.nan),
        "expression_N": np.full(NUM_FRAMES, math.nan),
        "action_units_NU": np.full((NUM_FRAMES, 2), math.nan),
    }
    return Truth(**{**nothing, **arrays})


def test_a_teacher_that_is_too_sure_gets_the_temperature_that_makes_it_right_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    logits_NE = rng.normal(0, 1.5, (NUM_FRAMES, 3))
    class_N = np.array([rng.choice(3, p=p_E) for p_E in softmax(logits_NE, axis=1)], dtype=np.float64)
    too_sure = _answers(expression_NE=softmax(2.5 * logits_NE, axis=1))
    found = calibrated(too_sure, _truth(expression_N=class_N))
    assert found.expression_temperature == pytest.approx(2.5, rel=0.1)
    errors = [
        expected_calibration_error(p_NE.max(axis=1), p_NE.argmax(axis=1) == class_N)
        for p_NE in (too_sure.expression_NE, found.expressions(too_sure))
    ]
    assert errors[0] > 0.1
    assert errors[1] < 0.03


def test_units_have_a_temperature_of_their_own() -> None:
    rng = np.random.default_rng(1)
    logit_NU = rng.normal(0, 2, (NUM_FRAMES, 2))
    present_NU = (rng.random((NUM_FRAMES, 2)) < expit(logit_NU)).astype(np.float64)
    too_timid = _answers(action_units_NU=expit(0.5 * logit_NU))
    found = calibrated(too_timid, _truth(action_units_NU=present_NU))
    assert found.action_units_temperature == pytest.approx(0.5, rel=0.1)
    assert found.expression_temperature == 1


def test_the_expected_error_of_valence_and_arousal_follows_how_much_a_mirror_changes_the_answer() -> None:
    rng = np.random.default_rng(2)
    apart_N2 = rng.uniform(0, 0.5, (NUM_FRAMES, 2))
    error_N2 = (0.05 + 0.6 * apart_N2) * rng.choice([-1, 1], (NUM_FRAMES, 2))
    answers = _answers(mirrored_N2=apart_N2)
    found = calibrated(answers, _truth(valence_arousal_N2=error_N2))
    assert (found.error_base, found.error_slope) == pytest.approx((0.05, 0.6), abs=1e-6)
    assert found.errors(answers) == pytest.approx(0.05 + 0.6 * apart_N2)


def test_nothing_is_fitted_to_fewer_than_twenty_labels() -> None:
    few_N = np.full(NUM_FRAMES, math.nan)
    few_N[:19] = 1
    assert calibrated(_answers(), _truth(expression_N=few_N)) == Calibration()


def test_the_calibration_error_by_hand() -> None:
    confidence_K = np.array([0.95, 0.95, 0.65, 0.65])
    right_K = np.array([True, True, True, False])
    # Bin of 0.9 to 1: right always, 0.05 from its confidence. Bin of 0.6 to 0.7: right half the time, 0.15 from it.
    assert expected_calibration_error(confidence_K, right_K) == pytest.approx((0.05 + 0.15) / 2)

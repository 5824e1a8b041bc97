"""Calibration and errors against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.labels import EXPRESSIONS, Edition, action_unit_columns
from model.scores.diagnostics import expression_reliability, frame_errors, reliability, usual_error

EDITION = Edition.ABAW_2020
NAN = math.nan


def test_the_calibration_error_is_the_mean_distance_of_what_is_said_and_what_is() -> None:
    probability_N = np.array([0.05, 0.05, 0.95, 0.95, 0.95, 1.0, NAN, 0.5])
    is_so_N = np.array([0, 1, 1, 1, 1, 0, 1, NAN])
    found = reliability(probability_N, is_so_N)
    assert found.count_B.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 4]
    assert found.frequency_B[[0, 9]] == pytest.approx([0.5, 0.75])
    assert found.probability_B[[0, 9]] == pytest.approx([0.05, 3.85 / 4])
    assert np.isnan(found.frequency_B[1:9]).all()
    assert found.error == pytest.approx((2 * 0.45 + 4 * (3.85 / 4 - 0.75)) / 6)
    assert math.isnan(reliability(np.array([]), np.array([])).error)


def test_a_model_that_means_what_it_says_has_hardly_any_calibration_error() -> None:
    generator = np.random.default_rng(0)
    probability_N = generator.random(20_000)
    assert reliability(probability_N, generator.random(20_000) < probability_N).error < 0.02
    assert reliability(probability_N**3, generator.random(20_000) < probability_N).error > 0.2


def answers(num_frames: int) -> dict[str, np.ndarray]:
    names = ("valence", "arousal", *(f"p_{name}" for name in EXPRESSIONS[EDITION]), *action_unit_columns(EDITION))
    return {name: np.zeros(num_frames, np.float32) for name in names}


def labels(num_frames: int) -> dict[str, np.ndarray]:
    names = ("valence", "arousal", "expression", *action_unit_columns(EDITION))
    return {name: np.full(num_frames, NAN, np.float32) for name in names}


def test_the_likeliest_expression_is_right_or_not() -> None:
    predicted, truth = answers(3), labels(3)
    predicted["p_happiness"][:], predicted["p_neutral"][:] = 0.8, 0.2
    truth["expression"][:] = [4, 0, NAN]
    found = expression_reliability(predicted, truth, EDITION)
    assert (found.count_B[8], found.count_B.sum()) == (2, 2)
    assert (found.frequency_B[8], found.error) == pytest.approx((0.5, 0.3), abs=1e-6)


def test_the_error_of_a_frame_is_that_of_the_tasks_with_a_label() -> None:
    predicted, truth = answers(5), labels(5)
    predicted["p_anger"][:] = 0.4
    truth["valence"][:], truth["arousal"][:] = [1, NAN, NAN, 0, NAN], [1, NAN, 1, 0, NAN]
    truth["expression"][:] = [NAN, 1, NAN, 1, NAN]
    truth["au1"][:], truth["au2"][:] = [NAN, NAN, 1, NAN, NAN], [NAN, NAN, 0, NAN, NAN]
    assert frame_errors(predicted, truth, EDITION) == pytest.approx([0.5, 0.6, 0.5, 0.3, NAN], nan_ok=True)


def test_the_usual_error_of_a_video_is_that_of_the_others() -> None:
    video_N = np.repeat([0, 1], 10)
    error_N = np.concatenate([np.arange(10) / 10, -np.ones(10)])
    assert usual_error(error_N, video_N, 1) == pytest.approx(0.81)
    assert usual_error(error_N, video_N, 0) == 1
    assert math.isnan(usual_error(error_N[:10], video_N[:10], 0))

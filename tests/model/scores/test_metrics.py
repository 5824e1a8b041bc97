"""Scores against values worked out by hand, and against a second form of each formula."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

from data.labels import EXPRESSIONS, Edition, Task, action_unit_columns
from model.scores.metrics import batch_averaged_scores, ccc, constant_guess, f1_binary, has_ccc, scores, task_scores

NAN = math.nan
Floats = NDArray[np.float64]
_reals = st.floats(-1, 1).map(lambda value: round(value, 6))


def _columns(edition: Edition = Edition.ABAW_2020, num_frames: int = 4, **given: list[float]) -> dict[str, Floats]:
    names = ("valence", "arousal", "expression", *action_unit_columns(edition))
    return {name: np.array(given.get(name, [NAN] * num_frames)) for name in names}


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], 1),
        ([1, 2, 3], [3, 2, 1], -1),
        ([1, 2, 3], [2, 3, 4], 4 / 7),
        ([2, 2, 2], [1, 2, 3], 0),
        ([2, 4, 6], [1, 2, 3], 2 * (4 / 3) / (8 / 3 + 2 / 3 + 4)),
    ],
)
def test_ccc_by_hand(predicted: list[float], target: list[float], expected: float) -> None:
    assert float(ccc(np.array(predicted, float), np.array(target, float))) == pytest.approx(expected, abs=1e-12)


def test_ccc_of_two_equal_constants_is_nan() -> None:
    assert math.isnan(ccc(torch.ones(3), torch.ones(3)))
    assert not has_ccc(torch.ones(3))
    assert not has_ccc(torch.ones(1))
    assert has_ccc(torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize(("predicted", "target"), [([1.0], [1.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_ccc_refuses_what_it_cannot_compare(predicted: list[float], target: list[float]) -> None:
    with pytest.raises(ValueError, match=rf"ccc needs two equal lengths >= 2, got {len(predicted)} and {len(target)}"):
        ccc(torch.tensor(predicted), torch.tensor(target))


@given(columns_2N=hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(2, 40)), elements=_reals))
def test_ccc_is_pearsons_r_times_the_bias(columns_2N: Floats) -> None:
    predicted_N, target_N = columns_2N
    spread = predicted_N.std() * target_N.std()
    if spread < 1e-3:
        return
    bias = 2 * spread / (predicted_N.var() + target_N.var() + (predicted_N.mean() - target_N.mean()) ** 2)
    expected = np.corrcoef(predicted_N, target_N)[0, 1] * bias
    assert float(ccc(predicted_N, target_N)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        ([1, 1, 0, 0], [1, 0, 1, 0], 0.5),
        ([1, 1, 1, 1], [1, 0, 0, 0], 2 / 5),
        ([0, 0], [1, 1], 0),
        ([0, 0], [0, 0], 0),
        ([0.51, 0.5], [1, 0], 1),
        ([1, 0], [0.51, 0.5], 1),
    ],
)
def test_f1_binary_by_hand(predicted: list[float], target: list[float], expected: float) -> None:
    assert f1_binary(np.array(predicted), np.array(target)) == pytest.approx(expected)


def test_f1_binary_refuses_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="f1_binary needs two equal lengths, got 1 and 2"):
        f1_binary(np.ones(1), np.ones(2))


@st.composite
def _masked(draw: st.DrawFn, edition: Edition) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Predictions and labels of some frames, a share of them missing on either side."""
    num_frames, missing = draw(st.integers(1, 60)), draw(st.sampled_from([0.0, 0.3, 0.9]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns: list[dict[str, Floats]] = [{}, {}]
    for side, name in itertools.product((0, 1), _columns(edition)):
        if name in ("valence", "arousal"):
            values = generator.choice(np.round(generator.normal(0, 0.4, 20), draw(st.integers(0, 6))), num_frames)
        elif name == "expression":
            values = generator.integers(0, len(EXPRESSIONS[edition]), num_frames).astype(float)
        else:
            values = generator.random(num_frames) if side == 0 else (generator.random(num_frames) < 0.1).astype(float)
        columns[side][name] = np.where(generator.random(num_frames) < missing, NAN, values)
    return columns[0], columns[1]


@settings(max_examples=60)
@given(data=st.data(), edition=st.sampled_from(Edition))
def test_scores_are_those_of_scikit_learn_and_of_a_plain_ccc(data: st.DataObject, edition: Edition) -> None:
    predicted, truth = data.draw(_masked(edition))
    result = scores(predicted, truth, edition)
    expected: dict[str, float] = {}
    pairs = {name: _both(predicted[name], truth[name]) for name in truth}
    for name in ("valence", "arousal"):
        x, y = pairs[name]
        if len(y) > 1 and np.ptp(y) > 0:
            covariance = np.cov(x, y, bias=True)
            expected[f"ccc_{name}"] = 2 * covariance[0, 1] / (np.trace(covariance) + (x.mean() - y.mean()) ** 2)
    names = EXPRESSIONS[edition]
    x, y = pairs["expression"]
    if len(y) > 0:
        f1 = f1_score(y, x, labels=range(len(names)), average=None, zero_division=0)
        expected |= {f"f1_{name}": value for name, value in zip(names, f1, strict=True)}
        expected |= {"expression_macro_f1": f1.mean(), "expression_accuracy": accuracy_score(y, x)}
    units = {name: (x > 0.5, y > 0.5) for name, (x, y) in pairs.items() if name.startswith("au") and len(y) > 0}
    f1_of_units = [f1_score(y, x, zero_division=0) for x, y in units.values()]
    expected |= {f"f1_{name}": value for name, value in zip(units, f1_of_units, strict=True)}
    if units:
        x, y = np.concatenate([x for x, _ in units.values()]), np.concatenate([y for _, y in units.values()])
        expected |= {"action_units_mean_f1": np.mean(f1_of_units), "action_units_accuracy": accuracy_score(y, x)}
    made_of_them = {"ccc", "expression", "action_units", "total"}
    assert {name: value for name, value in result.items() if name not in made_of_them} == pytest.approx(
        expected, abs=1e-9
    )


def _both(predicted_N: Floats, target_N: Floats) -> tuple[Floats, Floats]:
    keep_N = ~np.isnan(predicted_N) & ~np.isnan(target_N)
    return predicted_N[keep_N], target_N[keep_N]


def test_the_official_scores_of_2020_by_hand() -> None:
    truth = _columns(
        valence=[1, 2, 3, NAN], arousal=[1, 2, 3, 4], expression=[0, 0, 4, NAN], au1=[1, 0, NAN, 1], au2=[0, 0, 0, 0]
    )
    predicted = _columns(
        valence=[2, 3, 4, 9],
        arousal=[1, 2, 3, 4],
        expression=[0, 4, 4, 4],
        au1=[0.9, 0.8, 0.1, 0.2],
        au2=[0, 0, 0, 0.7],
    )
    result = scores(predicted, truth, Edition.ABAW_2020)
    macro, accuracy = (2 / 3 + 2 / 3) / 7, 2 / 3
    expected = {
        "ccc_valence": 4 / 7,
        "ccc_arousal": 1,
        "ccc": 11 / 14,
        "f1_neutral": 2 / 3,
        "f1_happiness": 2 / 3,
        "f1_fear": 0,
        "expression_macro_f1": macro,
        "expression_accuracy": accuracy,
        "expression": 0.67 * macro + 0.33 * accuracy,
        "f1_au1": 0.5,
        "f1_au2": 0,
        "action_units_mean_f1": 0.25,
        "action_units_accuracy": 4 / 7,
        "action_units": 0.5 * 0.25 + 0.5 * 4 / 7,
    }
    assert {name: result[name] for name in expected} == pytest.approx(expected)
    assert result["total"] == pytest.approx(result["ccc"] + result["expression"] + result["action_units"])
    assert "f1_au4" not in result


def test_the_official_scores_of_2022_are_plain_f1() -> None:
    edition = Edition.ABAW_2022
    truth = _columns(edition, valence=[0, 1, 0, 1], arousal=[0, 1, 0, 1], expression=[7, 7, 0, 1], au26=[1, 1, 0, 0])
    predicted = {**truth, "expression": np.array([7, 7, 0, 0]), "au26": np.array([1, 0, 0, 0])}
    result = scores(predicted, truth, edition)
    assert result["expression"] == result["expression_macro_f1"] == pytest.approx((1 + 2 / 3) / 8)
    assert result["action_units"] == result["action_units_mean_f1"] == pytest.approx(2 / 3)
    assert (result["expression_accuracy"], result["action_units_accuracy"]) == (3 / 4, 3 / 4)
    assert result["total"] == pytest.approx(1 + (1 + 2 / 3) / 8 + 2 / 3)


def test_one_task_has_its_own_scores_and_no_total() -> None:
    truth = _columns(valence=[0, 1, 0, 1], arousal=[0, 1, 0, 1], expression=[0, 1, 2, 3], au1=[1, 0, 0, 1])
    names = {task: set(task_scores(task, truth, truth, Edition.ABAW_2020)) for task in Task}
    assert names[Task.VA] == {"ccc_valence", "ccc_arousal", "ccc"}
    assert names[Task.EXPR] == {
        *(f"f1_{name}" for name in EXPRESSIONS[Edition.ABAW_2020]),
        *("expression_macro_f1", "expression_accuracy", "expression"),
    }
    assert names[Task.AU] == {"f1_au1", "action_units_mean_f1", "action_units_accuracy", "action_units"}


def test_a_unit_is_present_above_a_half_on_both_sides() -> None:
    truth, predicted = _columns(au1=[1, 0, 0, 0.5]), _columns(au1=[0.51, 0.5, 0, 0])
    result = scores(predicted, truth, Edition.ABAW_2020)
    assert (result["f1_au1"], result["action_units_accuracy"]) == (1, 1)


def test_a_score_without_labels_is_left_out() -> None:
    truth = _columns(expression=[0, 1, 2, 3], valence=[0.5, 0.5, 0.5, 0.5])
    result = scores(_columns(expression=[0, 1, 2, 3], valence=[0, 1, 2, 3]), truth, Edition.ABAW_2020)
    assert "expression" in result
    assert not {"total", "ccc", "ccc_valence", "action_units"} & set(result)


def test_a_frame_without_a_prediction_is_not_scored() -> None:
    result = scores(_columns(expression=[0, NAN, NAN, NAN]), _columns(expression=[0, 1, 2, 3]), Edition.ABAW_2020)
    assert result["expression_accuracy"] == 1


def test_tensors_and_arrays_score_alike() -> None:
    truth = _columns(valence=[0, 1, 0.5, NAN], arousal=[0, 1, 0.2, 1], expression=[0, 1, 1, 2], au6=[1, 0, 1, NAN])
    predicted = _columns(valence=[0, 0.7, 0.5, 1], arousal=[1, 1, 0, 1], expression=[0, 1, 2, 2], au6=[1, 1, 0, 0])
    as_tensors = {
        name: torch.tensor(column, dtype=torch.float64, requires_grad=True) for name, column in predicted.items()
    }
    assert scores(as_tensors, truth, Edition.ABAW_2020) == scores(predicted, truth, Edition.ABAW_2020)


def test_batch_averages_weigh_batches_by_labelled_frames_and_flatter_absent_units() -> None:
    truth = _columns(num_frames=2, expression=[0, 3], au1=[1, 1], au2=[0, 0])
    predicted = _columns(num_frames=2, expression=[0, 1], au1=[1, 1], au2=[0, 0])
    pooled = scores(predicted, truth, Edition.ABAW_2020)
    averaged = batch_averaged_scores(predicted, truth, Edition.ABAW_2020, batch_size=1)
    assert pooled["action_units_mean_f1"] == 0.5
    assert averaged == {
        "batch_averaged_expression_macro_f1": pytest.approx(0.5),
        "batch_averaged_action_units_mean_f1": pytest.approx(1),
    }


def test_batch_averages_of_one_batch_have_the_pooled_ccc() -> None:
    truth = _columns(valence=[0, 1, 0.5, 0.3], arousal=[0, 1, 0.2, 1])
    predicted = _columns(valence=[0, 0.7, 0.5, 1], arousal=[1, 1, 0, 1])
    averaged = batch_averaged_scores(predicted, truth, Edition.ABAW_2020)
    pooled = scores(predicted, truth, Edition.ABAW_2020)
    assert averaged["batch_averaged_ccc_valence"] == pytest.approx(pooled["ccc_valence"], abs=1e-12)
    assert averaged["batch_averaged_ccc_arousal"] == pytest.approx(pooled["ccc_arousal"], abs=1e-12)


def test_the_constant_guess_is_learned_from_the_training_labels() -> None:
    training = _columns(
        valence=[0.1, 0.3, NAN, 0.2],
        arousal=[0, 0, 0, 1],
        expression=[4, 4, 6, NAN],
        au1=[0, 1, 0, 0],
        au2=[0, 0, 0, 0],
    )
    truth = _columns(
        valence=[0, 1, 0, 1], arousal=[0, 1, 0, 1], expression=[4, 0, 1, 2], au1=[1, 0, 0, 0], au2=[0, 0, 0, 0]
    )
    result = constant_guess(training, truth, Edition.ABAW_2020)
    expected = {"ccc": 0, "f1_happiness": 2 / 5, "expression_macro_f1": 2 / 35, "f1_au1": 2 / 5, "f1_au2": 0}
    assert {name: result[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert result["action_units_accuracy"] == pytest.approx((1 + 4) / 8)


def test_batch_averages_by_hand() -> None:
    """One batch; of four expressions two are predicted and labelled right, and two units have an F1 of 1 and 2/3."""
    truth = _columns(valence=[0, 1, 0, 1], expression=[0, 1, 2, 2], au1=[1, 0, 1, 0], au2=[1, 1, 0, NAN])
    predicted = _columns(valence=[0, 1, NAN, 1], expression=[0, 1, 3, 3], au1=[1, 0, 1, 0], au2=[1, 0, 0, 1])
    averaged = batch_averaged_scores(predicted, truth, Edition.ABAW_2020)
    assert averaged["batch_averaged_ccc_valence"] == pytest.approx(1)
    assert averaged["batch_averaged_expression_macro_f1"] == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert averaged["batch_averaged_action_units_mean_f1"] == pytest.approx((1 + 2 / 3) / 2)


def test_batches_are_drawn_by_their_seed_and_hold_80_frames() -> None:
    generator = np.random.default_rng(2)
    truth = _columns(num_frames=160, expression=generator.integers(0, 7, 160).tolist())
    predicted = _columns(num_frames=160, expression=generator.integers(0, 7, 160).tolist())
    averaged = batch_averaged_scores(predicted, truth, Edition.ABAW_2020)
    assert averaged == batch_averaged_scores(predicted, truth, Edition.ABAW_2020, batch_size=80, seed=0)
    assert averaged != batch_averaged_scores(predicted, truth, Edition.ABAW_2020, seed=1)
    order_N = np.random.default_rng(0).permutation(160)
    halves = [
        batch_averaged_scores(
            {name: column[rows] for name, column in predicted.items()},
            {name: column[rows] for name, column in truth.items()},
            Edition.ABAW_2020,
        )["batch_averaged_expression_macro_f1"]
        for rows in (order_N[:80], order_N[80:])
    ]
    assert averaged["batch_averaged_expression_macro_f1"] == pytest.approx(sum(halves) / 2)


def test_the_constant_guess_of_valence_is_the_mean_and_of_a_unit_whether_it_occurs() -> None:
    training = _columns(valence=[0.2, 0.4, NAN, 0.3], au1=[0, 1, 0, 0], au2=[0, 0, 0, NAN])
    truth = _columns(valence=[0, 1, 0, 1], au1=[1, 0, 0, NAN], au2=[1, 0, 0, 0])
    result = constant_guess(training, truth, Edition.ABAW_2020)
    assert result["f1_au1"] == pytest.approx(1 / 2)
    assert result["f1_au2"] == 0
    assert result["action_units_accuracy"] == pytest.approx((1 + 3) / 7)

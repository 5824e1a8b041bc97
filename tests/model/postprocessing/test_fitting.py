"""Smoothing, and what is fitted after a training: nothing leaks, and what fitting brings is not made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.little_store import learnable_store

from data.batches.labelled_frames import labelled_frames
from data.labels import Edition, Split, Task, action_unit_columns
from model.answers import value_columns
from model.postprocessing.crossfit import cross_fit, deal, fit_kept, frames_to_fit
from model.postprocessing.fitting import Fit, TaskFrames, decide, finish, fit_task, smooth, task_frames
from model.scores.intervals import Interval
from model.scores.metrics import scores

EDITION = Edition.ABAW_2020
NAN = float("nan")
Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]


def _smooth(values: list[float], window: int, frames: list[int] | None = None) -> list[float]:
    values_NC = np.array(values)[:, None]
    frame_index_N = np.array(frames or range(len(values)))
    smoothed: list[float] = smooth(values_NC, np.zeros(len(values), np.int64), frame_index_N, window)[:, 0].tolist()
    return smoothed


def _tracks(seed: int, tracks: int = 4, frames: int = 60) -> tuple[Floats, Integers, Integers]:
    """Tracks of random values with holes, their rows in no order."""
    random = np.random.default_rng(seed)
    values_NC = random.uniform(size=(tracks * frames, 2))
    values_NC[random.uniform(size=len(values_NC)) < 0.2] = NAN
    track_index_N, frame_index_N = (grid.ravel() for grid in np.indices((tracks, frames)))
    order_N = random.permutation(len(values_NC))
    return values_NC[order_N], track_index_N[order_N], frame_index_N[order_N]


def test_the_mean_is_centred_and_narrower_at_the_ends() -> None:
    assert _smooth([0, 3, 0, 3, 6], 3) == [0, 1, 2, 3, 6]
    assert _smooth([0, 3, 0, 3, 6], 1) == [0, 3, 0, 3, 6]


def test_a_slope_stays_as_it_is_to_its_very_ends() -> None:
    slope = np.linspace(-1, 1, 40).tolist()
    np.testing.assert_allclose(_smooth(slope, 15), slope, atol=1e-12)


def test_a_missing_face_stays_missing_and_counts_for_nothing() -> None:
    np.testing.assert_allclose(_smooth([1, NAN, 3, 5, 5], 3), [1, NAN, 3, 13 / 3, 5])


def test_a_track_without_faces_or_with_one_stays_as_it_is() -> None:
    assert np.isnan(_smooth([NAN, NAN], 3)).all()
    np.testing.assert_array_equal(_smooth([NAN, 0.5, NAN], 3), [NAN, 0.5, NAN])


def test_a_window_does_not_reach_across_a_long_gap() -> None:
    before, after = [0.0] * 6, [1.0] * 6
    assert _smooth(before + after, 5, [*range(6), *range(7, 13)]) != before + after
    assert _smooth(before + after, 5, [*range(6), *range(8, 14)]) == before + after


@given(seed=st.integers(0, 999), window=st.sampled_from([1, 3, 9, 91]))
def test_a_constant_stays_constant_and_means_stay_within_the_values(seed: int, window: int) -> None:
    values_NC, track_index_N, frame_index_N = _tracks(seed)
    constant_NC = np.where(np.isnan(values_NC), NAN, 0.3)
    np.testing.assert_allclose(smooth(constant_NC, track_index_N, frame_index_N, window), constant_NC, atol=1e-12)
    smoothed_NC = smooth(values_NC, track_index_N, frame_index_N, window)
    assert np.nanmin(smoothed_NC) >= np.nanmin(values_NC) - 1e-12
    assert np.nanmax(smoothed_NC) <= np.nanmax(values_NC) + 1e-12


@given(seed=st.integers(0, 999), window=st.sampled_from([1, 3, 9, 91]))
def test_a_track_is_smoothed_as_if_it_were_alone_in_any_order(seed: int, window: int) -> None:
    values_NC, track_index_N, frame_index_N = _tracks(seed)
    together_NC = smooth(values_NC, track_index_N, frame_index_N, window)
    for track_index in range(4):
        row_M = np.flatnonzero(track_index_N == track_index)
        row_M = row_M[np.argsort(frame_index_N[row_M])]
        alone_MC = smooth(values_NC[row_M], track_index_N[row_M], frame_index_N[row_M], window)
        np.testing.assert_allclose(together_NC[row_M], alone_MC, atol=1e-12)


@pytest.mark.parametrize("window", [0, 2])
def test_a_window_has_a_middle(window: int) -> None:
    with pytest.raises(ValueError, match=f"a centred window has an odd number of frames, got {window}"):
        _smooth([0.0], window)


def _frames(
    task: Task, values_NC: Floats, truth: Mapping[str, Floats], recordings: int, *, seed: int | None = None
) -> TaskFrames:
    """Frames of so many recordings of one track each, equally long; with a seed, their rows in no order."""
    num_rows = len(values_NC)
    order_N = np.arange(num_rows) if seed is None else np.random.default_rng(seed).permutation(num_rows)
    track_index_N = (np.arange(num_rows) * recordings // num_rows)[order_N]
    return task_frames(
        task,
        dict(zip(value_columns(task, EDITION), values_NC[order_N].T, strict=True)),
        {name: column_N[order_N] for name, column_N in truth.items()},
        track_index_N=track_index_N,
        frame_index_N=np.arange(num_rows)[order_N],
        recording_N=track_index_N,
        edition=EDITION,
    )


def _noisy_valence(seed: int = 0, recordings: int = 6) -> TaskFrames:
    """Slow curves, answered with fast noise."""
    random = np.random.default_rng(seed)
    time_N = np.arange(200 * recordings)
    truth = {"valence": 0.5 * np.sin(time_N / 40), "arousal": 0.5 * np.cos(time_N / 55)}
    values_NC = np.stack(list(truth.values()), axis=1) + random.normal(scale=0.4, size=(len(time_N), 2))
    return _frames(Task.VA, values_NC, truth, recordings, seed=seed)


def _guessed_expressions(seed: int, recordings: int = 5) -> TaskFrames:
    """Answers and labels without any relation."""
    random = np.random.default_rng(seed)
    values_NC = random.dirichlet(np.ones(7), size=40 * recordings)
    return _frames(Task.EXPR, values_NC, {"expression": random.integers(7, size=len(values_NC)) * 1.0}, recordings)


def _shy_units(recordings: int = 5) -> TaskFrames:
    """Every unit is there where its probability is above 0.2: the threshold of 0.5 is far too high."""
    random = np.random.default_rng(1)
    values_NC = random.uniform(0, 0.5, size=(100 * recordings, 8))
    truth = dict(zip(action_unit_columns(EDITION), (values_NC > 0.2).T * 1.0, strict=True))
    truth["au4"][::3] = NAN
    return _frames(Task.AU, values_NC, truth, recordings)


def test_smoothing_takes_noise_from_a_slow_curve() -> None:
    (trial,) = cross_fit(_noisy_valence())
    assert trial.steps == ("smoothing",)
    assert trial.gain.value == pytest.approx(trial.score - trial.raw)
    assert trial.gain.value > trial.gain.low > 0.1
    assert all(fit.window >= 9 for fit in trial.fits)


def test_thresholds_are_found_where_they_are() -> None:
    frames = _shy_units()
    fit = fit_task(frames, smooths=False)
    assert fit.window == 1
    assert {name: round(threshold, 2) for name, threshold in fit.decision.items()} == dict.fromkeys(
        action_unit_columns(EDITION), 0.2
    )
    assert frames.score(fit) == 1
    trial = cross_fit(frames)[1]
    assert trial.steps == ("thresholds",)
    assert trial.score > 0.99 > trial.raw + 0.5


def test_a_unit_is_present_above_its_threshold_and_not_at_it() -> None:
    values_NC = np.tile([[0.2], [0.22]], (20, 8))
    truth = dict.fromkeys(action_unit_columns(EDITION), np.tile([0.0, 1.0], 20))
    frames = _frames(Task.AU, values_NC, truth, 2)
    fit = fit_task(frames, smooths=False)
    assert set(fit.decision.values()) == {0.2}
    assert frames.score(fit) == 1


def test_a_fit_without_smoothing_has_no_window() -> None:
    assert fit_task(_noisy_valence()).window > 5
    assert fit_task(_noisy_valence(), smooths=False) == Fit()


def test_answers_that_are_right_get_no_bias() -> None:
    classes_N = np.arange(70) % 7
    frames = _frames(Task.EXPR, 0.4 + 0.6 * np.eye(7)[classes_N], {"expression": classes_N * 1.0}, 5)
    assert set(fit_task(frames).decision.values()) == {0}


def test_a_class_without_a_bias_keeps_its_probability() -> None:
    values_MC = np.array([[0.4, 0.3, 0, 0, 0, 0, 0.3], [0.5, 0.2, 0, 0, 0, 0, 0.3]])
    answers = decide(Task.EXPR, values_MC, Fit(1, {"p_anger": 0.5}), EDITION)
    assert answers["expression"].tolist() == [1, 0], "0.3 e^0.5 is above 0.4, 0.2 e^0.5 below 0.5"


def test_only_labelled_frames_with_a_face_are_fitted_and_without_any_the_score_is_below_all() -> None:
    valence_N = np.array([0.1, 0.2, NAN, 0.4])
    truth_N = np.array([0.5, NAN, 0.5, 0.6])
    frames = _frames(
        Task.VA, np.stack([valence_N, valence_N], axis=1), {"valence": truth_N, "arousal": truth_N}, recordings=4
    )
    assert frames.values_MC[1].tolist() == [[0.1, 0.1], [0.4, 0.4]]
    assert frames.take(np.array([1])).recording_M.tolist() == [3]
    assert frames.take(np.array([1])).score(Fit()) == -np.inf


def test_a_class_that_is_never_said_gets_its_bias() -> None:
    random = np.random.default_rng(3)
    classes_N = random.integers(7, size=700)
    values_NC = random.dirichlet(np.ones(7), size=700) * 0.1 + 0.5 * np.eye(7)[classes_N]
    values_NC[:, 3] /= 20
    values_NC /= values_NC.sum(axis=1, keepdims=True)
    frames = _frames(Task.EXPR, values_NC, {"expression": classes_N * 1.0}, 5)
    fit = fit_task(frames, smooths=False)
    assert max(fit.decision, key=lambda name: fit.decision[name]) == "p_fear"
    assert frames.score(fit) > frames.score(Fit()) + 0.05
    steps = [trial.steps for trial in cross_fit(frames)]
    assert steps == [("smoothing",), ("class bias",), ("smoothing", "class bias")]


@pytest.mark.slow
def test_on_noise_a_fit_flatters_where_it_was_fitted_and_not_where_it_was_not() -> None:
    in_sample, cross_fitted = [], []
    for seed in range(4):
        frames = _guessed_expressions(seed)
        in_sample.append(frames.score(fit_task(frames, smooths=False)) - frames.score(Fit()))
        cross_fitted.append(cross_fit(frames)[1].gain.value)
    assert np.mean(in_sample) > 0.03
    assert np.mean(cross_fitted) < 0.25 * np.mean(in_sample)


def test_a_part_is_never_answered_with_what_its_own_labels_say() -> None:
    frames, recording = _shy_units(), 2
    own_M = frames.recording_M == recording
    lies = {name: np.where(own_M, 1 - column_M, column_M) for name, column_M in frames.truth.items()}
    part = deal(frames.recording_M, 5, 0)[own_M][0]
    honest, lied_to = cross_fit(frames)[1], cross_fit(replace(frames, truth=lies))[1]
    assert lied_to.fits[part] == honest.fits[part]
    assert [fit for fit in lied_to.fits if fit not in honest.fits], "the lies are seen by the other parts"


def test_a_recording_is_in_one_part_and_the_parts_are_as_many_as_they_can_be() -> None:
    recording_M = np.repeat([4, 9, 2, 7, 5, 1, 3], [5, 1, 9, 3, 2, 2, 6])
    fold_M = deal(recording_M, 5, seed=1)
    assert sorted(len(set(fold_M[recording_M == recording])) for recording in set(recording_M)) == [1] * 7
    assert sorted(len(set(recording_M[fold_M == fold])) for fold in set(fold_M)) == [1, 1, 1, 2, 2]
    assert sorted(set(deal(recording_M[:6], 5, seed=1))) == [0, 1]
    assert not np.array_equal(fold_M, deal(recording_M, 5, seed=2))


def test_one_recording_cannot_be_parted_and_nothing_is_fitted() -> None:
    frames = _noisy_valence(recordings=1)
    assert cross_fit(frames) == []
    assert fit_kept(frames, []) == Fit()
    nothing = frames.take(np.zeros(len(frames), bool))
    assert cross_fit(nothing) == []
    no_arousal = _noisy_valence()
    no_arousal.truth["arousal"][:] = NAN
    assert cross_fit(no_arousal) == []


def test_what_is_kept_is_what_helped_and_no_other() -> None:
    frames = _noisy_valence()
    assert fit_kept(frames, cross_fit(frames)) == fit_task(frames)
    losses = [replace(trial, gain=Interval(-0.01, -0.02, 0.01)) for trial in cross_fit(frames)]
    assert fit_kept(frames, losses) == Fit()
    guesses = _guessed_expressions(1)
    gains = (Interval(value, value - 0.1, value + 0.1) for value in (-0.01, 0.02, 0.01))
    trials = [replace(trial, gain=gain) for trial, gain in zip(cross_fit(guesses), gains, strict=True)]
    assert fit_kept(guesses, trials) == fit_task(guesses, smooths=False)


@settings(max_examples=10)
@given(seed=st.integers(0, 999))
def test_nothing_fitted_gives_the_answers_and_scores_as_they_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [name for task in Task for name in value_columns(task, EDITION)]
    predicted = dict(zip(names, random.uniform(size=(len(names), 50)), strict=True))
    for column_N in predicted.values():
        column_N[7] = NAN
    track_index_N, frame_index_N = np.arange(50) // 25, np.arange(50) % 25
    answers = finish(predicted, {}, EDITION, track_index_N=track_index_N, frame_index_N=frame_index_N)
    assert all(np.isnan(column_N).tolist() == [row == 7 for row in range(50)] for column_N in answers.values())
    units = action_unit_columns(EDITION)
    truth = {name: random.integers(2, size=50) * 1.0 for name in ("valence", "arousal", "expression", *units)}
    classes_N = np.stack([predicted[name] for name in value_columns(Task.EXPR, EDITION)]).argmax(axis=0)
    said = {**predicted, "expression": np.where(np.isnan(predicted["valence"]), NAN, classes_N)}
    assert scores(answers, truth, EDITION) == scores(said, truth, EDITION)


def test_finished_answers_are_those_that_were_scored() -> None:
    random = np.random.default_rng(0)
    names = [name for task in Task for name in value_columns(task, EDITION)]
    predicted = dict(zip(names, random.uniform(size=(len(names), 60)), strict=True))
    where = {"track_index_N": np.arange(60) // 20, "frame_index_N": np.arange(60) % 20}
    truth = {name: random.integers(2, size=60) * 1.0 for name in ("expression", *action_unit_columns(EDITION))}
    fits = {Task.VA: Fit(5), Task.EXPR: Fit(5, {"p_fear": 1.0}), Task.AU: Fit(9, {"au4": 0.1})}
    answers = finish(predicted, fits, EDITION, **where)
    for task in (Task.EXPR, Task.AU):
        frames = task_frames(task, predicted, truth, **where, recording_N=where["track_index_N"], edition=EDITION)
        for name, column_M in frames.answers(fits[task]).items():
            np.testing.assert_array_equal(answers[name], column_M)


def test_labels_stand_beside_the_answers_of_their_frames(tmp_path: Path) -> None:
    files, labels = learnable_store(tmp_path)
    labelled = labelled_frames(files, labels, split=Split.TRAIN, edition=EDITION, frame_step=2)

    def predicted_of(file: Path) -> tuple[NDArray[np.int64], dict[str, Floats]]:
        frame_index_N = np.arange(24)
        names = [name for task in Task for name in value_columns(task, EDITION)]
        return frame_index_N, dict.fromkeys(names, int(file.stem[-1]) + frame_index_N**2 / 1000)

    found = frames_to_fit(labelled, predicted_of, {f"video{n}": f"recording{n}" for n in range(3)})
    for task in Task:
        values_MC = found[task].values_MC[1]
        np.testing.assert_allclose(values_MC[:, 0], [n + frame**2 / 1000 for n in (0, 1) for frame in range(0, 24, 2)])
        assert found[task].recording_M.tolist() == [0] * 12 + [1] * 12
        for name, column_M in found[task].truth.items():
            np.testing.assert_array_equal(column_M, labelled.truth()[name])
    # Frame 2 is averaged with its neighbours, those without a label too.
    assert found[Task.VA].values_MC[5][1, 0] == pytest.approx((0 + 1 + 4 + 9 + 16) / 5000)

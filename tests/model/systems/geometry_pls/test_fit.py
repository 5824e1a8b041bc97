"""The fit: partial least squares as by hand, on the right frames, with components chosen on held-out groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError
from support.face_shapes import face_shapes

from model.scores.metrics import ccc
from model.systems.geometry_pls.fit import fit
from model.systems.geometry_pls.network import LinearMap
from model.systems.geometry_pls.settings import MOST_COMPONENTS, GeometrySettings
from model.systems.geometry_pls.shape import distances

SHAPES = face_shapes(60)
GROUPS = np.repeat(["a", "b", "c"], 20)
TWO = GeometrySettings(components=(2,))


def labels_of(points_NP3: np.ndarray) -> np.ndarray:
    """Valence and arousal that follow two distances, with some noise."""
    distances_ND = distances(points_NP3)
    told_N2 = (distances_ND - distances_ND.mean(0))[:, [5, 700]] * 12
    noise_N2 = np.random.default_rng(1).normal(scale=0.02, size=told_N2.shape)
    labels_N2: np.ndarray = (told_N2 + noise_N2).clip(-1, 1).astype(np.float32)
    return labels_N2


LABELS = labels_of(SHAPES)


def answers(found: LinearMap, points_NP3: np.ndarray) -> np.ndarray:
    return (distances(points_NP3) - found.mean_D) @ found.coefficients_D2 + found.intercept_2


def nipals(inputs_ND: np.ndarray, targets_N2: np.ndarray, components: int) -> np.ndarray:
    """The fitted answers of partial least squares with two targets, by Wold's iteration."""
    x, y = (inputs_ND - inputs_ND.mean(0)) / inputs_ND.std(0), targets_N2 - targets_N2.mean(0)
    rest_ND, fitted_N2 = x.copy(), np.zeros_like(y)
    for _ in range(components):
        u_N = y[:, 0]
        for _ in range(1000):
            w_D = rest_ND.T @ u_N
            w_D /= np.linalg.norm(w_D)
            t_N = rest_ND @ w_D
            q_2 = y.T @ t_N / (t_N @ t_N)
            u_N = y @ q_2 / (q_2 @ q_2)
        rest_ND = rest_ND - np.outer(t_N, rest_ND.T @ t_N / (t_N @ t_N))
        fitted_N2 += np.outer(t_N, q_2)
        y = y - np.outer(t_N, q_2)
    answers_N2: np.ndarray = fitted_N2 + targets_N2.mean(0)
    return answers_N2


@pytest.mark.parametrize("components", [1, 2])
def test_the_map_is_that_of_the_direct_iteration(components: int) -> None:
    found = fit(SHAPES, LABELS, GROUPS, GeometrySettings(components=(components,)))
    expected_N2 = nipals(distances(SHAPES).astype(np.float64), LABELS.astype(np.float64), components)
    np.testing.assert_allclose(answers(found, SHAPES), expected_N2, atol=1e-3)
    assert np.abs(expected_N2 - LABELS.mean(0)).max() > 0.1
    assert (found.components, found.cross_validated) == (components, {})
    assert {found.mean_D.dtype, found.coefficients_D2.dtype, found.intercept_2.dtype} == {np.dtype(np.float32)}


def test_frames_without_points_or_a_label_have_no_effect() -> None:
    points_NP3, labels_N2 = np.concatenate([SHAPES, SHAPES[:3]]), np.concatenate([LABELS, LABELS[:3]])
    points_NP3[60], labels_N2[61, 0], labels_N2[62, 1] = np.nan, np.nan, np.nan
    found = fit(points_NP3, labels_N2, np.concatenate([GROUPS, GROUPS[:3]]), TWO)
    np.testing.assert_array_equal(found.coefficients_D2, fit(SHAPES, LABELS, GROUPS, TWO).coefficients_D2)


def grouped_scores(numbers: Sequence[int]) -> dict[int, float]:
    """The mean CCC by a fit to all groups but one, for each of them."""
    scores = {}
    for number in numbers:
        held_out_N2 = np.empty((60, 2))
        for group in "abc":
            train_N = group != GROUPS
            found = fit(SHAPES[train_N], LABELS[train_N], GROUPS[train_N], GeometrySettings(components=(number,)))
            held_out_N2[~train_N] = answers(found, SHAPES[~train_N]).clip(-1, 1)
        scores[number] = float(np.mean([ccc(held_out_N2[:, k], LABELS[:, k].astype(np.float64)) for k in (0, 1)]))
    return scores


def test_the_number_of_components_is_that_with_the_best_score_on_held_out_groups() -> None:
    expected = grouped_scores((1, 2, 8))
    found = fit(SHAPES, LABELS, GROUPS, GeometrySettings(components=(8, 1, 2)))
    assert found.cross_validated == pytest.approx(expected, abs=1e-3)
    assert found.components == max(expected, key=expected.__getitem__)
    alone = fit(SHAPES, LABELS, GROUPS, GeometrySettings(components=(found.components,)))
    np.testing.assert_array_equal(found.coefficients_D2, alone.coefficients_D2)


def test_a_group_that_only_repeats_itself_does_not_choose_more_components() -> None:
    """Each group's frames are copies of one face with a label of its own: more components only learn them by heart."""
    points_NP3 = np.repeat(face_shapes(12), 5, axis=0)
    labels_N2 = np.repeat(np.random.default_rng(3).uniform(-1, 1, (12, 2)), 5, axis=0).astype(np.float32)
    groups_N = np.repeat(np.arange(12), 5)
    found = fit(points_NP3, labels_N2, groups_N, GeometrySettings(components=(1, 8), folds=12))
    by_heart_N2 = answers(fit(points_NP3, labels_N2, groups_N, GeometrySettings(components=(8,))), points_NP3)
    by_heart = min(float(ccc(by_heart_N2[:, k], labels_N2[:, k])) for k in (0, 1))
    assert by_heart > 0.9
    assert max(found.cross_validated.values()) < 0.5


def test_of_many_faces_some_are_drawn_by_the_seed() -> None:
    few = GeometrySettings(components=(2,), most_faces=30)
    found = [fit(SHAPES, LABELS, GROUPS, few.but(seed=seed)).mean_D for seed in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    kept_N = np.random.default_rng(0).choice(60, 30, replace=False)
    np.testing.assert_allclose(found[0], distances(SHAPES[kept_N]).mean(0), atol=1e-6)
    everything = fit(SHAPES, LABELS, GROUPS, TWO.but(most_faces=60))
    np.testing.assert_allclose(everything.mean_D, distances(SHAPES).mean(0), atol=1e-6)


def test_a_distance_that_never_changes_has_no_weight() -> None:
    points_NP3 = SHAPES.copy()
    points_NP3[:, 66] = points_NP3[:, 67]
    found = fit(points_NP3, LABELS, GROUPS, TWO)
    assert np.ptp(distances(points_NP3), axis=0)[-1] == 0
    assert found.coefficients_D2[-1].tolist() == [0, 0]
    assert np.isfinite(found.coefficients_D2).all()


def test_labels_that_never_change_are_refused() -> None:
    labels_N2 = LABELS.copy()
    labels_N2[:, 1] = 0.5
    with pytest.raises(ValueError, match=r"arousal: expected frames with a face and .* found 60 frames with 1"):
        fit(SHAPES, labels_N2, GROUPS, TWO)
    with pytest.raises(ValueError, match=r"valence: expected .* found 0 frames with 0"):
        fit(SHAPES, np.full_like(labels_N2, np.nan), GROUPS, TWO)


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"31 components need more than 31 frames .*, found 31; set fewer components"):
        fit(SHAPES[:31], LABELS[:31], GROUPS[:31], GeometrySettings(components=(31,)))


def test_one_group_cannot_choose() -> None:
    with pytest.raises(ValueError, match=r"expected frames of at least two groups, .* found 1; set a single number"):
        fit(SHAPES, LABELS, np.zeros(60), GeometrySettings(components=(1, 2)))


@pytest.mark.parametrize(
    "wrong", [{"components": ()}, {"components": (0,)}, {"components": (32,)}, {"folds": 1}, {"most_faces": 1}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GeometrySettings.model_validate(wrong)
    assert max(GeometrySettings().components) == MOST_COMPONENTS == 31

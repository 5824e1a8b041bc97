"""Fits the linear map from distances to valence and arousal, by partial least squares.

Source: NIPALS with two targets (Wold 1975), as in scikit-learn. Shapes: N frames, P points, D distances, K components;
2 is valence and arousal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.cross_decomposition import PLSRegression
from sklearn.model_selection import GroupKFold

from model.scores.metrics import ccc
from model.systems.geometry_pls.network import LinearMap
from model.systems.geometry_pls.settings import GeometrySettings
from model.systems.geometry_pls.shape import Floats, distances

_MOST_ITERATIONS = 2000
"""Of the power iteration for one component; it converges before that."""


def fit(points_NP3: Floats, labels_N2: Floats, groups_N: NDArray[np.generic], settings: GeometrySettings) -> LinearMap:
    """Fits the map to the frames that have points, valence and arousal; the others are left out.

    The number of components is the one with the highest mean CCC on held-out groups, pooled over all of them; of equal
    ones, the smallest.

    Args:
        points_NP3: As `data.landmarks.kept` stores them; NaN where there is no face.
        labels_N2: Valence and arousal; NaN is missing.
        groups_N: The person or the video of each frame: none is in two parts of the cross-validation.
        settings: Steers the fit.

    Raises:
        ValueError: There are too few frames, valence or arousal never changes, or there is one group and several
            numbers of components.
    """
    kept_N = _chosen(points_NP3, labels_N2, settings)
    distances_ND = distances(points_NP3[kept_N])
    targets_N2 = labels_N2[kept_N].astype(np.float64)
    is_choice = len(settings.components) > 1
    scores = _cross_validated(distances_ND, targets_N2, groups_N[kept_N], settings) if is_choice else {}
    components = max(sorted(scores), key=scores.__getitem__) if scores else settings.components[0]
    chosen = _maps(distances_ND, targets_N2, [components])[components]
    mean_D, coefficients_D2, intercept_2 = (part.astype(np.float32) for part in chosen)
    return LinearMap(mean_D, coefficients_D2, intercept_2, components, scores)


def _chosen(points_NP3: Floats, labels_N2: Floats, settings: GeometrySettings) -> NDArray[np.int64]:
    """The frames to fit to, ascending."""
    is_complete_N = ~(np.isnan(points_NP3).any((1, 2)) | np.isnan(labels_N2).any(1))
    kept_N = np.flatnonzero(is_complete_N)
    for name, values_N in zip(("valence", "arousal"), labels_N2[kept_N].T, strict=True):
        if len(np.unique(values_N)) < 2:
            found = f"{len(kept_N)} frames with {len(np.unique(values_N))}"
            raise ValueError(f"{name}: expected frames with a face and at least two different values, found {found}")
    if len(kept_N) > settings.most_faces:
        drawn = np.random.default_rng(settings.seed).choice(kept_N, settings.most_faces, replace=False)
        kept_N = np.sort(drawn)
    return kept_N


def _cross_validated(
    distances_ND: Floats, labels_N2: NDArray[np.float64], groups_N: NDArray[np.generic], settings: GeometrySettings
) -> dict[int, float]:
    """The mean CCC on held-out groups, by number of components."""
    num_groups = len(np.unique(groups_N))
    if num_groups < 2:
        raise ValueError(
            "expected frames of at least two groups, to choose the number of components on held-out ones, found "
            f"{num_groups}; set a single number of components"
        )
    held_out = {number: np.empty_like(labels_N2) for number in settings.components}
    for train, test in GroupKFold(min(settings.folds, num_groups)).split(distances_ND, groups=groups_N):
        for number, (mean_D, coefficients_D2, intercept_2) in _maps(
            distances_ND[train], labels_N2[train], settings.components
        ).items():
            answers = (distances_ND[test] - mean_D) @ coefficients_D2 + intercept_2
            held_out[number][test] = answers.clip(-1, 1)  # as they are scored
    return {
        number: float(np.mean([ccc(answers_N2[:, column], labels_N2[:, column]) for column in (0, 1)]))
        for number, answers_N2 in held_out.items()
    }


Map = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _maps(distances_ND: Floats, labels_N2: NDArray[np.float64], numbers: list[int] | tuple[int, ...]) -> dict[int, Map]:
    """Mean, coefficients and intercept for each number of components. One fit gives all: each extends the smaller."""
    most = max(numbers)
    if len(distances_ND) <= most:
        raise ValueError(
            f"{most} components need more than {most} frames with a face, valence and arousal in each part of the "
            f"cross-validation, found {len(distances_ND)}; set fewer components"
        )
    mean_D, spread_D = distances_ND.mean(0, dtype=np.float64), distances_ND.std(0, dtype=np.float64)
    spread_D[spread_D == 0] = 1
    pls = PLSRegression(most, scale=False, max_iter=_MOST_ITERATIONS)
    pls.fit((distances_ND - mean_D) / spread_D, labels_N2)
    intercept_2 = labels_N2.mean(0)
    return {
        number: (mean_D, pls.x_rotations_[:, :number] @ pls.y_loadings_[:, :number].T / spread_D[:, None], intercept_2)
        for number in numbers
    }

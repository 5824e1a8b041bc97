"""Points of faces without pictures: a plausible head with random differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.landmarks.mesh import find_points
from data.landmarks.points import INDICES
from support.aligned import aligned_face, as_batch


def face_shapes(number: int, seed: int = 0, spread_px: float = 2.0) -> NDArray[np.float32]:
    """The points of the drawn face, `(number, P, 3)`, each moved by noise of this standard deviation."""
    points_P3 = find_points(as_batch(aligned_face())).points_BP3[0, INDICES]
    noise_NP3 = np.random.default_rng(seed).normal(scale=spread_px, size=(number, *points_P3.shape))
    shapes_NP3: NDArray[np.float32] = (points_P3 + noise_NP3).astype(np.float32)
    return shapes_NP3

"""Answers with the fitted map: finds the points of a face, and maps their distances to valence and arousal.

Letters: B faces, C channels, H height, W width, P points, D distances, T tasks (`data.labels.Task`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data.labels import Task
from data.landmarks.mesh import find_points
from data.landmarks.points import INDICES
from model.network import Network, Outputs, missing
from model.systems.geometry_pls.shape import NUM_DISTANCES, Floats, distances


@dataclass(frozen=True, eq=False)
class LinearMap:
    """Valence and arousal are `(distances_ND - mean_D) @ coefficients_D2 + intercept_2`, unclipped."""

    mean_D: Floats
    coefficients_D2: Floats
    intercept_2: Floats
    components: int
    cross_validated: dict[int, float]
    """The mean CCC of valence and arousal on held-out groups, by number of components; empty if there was no choice."""


class GeometryPls(Network):
    """A linear map of distances between points of the face, in buffers; there is nothing to train by gradients.

    A new one answers 0 until `take` gives it a map. Points are found on the CPU, on one core.
    """

    tasks = frozenset({Task.VA})
    mean_D: Tensor
    coefficients_D2: Tensor
    intercept_2: Tensor

    def __init__(self, *, num_units: int, num_expressions: int) -> None:
        super().__init__()
        self._num_units = num_units
        self._num_expressions = num_expressions
        self.register_buffer("mean_D", torch.zeros(NUM_DISTANCES))
        self.register_buffer("coefficients_D2", torch.zeros(NUM_DISTANCES, 2))
        self.register_buffer("intercept_2", torch.zeros(2))
        self.log_sigma_T = nn.Parameter(torch.ones(len(Task)))

    @property
    def answering(self) -> list[Tensor]:
        return [self.mean_D, self.coefficients_D2, self.intercept_2]

    def take(self, found: LinearMap) -> None:
        """Answers with this map from now on."""
        for name in ("mean_D", "coefficients_D2", "intercept_2"):
            getattr(self, name).copy_(torch.from_numpy(getattr(found, name)))

    def forward(self, faces_BCHW: Tensor) -> Outputs:
        """`faces_BCHW`: RGB in [-1, 1], 112 x 112.

        Raises:
            ModuleNotFoundError: What finds the points is not installed; the message says how to get it.
        """
        found = find_points(faces_BCHW.detach().float().cpu().numpy())
        return self.answer_points(torch.from_numpy(found.points_BP3[:, INDICES]))

    def answer_points(self, points_BP3: Tensor) -> Outputs:
        """The outputs for points as `data.landmarks.kept` stores them; NaN for those of a frame without a face."""
        distances_BD = torch.from_numpy(distances(points_BP3.cpu().numpy())).to(self.mean_D)
        valence_arousal_B2 = (distances_BD - self.mean_D) @ self.coefficients_D2 + self.intercept_2
        units_BU, expressions_BE = (missing(valence_arousal_B2, n) for n in (self._num_units, self._num_expressions))
        return Outputs(valence_arousal_B2, units_BU, expressions_BE)

"""MTANet with the weights of the student's losses; and a network that sees faces in a mirror."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from model.network import Network, Outputs
from model.systems.mtanet.network import MTANet


class Student(MTANet):
    """MTANet, which remembers how it learns from its teacher."""

    def __init__(
        self, *, temperature: float = 1.5, distillation: float = 0.4, filled_weight: float = 0.5, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.temperature = temperature
        self.distillation = distillation
        self.filled_weight = filled_weight


class Mirrored(Network):
    """Answers for the mirrored faces."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.tasks = network.tasks

    def forward(self, faces_BCHW: Tensor) -> Outputs:
        found: Outputs = self.network(faces_BCHW.flip(3))
        return found

"""The networks of the system, as one: a single checkpoint resumes them all, and the encoder alone answers.

Letters: B faces, C channels, H height, W width, E expressions, T tasks (`data.labels.Task`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from data.labels import Task
from model.network import Network, Outputs, missing
from model.systems.noisy_labels.decoder import Decoder
from model.systems.noisy_labels.discriminators import Discriminators
from model.systems.noisy_labels.encoder import Code, Encoder
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture


class NoisyLabels(Network):
    """Encoder, decoder and discriminators. `settings` are those of `NoisyLabelsArchitecture`, by keyword."""

    tasks = frozenset({Task.VA, Task.EXPR})

    def __init__(self, *, num_units: int, num_expressions: int, **settings: Any) -> None:
        super().__init__()
        self.settings = NoisyLabelsArchitecture.model_validate(settings)
        self.num_expressions = num_expressions
        self._num_units = num_units
        self.encoder = Encoder(self.settings, num_expressions)
        self.decoder = Decoder(self.settings, num_expressions)
        self.discriminators = Discriminators(self.settings, num_expressions)
        self.log_sigma_T = nn.Parameter(torch.ones(len(Task)))

    def forward(self, faces_BCHW: Tensor) -> Outputs:
        """`faces_BCHW`: RGB in [-1, 1], 112 x 112."""
        return self.outputs(self.encoder(self.shrunk(faces_BCHW)))

    def outputs(self, code: Code) -> Outputs:
        """The answers in a code, none of which depend on the latent part."""
        return Outputs(code.valence_arousal_B2, missing(code.expression_BE, self._num_units), code.expression_BE)

    @property
    def answering(self) -> list[Tensor]:
        return list(self.encoder.parameters())

    def shrunk(self, faces_BCHW: Tensor) -> Tensor:
        """The faces with the side of the settings, antialiased; values stay in [-1, 1]."""
        side = (self.settings.side_px, self.settings.side_px)
        return functional.interpolate(faces_BCHW, side, mode="bilinear", antialias=True)


def noisy_labels(network: Network) -> NoisyLabels:
    """The network, for what needs its encoder, decoder or discriminators.

    Raises:
        ValueError: It is that of another system.
    """
    if not isinstance(network, NoisyLabels):
        raise ValueError(f"expected the network of the system noisy_labels, found {type(network).__name__}")
    return network

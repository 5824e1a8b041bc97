"""The network for other programs: faces in, one tensor of answers out, ready for `torch.export`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data.labels import EXPRESSIONS, Edition, action_unit_columns
from model.network import MTANet


class Answers(nn.Module):
    """`faces_BCHW` (RGB in [-1, 1], 112 x 112) to `answers_BK`, whose K columns `answer_names` names."""

    def __init__(self, network: MTANet) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces_BCHW: Tensor) -> Tensor:
        outputs = self.network(faces_BCHW)
        valence_arousal_B2 = outputs.valence_arousal_B2.clamp(-1, 1)
        return torch.cat(
            [valence_arousal_B2, outputs.expression_BE.softmax(1), outputs.action_units_BU.sigmoid()], dim=1
        )


def answer_names(edition: Edition) -> list[str]:
    """Valence, arousal, a probability for each expression and each action unit, as in the predictions' shards."""
    return ["valence", "arousal", *(f"p_{name}" for name in EXPRESSIONS[edition]), *action_unit_columns(edition)]

"""The temporal head: predicts each frame of a track from the features of the frames before and after it.

Letters: B windows or tracks, T frames of each, C features, N rows of one track, W channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data.labels import ACTION_UNITS, EXPRESSIONS, Edition
from model.answers import as_columns
from model.network import Outputs
from model.temporal.settings import TemporalArchitecture

KERNEL = 5
DILATIONS = (1, 2, 4, 8)
"""Together they see 30 frames to either side."""


class _Convolutions(nn.Module):
    """Residual convolutions, each with twice the dilation of the one before; frames without a face stay zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, KERNEL, padding="same", dilation=dilation, groups=width),
                nn.Conv1d(width, width, 1),
                nn.GELU(),
            )
            for dilation in DILATIONS
        )

    def forward(self, x_BTW: Tensor, has_face_BT1: Tensor) -> Tensor:
        x_BWT, has_face_B1T = x_BTW.transpose(1, 2), has_face_BT1.transpose(1, 2)
        for block in self.blocks:
            x_BWT = (x_BWT + block(x_BWT)) * has_face_B1T
        return x_BWT.transpose(1, 2)


class _Recurrence(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)

    def forward(self, x_BTW: Tensor, has_face_BT1: Tensor) -> Tensor:
        del has_face_BT1  # not needed: the input of a frame without a face is already zero
        y_BTW: Tensor = self.gru(x_BTW)[0]
        return y_BTW


class TemporalHead(nn.Module):
    """Predicts the network's three tasks from its features over time; not causal.

    `mean_C` and `scale_C` are the mean and standard deviation of the training features, set before training. In
    training, noise with that standard deviation is added, because features of frames that the network was trained on
    are cleaner than those of new frames.
    """

    mean_C: Tensor
    scale_C: Tensor

    def __init__(
        self, *, num_features: int, num_units: int, num_expressions: int, architecture: TemporalArchitecture
    ) -> None:
        super().__init__()
        self.architecture = architecture
        width = architecture.width
        self.register_buffer("mean_C", torch.zeros(num_features))
        self.register_buffer("scale_C", torch.ones(num_features))
        self.dropout = nn.Dropout(architecture.dropout)
        self.project = nn.Linear(num_features, width)
        is_conv = architecture.kind == "conv"
        self.over_time: nn.Module = _Convolutions(width) if is_conv else _Recurrence(width)
        mixed = width if is_conv else 2 * width
        self.valence_arousal = nn.Linear(mixed, 2)
        self.action_units = nn.Linear(mixed, num_units)
        self.expression = nn.Linear(mixed, num_expressions)

    def forward(self, features_BTC: Tensor) -> Outputs:
        """Outputs of leading shape B, T. A frame with NaN features has no face; ignore its outputs."""
        has_face_BT1 = ~features_BTC[..., :1].isnan()
        x_BTC = (features_BTC.nan_to_num() - self.mean_C) / self.scale_C
        if self.training:
            x_BTC = self.dropout(x_BTC + torch.randn_like(x_BTC))
        y_BTW = self.over_time(torch.relu(self.project(x_BTC)) * has_face_BT1, has_face_BT1)
        return Outputs(self.valence_arousal(y_BTW), self.action_units(y_BTW), self.expression(y_BTW))


def build_head(edition: Edition, num_features: int, architecture: TemporalArchitecture) -> TemporalHead:
    """A new head for an edition's action units and expressions, with random weights from torch's generator."""
    return TemporalHead(
        num_features=num_features,
        num_units=len(ACTION_UNITS[edition]),
        num_expressions=len(EXPRESSIONS[edition]),
        architecture=architecture,
    )


def answer_track(head: TemporalHead, features_NC: Tensor, edition: Edition) -> dict[str, Tensor]:
    """The columns of `model.answers` for every frame of a track in order; NaN where there is no face.

    Args:
        head: In eval mode.
        features_NC: One row per frame, NaN where there is no face.
        edition: The edition that the head was built for.
    """
    has_face_N = ~features_NC[:, 0].isnan()
    columns: dict[str, Tensor] = {}
    for phase in range(min(head.architecture.frame_step, len(features_NC))):
        steps = slice(phase, None, head.architecture.frame_step)
        outputs = head(features_NC[None, steps])
        flat = Outputs(outputs.valence_arousal_B2[0], outputs.action_units_BU[0], outputs.expression_BE[0])
        for name, values_T in as_columns(flat, edition).items():
            columns.setdefault(name, values_T.new_empty(len(features_NC), dtype=torch.float32))[steps] = (
                values_T.float()
            )
    return {name: torch.where(has_face_N, values_N, torch.nan) for name, values_N in columns.items()}

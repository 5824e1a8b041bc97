"""Architecture and learning settings of the temporal head."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from data.settings import Settings
from model.training.learning import Learning


class TemporalArchitecture(Settings):
    """`width` channels of convolutions over time (`conv`), or of a GRU in each direction (`gru`)."""

    kind: Literal["conv", "gru"] = "conv"
    """Convolutions over time, or a GRU in each direction."""
    width: Annotated[int, Field(ge=8, le=1024)] = 64
    """Channels of the convolutions, or of the GRU in each direction."""
    frame_step: Annotated[int, Field(ge=1, le=100)] = 1
    """Read every k-th frame, so that the head sees k times further; every frame still gets a prediction."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the features set to zero in training."""


class TemporalLearning(Settings):
    """AdamW with a warm-up and cosine decay; the loss is the plain sum of the three task losses."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 40
    """Passes over the training tracks."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    """Highest learning rate of the schedule: AdamW with a warm-up, then cosine decay to 0."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    """Applied to every parameter."""
    window: Annotated[int, Field(ge=2, le=4096)] = 64
    """Frames per window; a window is a stretch of one track."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 8
    """Windows per step."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed for the weights, the windows and the noise."""

    @property
    def schedule(self) -> Learning:
        return Learning(optimiser="adamw", epochs=self.epochs, learning_rate=self.learning_rate)

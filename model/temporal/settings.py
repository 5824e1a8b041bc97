"""The size of the head over time, and how it learns."""

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
    """Its channels."""
    frame_step: Annotated[int, Field(ge=1, le=100)] = 1
    """It looks at every k-th frame, and so k times further; every frame is answered."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the features set to zero in training."""


class TemporalLearning(Settings):
    """AdamW with a warm-up and a cosine; the loss is the plain sum of the three tasks'."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 40
    """Passes over the training tracks."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    """The highest rate of the schedule: AdamW with a warm-up, then a cosine to zero."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    """On every parameter."""
    window: Annotated[int, Field(ge=2, le=4096)] = 64
    """Frames of a track that are learned from together."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 8
    """Windows in a step."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the weights, the windows and the noise."""

    @property
    def schedule(self) -> Learning:
        return Learning(optimiser="adamw", epochs=self.epochs, learning_rate=self.learning_rate)

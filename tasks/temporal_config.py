"""The knobs of the head over time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tasks.knobs import Knobs


class TemporalConfig(Knobs):
    """A head that reads the trained network's features over time and answers in its place."""

    kind: Literal["conv", "gru"] = "conv"
    """Convolutions over time, or a GRU in each direction."""
    width: Annotated[int, Field(ge=8, le=1024)] = 64
    """Its channels."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the features set to zero in training."""
    frame_step: Annotated[int, Field(ge=1, le=100)] = 1
    """It looks at every k-th frame, and so k times further; every frame is answered."""
    window: Annotated[int, Field(ge=2, le=4096)] = 64
    """Frames of a track that are learned from together."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 40
    """Passes over the training tracks."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 8
    """Windows in a step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    """The highest rate of the schedule: AdamW with a warm-up, then a cosine to zero."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    """On every parameter."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the weights, the windows and the noise."""

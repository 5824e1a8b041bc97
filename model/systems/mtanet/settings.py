"""The size of the network, and what its trunk starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from data.settings import Settings


class Architecture(Settings):
    """The defaults are the paper's; smaller `layers` and `width` give a smaller trunk."""

    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    """Number of bottlenecks in each of the trunk's four stages."""
    width: Annotated[int, Field(ge=8, le=128, multiple_of=8)] = 64
    """Channels of the trunk's stem; the outputs of the stages have 4, 8, 16 and 32 times as many."""
    neck: Annotated[int, Field(ge=8, le=1024)] = 512
    """Channels of each of the neck's two branches."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the neck's inputs that dropout zeroes in training."""


class Pretrained(Settings):
    """Weights to start from."""

    pretrained: Path | None = None
    """Weights of the public VGGFace2 SE-ResNet-50 that the trunk starts from: see docs/pretrained.md."""

"""The size of the network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from data.settings import Settings


class ExprCnnArchitecture(Settings):
    """The defaults are the published ones (arXiv 2010.01301)."""

    filters: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Filters of the convolutions of each of the four stages."""
    dense: tuple[int, int] = (512, 256)
    """Units of the two hidden layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of the inputs that dropout zeroes in training, after each stage and each hidden layer."""

"""The settings of the fit. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from data.settings import Settings

MOST_COMPONENTS = 31
"""As published."""


class GeometrySettings(Settings):
    """How the linear map is fitted."""

    components: Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_COMPONENTS)], ...], Field(min_length=1)] = (
        *(5, 10, 15, 20, 25),
        MOST_COMPONENTS,
    )
    """Numbers of components to choose from, by cross-validation over groups of training frames; a single one is taken
    without that."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Parts of the cross-validation; fewer if there are fewer groups."""
    most_faces: Annotated[int, Field(ge=2)] = 50_000
    """Training faces at most; if there are more, this many are drawn."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of that draw."""

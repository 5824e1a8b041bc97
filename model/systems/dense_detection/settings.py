"""The size of the network, the windows and their weight in the loss."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from model.systems.mtanet.settings import Architecture


class DenseDetectionArchitecture(Architecture):
    """MTANet's, and the detector's."""

    window_px: Annotated[float, Field(gt=0, le=112)] = 32.0
    """Side of a detector's window, in px of the face; the centres of windows are 16 px apart."""
    window_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the detector's loss beside the weighted losses of the tasks."""

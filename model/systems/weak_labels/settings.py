"""The size of the network, and what the teacher's answers count."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from data.settings import Settings
from model.systems.mtanet.settings import Architecture


class WeakLabelsArchitecture(Architecture):
    """MTANet's, and the student's: temperature and share of the distillation are those of the ABAW 2020 winner."""

    temperature: Annotated[float, Field(gt=0, le=20)] = 1.5
    """By which the logits of teacher and student are divided before they are compared."""
    distillation: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Share of the distance from the teacher in each task's loss; the labels have the rest."""
    filled_weight: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Weight of a filled label relative to one that was given."""


class Filling(Settings):
    """Which missing labels the teacher fills: those that it is sure of, after calibration on validation videos."""

    confidence: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """Smallest probability of a filled expression or of a filled presence or absence of an action unit."""
    valence_arousal_error: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Largest expected error of a filled valence or arousal."""

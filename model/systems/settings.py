"""The systems by name: their architecture's settings, and the tasks that they answer. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from data.labels import Task
from data.settings import Settings
from model.architecture import Architecture

SystemName = Literal["mtanet", "expr_cnn"]


class ExprCnnArchitecture(Settings):
    """The defaults are the published ones (arXiv 2010.01301)."""

    filters: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Filters of the convolutions of each of the four stages."""
    dense: tuple[int, int] = (512, 256)
    """Units of the two hidden layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of the inputs that dropout zeroes in training, after each stage and each hidden layer."""


AnyArchitecture = Architecture | ExprCnnArchitecture


@dataclass(frozen=True)
class System:
    """A system as the flows know it."""

    name: SystemName
    architecture: type[AnyArchitecture]
    tasks: tuple[Task, ...]


SYSTEMS = {
    system.name: system
    for system in (
        System("mtanet", Architecture, tuple(Task)),
        System("expr_cnn", ExprCnnArchitecture, (Task.EXPR,)),
    )
}


def system_of(architecture: AnyArchitecture) -> System:
    """The system whose architecture this is."""
    return next(system for system in SYSTEMS.values() if type(architecture) is system.architecture)

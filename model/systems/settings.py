"""The systems by name: their own settings, and the tasks that they answer. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.labels import Task
from data.settings import Settings
from model.systems.dense_detection.settings import DenseDetectionArchitecture
from model.systems.expr_cnn.settings import ExprCnnArchitecture
from model.systems.mtanet.settings import Architecture, Pretrained


@dataclass(frozen=True)
class System:
    """A system as the flows know it; its folder in `model/systems/` has its name."""

    name: str
    settings: type[Settings]
    """Those from which its network is built."""
    tasks: tuple[Task, ...]
    further_settings: tuple[type[Settings], ...] = ()
    """Groups of settings of its training beyond those that all have."""
    learns: Literal["by epochs", "at once"] = "by epochs"


SYSTEMS = {
    system.name: system
    for system in (
        System("mtanet", Architecture, tuple(Task), (Pretrained,)),
        System("dense_detection", DenseDetectionArchitecture, tuple(Task), (Pretrained,)),
        System("expr_cnn", ExprCnnArchitecture, (Task.EXPR,)),
    )
}

"""The systems by name: their own settings, and the tasks that they answer. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.labels import Task
from data.settings import Settings
from model.systems.dense_detection.settings import DenseDetectionArchitecture
from model.systems.expr_cnn.settings import ExprCnnArchitecture
from model.systems.geometry_pls.settings import GeometrySettings
from model.systems.mtanet.settings import Architecture, Pretrained
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture
from model.systems.onnx_file.settings import OnnxSettings
from model.systems.weak_labels.settings import Filling, WeakLabelsArchitecture


@dataclass(frozen=True)
class System:
    """A system as the flows know it; its folder in `model/systems/` has its name."""

    name: str
    settings: type[Settings]
    """Those from which its network is built."""
    tasks: tuple[Task, ...]
    """Those that it answers; a network that learned elsewhere may answer fewer."""
    further_settings: tuple[type[Settings], ...] = ()
    """Groups of settings of its training beyond those that all have."""
    learns: Literal["by epochs", "at once", "elsewhere"] = "by epochs"
    needs: Literal["landmarks", "two label sets", "teacher", "points"] | None = None
    """What its training needs besides faces and labels: the five landmarks of each face; where labels are made wrong
    (`[corruption]`), a second set of them, made wrong independently; the answers of a trained MTANet; or 68 points of
    each face, to answer too.
    """


SYSTEMS = {
    system.name: system
    for system in (
        System("mtanet", Architecture, tuple(Task), (Pretrained,)),
        System("dense_detection", DenseDetectionArchitecture, tuple(Task), (Pretrained,), needs="landmarks"),
        System("expr_cnn", ExprCnnArchitecture, (Task.EXPR,)),
        System("geometry_pls", GeometrySettings, (Task.VA,), learns="at once", needs="points"),
        System("noisy_labels", NoisyLabelsArchitecture, (Task.VA, Task.EXPR), needs="two label sets"),
        System("onnx_file", OnnxSettings, tuple(Task), learns="elsewhere"),
        System("weak_labels", WeakLabelsArchitecture, tuple(Task), (Pretrained, Filling), needs="teacher"),
    )
}

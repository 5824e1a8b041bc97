"""The network's outputs as named columns, for shards and for serving."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from data.labels import EXPRESSIONS, Edition, Task, action_unit_columns
from model.network import Network, Outputs


def answer(network: Network, faces_BCHW: Tensor, edition: Edition) -> dict[str, Tensor]:
    """`valence` and `arousal` in [-1, 1], `expression` (number of the most likely class), a probability `p_<name>`
    for each expression and a probability `au<n>` for each action unit of the edition; those of the tasks that the
    network answers.

    Each has length B and is on the device of the faces.

    Args:
        network: In eval mode.
        faces_BCHW: RGB in [-1, 1], 112 x 112, as returned by `data.batches.loader`.
        edition: The edition that the network was built for.
    """
    return answered(network(faces_BCHW.contiguous(memory_format=torch.channels_last)), edition, network.tasks)


def answered(outputs: Outputs, edition: Edition, tasks: Collection[Task]) -> dict[str, Tensor]:
    """The columns of `answer` of some tasks, from a network's outputs."""
    names = {name for task in tasks for name in task_columns(task, edition)}
    return {name: values_B for name, values_B in as_columns(outputs, edition).items() if name in names}


def task_columns(task: Task, edition: Edition) -> tuple[str, ...]:
    """The columns of a task's answers."""
    return (*(("expression",) if task is Task.EXPR else ()), *value_columns(task, edition))


def value_columns(task: Task, edition: Edition) -> tuple[str, ...]:
    """The columns of a task's answers that can be averaged."""
    if task is Task.VA:
        return ("valence", "arousal")
    return tuple(f"p_{name}" for name in EXPRESSIONS[edition]) if task is Task.EXPR else action_unit_columns(edition)


def as_columns(outputs: Outputs, edition: Edition) -> dict[str, Tensor]:
    """The columns of `answer`, from the network's outputs."""
    valence_B, arousal_B = outputs.valence_arousal_B2.clamp(-1, 1).unbind(1)
    expressions = outputs.expression_BE.softmax(1).unbind(1)
    units = outputs.action_units_BU.sigmoid().unbind(1)
    return {
        "valence": valence_B,
        "arousal": arousal_B,
        "expression": outputs.expression_BE.argmax(1),
        **{f"p_{name}": values_B for name, values_B in zip(EXPRESSIONS[edition], expressions, strict=True)},
        **dict(zip(action_unit_columns(edition), units, strict=True)),
    }

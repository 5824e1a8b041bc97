"""What a batch costs each task, counting labelled values only, and how the three costs become one.

Letters: B faces, U action units, T tasks in the order of `data.labels.Task`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from data.batch import Batch
from data.labels import Task
from model.metrics import ccc, has_ccc
from model.network import Outputs

TaskWeights = Literal["learned", "equal"]


def valence_arousal_loss(predicted_B2: Tensor, target_B2: Tensor) -> Tensor | None:
    """1 - CCC, mean of valence and arousal; a dimension without two labels that differ is left out."""
    losses = []
    for predicted_B, target_B in zip(predicted_B2.unbind(1), target_B2.unbind(1), strict=True):
        labelled_B = ~target_B.isnan()
        if has_ccc(target_B[labelled_B]):
            losses.append(1 - ccc(predicted_B[labelled_B], target_B[labelled_B]))
    return torch.stack(losses).mean() if losses else None


def expression_loss(logits_BE: Tensor, target_B: Tensor) -> Tensor | None:
    """Cross-entropy, mean over the labelled rows."""
    labelled_B = ~target_B.isnan()
    if not labelled_B.any():
        return None
    return functional.cross_entropy(logits_BE[labelled_B], target_B[labelled_B].long())


def action_units_loss(logits_BU: Tensor, target_BU: Tensor) -> Tensor | None:
    """Binary cross-entropy, mean over the labelled values."""
    labelled_BU = ~target_BU.isnan()
    if not labelled_BU.any():
        return None
    return functional.binary_cross_entropy_with_logits(logits_BU[labelled_BU], target_BU[labelled_BU])


def task_losses(outputs: Outputs, batch: Batch) -> dict[Task, Tensor]:
    """The loss of each task that has a label in the batch; the others are not in the answer."""
    losses = {
        Task.VA: valence_arousal_loss(outputs.valence_arousal_B2, batch.valence_arousal_B2),
        Task.EXPR: expression_loss(outputs.expression_BE, batch.expression_B),
        Task.AU: action_units_loss(outputs.action_units_BU, batch.action_units_BU),
    }
    return {task: loss for task, loss in losses.items() if loss is not None}


def total_loss(losses: Mapping[Task, Tensor], log_sigma_T: Tensor, task_weights: TaskWeights) -> Tensor:
    """The sum over the tasks given: plain (`equal`), or of 0.5 (exp(-2 s) L + s^2) with the learned scalars s.

    0 without any task.

    Source: arXiv 2002.00606, after Kendall et al. (2018), with s^2 in the place of the logarithm.
    """
    total = log_sigma_T.sum() * 0
    for task, log_sigma in zip(Task, log_sigma_T.unbind(), strict=True):
        if task not in losses:
            continue
        if task_weights == "learned":
            total = total + 0.5 * (torch.exp(-2 * log_sigma) * losses[task] + log_sigma.square())
        else:
            total = total + losses[task]
    return total

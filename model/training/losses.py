"""The loss of each task on the labelled values of a batch, and the total loss.

Letters: B faces, U action units, T tasks in the order of `data.labels.Task`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from data.batches.batch import Batch
from data.labels import Task
from model.network import Outputs
from model.scores.metrics import ccc, has_ccc
from model.training.learning import TaskWeights


@dataclass(frozen=True, kw_only=True)
class Emphasis:
    """Label weights and smoothing. The default is the paper's: all labels weigh the same, without smoothing.

    `unit_weight_U` multiplies the loss of a present action unit, `class_weight_E` the loss of a face by its expression.
    `class_log_share_E` is added to the logits in training only; without it they predict as if all classes were equally
    frequent (logit adjustment; Menon et al., 2021, arXiv 2007.07314, with a temperature of 1). `smoothing` is the share
    of a label that is spread evenly over all classes.
    """

    unit_weight_U: Tensor | None = None
    class_weight_E: Tensor | None = None
    class_log_share_E: Tensor | None = None
    smoothing: float = 0.0


NO_EMPHASIS = Emphasis()


def valence_arousal_loss(predicted_B2: Tensor, target_B2: Tensor) -> Tensor | None:
    """1 - CCC, averaged over valence and arousal; skips one whose labels are all equal. None if both are skipped."""
    losses = []
    for predicted_B, target_B in zip(predicted_B2.unbind(1), target_B2.unbind(1), strict=True):
        labelled_B = ~target_B.isnan()
        if has_ccc(target_B[labelled_B]):
            losses.append(1 - ccc(predicted_B[labelled_B], target_B[labelled_B]))
    return torch.stack(losses).mean() if losses else None


def expression_loss(logits_BE: Tensor, target_B: Tensor, emphasis: Emphasis = NO_EMPHASIS) -> Tensor | None:
    """Cross-entropy, averaged over the labelled rows with the class weights, if any. None without labels."""
    labelled_B = ~target_B.isnan()
    if not labelled_B.any():
        return None
    if emphasis.class_log_share_E is not None:
        logits_BE = logits_BE + emphasis.class_log_share_E
    return functional.cross_entropy(
        logits_BE[labelled_B],
        target_B[labelled_B].long(),
        weight=emphasis.class_weight_E,
        label_smoothing=emphasis.smoothing,
    )


def action_units_loss(logits_BU: Tensor, target_BU: Tensor, emphasis: Emphasis = NO_EMPHASIS) -> Tensor | None:
    """Binary cross-entropy, averaged over the labelled values. None without labels."""
    labelled_BU = ~target_BU.isnan()
    if not labelled_BU.any():
        return None
    smoothed_BU = target_BU.nan_to_num() * (1 - emphasis.smoothing) + emphasis.smoothing / 2
    losses_BU = functional.binary_cross_entropy_with_logits(
        logits_BU, smoothed_BU, pos_weight=emphasis.unit_weight_U, reduction="none"
    )
    return losses_BU[labelled_BU].mean()


def task_losses(outputs: Outputs, batch: Batch, emphasis: Emphasis = NO_EMPHASIS) -> dict[Task, Tensor]:
    """The loss of each task; a task whose loss the labels of the batch do not define is absent."""
    losses = {
        Task.VA: valence_arousal_loss(outputs.valence_arousal_B2, batch.valence_arousal_B2),
        Task.EXPR: expression_loss(outputs.expression_BE, batch.expression_B, emphasis),
        Task.AU: action_units_loss(outputs.action_units_BU, batch.action_units_BU, emphasis),
    }
    return {task: loss for task, loss in losses.items() if loss is not None}


def weighted_losses(
    losses: Mapping[Task, Tensor], log_sigma_T: Tensor, task_weights: TaskWeights
) -> dict[Task, Tensor]:
    """Each task's term of the total loss: L (`equal`), or 0.5 (exp(-2 s) L + s^2) with the learned scalars s.

    Source: arXiv 2002.00606, after Kendall et al. (2018), with s^2 instead of the logarithm.
    """
    if task_weights == "equal":
        return dict(losses)
    log_sigmas = dict(zip(Task, log_sigma_T.unbind(), strict=True))
    return {
        task: 0.5 * (torch.exp(-2 * log_sigmas[task]) * loss + log_sigmas[task].square())
        for task, loss in losses.items()
    }


def total_loss(losses: Mapping[Task, Tensor], log_sigma_T: Tensor, task_weights: TaskWeights) -> Tensor:
    """The sum of the weighted losses; 0 if there are none."""
    nothing = log_sigma_T.sum() * 0
    return sum(weighted_losses(losses, log_sigma_T, task_weights).values(), start=nothing)

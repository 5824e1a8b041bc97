"""Sampling rates and label weights, computed from the learning settings and the training frames.

Labels are counted as often as their frames are drawn, so oversampled classes are not weighted up a second time.
Letters: N frames, U action units, E expressions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.batches.balance import Shares, draws
from data.batches.labelled_frames import LabelledFrames
from data.labels import EXPRESSIONS
from data.machine import Device
from model.training.learning import Learning
from model.training.losses import Emphasis

MOST_CLASS_WEIGHT = 10.0
"""Upper bound on the weight of an expression."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """`draws_N` is how often each frame is drawn per epoch, on average; None: once each."""

    emphasis: Emphasis
    draws_N: Shares | None


def recipe_for(training: LabelledFrames, learning: Learning, device: Device) -> Recipe:
    """The recipe for these frames, with its weights on the device."""
    draws_N = draws(training, learning.balance)
    count_E = _expression_counts(training, draws_N)
    weight_U, weight_E, log_share_E = None, None, None
    if learning.action_unit_weight > 1:
        weight_U = _unit_weights(training, draws_N, learning.action_unit_weight)
    if learning.expression_balance == "class_weights":
        weight_E = (count_E.sum() / (len(count_E) * count_E)).clamp(max=MOST_CLASS_WEIGHT)
    if learning.expression_balance == "logit_adjustment":
        log_share_E = (count_E / count_E.sum()).log()
    return Recipe(
        Emphasis(
            unit_weight_U=_place(weight_U, device),
            class_weight_E=_place(weight_E, device),
            class_log_share_E=_place(log_share_E, device),
            smoothing=learning.label_smoothing,
        ),
        draws_N if learning.balance else None,
    )


def _expression_counts(training: LabelledFrames, draws_N: Shares) -> Tensor:
    """How often each class is drawn in an epoch; at least once, so that a class without frames has finite weights."""
    known_N = ~np.isnan(training.expression_N)
    classes = training.expression_N[known_N].astype(np.int64)
    counts = np.bincount(classes, draws_N[known_N], minlength=len(EXPRESSIONS[training.edition]))
    return torch.from_numpy(counts).clamp(min=1)


def _unit_weights(training: LabelledFrames, draws_N: Shares, most: float) -> Tensor:
    """Absent over present labels of each unit, clamped to [1 / most, most]; 1 if a unit is always absent or present."""
    units_NU, draws_N1 = training.action_units_NU, draws_N[:, None]
    present_U, absent_U = (torch.from_numpy((draws_N1 * (units_NU == value)).sum(0)) for value in (1, 0))
    weight_U = (absent_U / present_U).clamp(1 / most, most)
    return torch.where((present_U > 0) & (absent_U > 0), weight_U, 1.0)


def _place(weights: Tensor | None, device: Device) -> Tensor | None:
    return weights.float().to("cuda" if device == "gpu" else "cpu") if weights is not None else None

"""Learning settings, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from data.settings import Settings

TaskWeights = Literal["learned", "equal"]
ExpressionBalance = Literal["none", "class_weights", "logit_adjustment"]


class Learning(Settings):
    """The defaults are the paper's.

    `sgd` uses Nesterov momentum 0.9 and a rate that falls linearly, epoch by epoch. With `adamw`, the rate rises
    during the share `warm_up` of all steps, then falls to 0 along a cosine.
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Passes over the training frames."""
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 80
    """Frames per step."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """`sgd`: Nesterov momentum 0.9, rate falling linearly per epoch. `adamw`: warm-up, then cosine decay to 0."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Highest learning rate of the schedule."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """Applied to every parameter, including the learned task weights."""
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of all steps during which the rate of `adamw` rises from 0."""
    task_weights: TaskWeights = "learned"
    """How the three losses are added: with learned weights, or as a plain sum."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How strongly rare tasks, classes and tracks are oversampled. 0: every frame once per epoch. 1: each task, each of
    its classes and each track with that class equally often. A group of n frames is drawn n^(1 - balance) often."""
    action_unit_weight: Annotated[float, Field(ge=1, le=1000)] = 1.0
    """Upper bound on the weight of a present action unit relative to an absent one; rarer units get more. 1: equal."""
    expression_balance: ExpressionBalance = "none"
    """How to handle rare expressions: weight losses by rarity, or shift logits by the log of the class frequency."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of an expression or action unit label that is spread evenly over all classes."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of the moving average of the weights that becomes the model; 0: no average."""
    gradient_clip: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient; longer gradients are scaled down to it. 0: no clipping."""
    gradient_surgery: bool = False
    """Remove from each task's gradient the part that conflicts with another task's (PCGrad); one backward pass per
    task."""
    plateau: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Halve the learning rate after this many epochs without a better official score, instead of the optimiser's
    schedule; 0: never."""
    keep_epoch: Literal["last", "best"] = "last"
    """Which epoch's weights become the model: the last, or the one with the best official validation score."""
    patience: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Stop training after this many epochs without a better official score; 0: never stop early."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the convolutions in training; `bfloat16` is faster on hardware that supports it."""
    channels_last: bool = True
    """Store images channels-last, for speed; results change only by rounding."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed for the weights, the order of the frames, dropout and augmentation."""


def halvings(official_sums: Sequence[float], plateau: int) -> int:
    """How often the rate was halved by now: each time that so many epochs in a row brought no better score.

    Args:
        official_sums: Of the epochs so far; NaN is no better than any.
        plateau: The number of epochs.
    """
    best, since, number = -math.inf, 0, 0
    for value in official_sums:
        if value > best:
            best, since = value, 0
        else:
            since += 1
        if since == plateau:
            since, number = 0, number + 1
    return number


def learning_rate(learning: Learning, epoch: int, share_of_epoch: float, *, halved: int = 0) -> float:
    """The learning rate of a step at `share_of_epoch`, in [0, 1), of an epoch (from 0).

    `halved` is how often a plateau halved it, which counts if `plateau` is set.
    """
    if learning.plateau:
        return learning.learning_rate * 0.5**halved
    if learning.optimiser == "sgd":
        return learning.learning_rate * (1 - epoch / learning.epochs)
    done = (epoch + share_of_epoch) / learning.epochs
    if done < learning.warm_up:
        return learning.learning_rate * done / learning.warm_up
    return learning.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - learning.warm_up) / (1 - learning.warm_up)))

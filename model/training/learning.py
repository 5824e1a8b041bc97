"""How a network learns, and the learning rate of each step."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from data.settings import Settings

TaskWeights = Literal["learned", "equal"]
ExpressionBalance = Literal["none", "class_weights", "logit_adjustment"]


class Learning(Settings):
    """The defaults are the paper's.

    `sgd` has Nesterov momentum 0.9 and a rate that falls linearly, epoch by epoch. `adamw` has a rate that rises over
    the share `warm_up` of all steps and then falls to 0 along a cosine.
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Passes over the training frames."""
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 80
    """Frames in a step."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """`sgd`: Nesterov momentum 0.9, rate falling linearly per epoch. `adamw`: warm-up, then a cosine to zero."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """The highest rate of the schedule."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """On every parameter, the task weights included."""
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of all steps in which the rate of `adamw` rises from 0."""
    task_weights: TaskWeights = "learned"
    """How the three losses add up: by learned weights, or as a plain sum."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much rare tasks, classes and tracks are seen more than common ones: 0 sees every frame once an epoch, 1 each
    task, each of its classes and each track with it equally often; what has n frames comes by n^(1 - balance)."""
    action_unit_weight: Annotated[float, Field(ge=1, le=1000)] = 1.0
    """At most so many times as much counts a unit that is there as one that is not, by how rare it is; 1: all alike."""
    expression_balance: ExpressionBalance = "none"
    """Against rare expressions: costs weighted by rarity, or logits shifted by the logarithm of the frequency."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of an expression's or unit's label that is given to all answers alike."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The model is a moving average of the weights, which keeps this share at each step; 0: the weights themselves."""
    gradient_clip: Annotated[float, Field(ge=0)] = 0.0
    """A gradient with a larger norm is shortened to it; 0 leaves all as they are."""
    gradient_surgery: bool = False
    """Takes out of each task's gradient what another task's points against (PCGrad); a backward pass for each task."""
    keep_epoch: Literal["last", "best"] = "last"
    """The model is that of the last epoch, or of the one with the best official score in validation."""
    patience: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Training ends after so many epochs without a better official score; 0: never before its time."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the convolutions in training; for speed, where the processor has it."""
    channels_last: bool = True
    """Order of pixels in memory, for speed; changes no result but for rounding."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the weights, the order of the frames, dropout and augmentation."""


def learning_rate(learning: Learning, epoch: int, share_of_epoch: float) -> float:
    """The rate of a step that is `share_of_epoch`, in [0, 1), into an epoch (from 0)."""
    if learning.optimiser == "sgd":
        return learning.learning_rate * (1 - epoch / learning.epochs)
    done = (epoch + share_of_epoch) / learning.epochs
    if done < learning.warm_up:
        return learning.learning_rate * done / learning.warm_up
    return learning.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - learning.warm_up) / (1 - learning.warm_up)))

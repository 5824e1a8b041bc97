"""How a network learns: the knobs, the optimiser and the learning rate of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch.optim import SGD, AdamW, Optimizer

from model.network import MTANet
from model.training.losses import TaskWeights

ExpressionBalance = Literal["none", "class_weights", "logit_adjustment"]


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How the network learns; the defaults are the paper's. `tasks.config.TrainConfig` says what each knob means.

    `sgd` has Nesterov momentum 0.9 and a rate that falls linearly, epoch by epoch. `adamw` has a rate that rises over
    the share `warm_up` of all steps and then falls to 0 along a cosine.
    """

    epochs: int = 100
    batch_size: int = 80
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.1
    task_weights: TaskWeights = "learned"
    balance: float = 0.0
    action_unit_weight: float = 1.0
    expression_balance: ExpressionBalance = "none"
    label_smoothing: float = 0.0
    ema_decay: float = 0.0
    gradient_clip: float = 0.0
    gradient_surgery: bool = False
    keep_epoch: Literal["last", "best"] = "last"
    patience: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = True
    seed: int = 0


def learning_rate(learning: Learning, epoch: int, share_of_epoch: float) -> float:
    """The rate of a step that is `share_of_epoch`, in [0, 1), into an epoch (from 0)."""
    if learning.optimiser == "sgd":
        return learning.learning_rate * (1 - epoch / learning.epochs)
    done = (epoch + share_of_epoch) / learning.epochs
    if done < learning.warm_up:
        return learning.learning_rate * done / learning.warm_up
    return learning.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - learning.warm_up) / (1 - learning.warm_up)))


def make_optimiser(network: MTANet, learning: Learning) -> Optimizer:
    """For a network that lies on the device it is trained on: a GPU updates all weights by a few kernels."""
    fused = True if network.log_sigma_T.is_cuda else None
    if learning.optimiser == "sgd":
        return SGD(
            network.parameters(),
            lr=learning.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=learning.weight_decay,
            fused=fused,
        )
    return AdamW(network.parameters(), lr=learning.learning_rate, weight_decay=learning.weight_decay, fused=fused)

"""How a network learns: the knobs, the optimiser and the learning rate of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch.optim import SGD, AdamW, Optimizer

from model.losses import TaskWeights
from model.network import MTANet


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How the network learns; the defaults are the paper's.

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
    if learning.optimiser == "sgd":
        return SGD(
            network.parameters(),
            lr=learning.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=learning.weight_decay,
        )
    return AdamW(network.parameters(), lr=learning.learning_rate, weight_decay=learning.weight_decay)

"""One step of training: a batch in, the network a little better, and what there is to tell."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import SGD, AdamW, Optimizer

from data.batches.batch import Batch
from model.network import MTANet, Outputs
from model.training.distributed import all_gather_outputs, average_gradients
from model.training.learning import Learning
from model.training.losses import Emphasis, task_losses, weighted_losses
from model.training.surgery import backward_with_surgery

Record = dict[str, float]


@dataclass
class Run:
    """A training under way; `average` is that of the weights, if one is kept."""

    network: MTANet
    optimiser: Optimizer
    average: MTANet | None = None
    records: list[Record] = field(default_factory=list)

    @property
    def scored(self) -> MTANet:
        """The network that is scored and, in the end, kept."""
        return self.average or self.network


def step(run: Run, batch: Batch, learning: Learning, emphasis: Emphasis, *, rate: float, steps: int) -> Record:
    """Learns from a batch, unless something is not finite: then the network stays as it was.

    Returns the total loss, each task's and the norm of the whole gradient. `steps` is how many came before.
    """
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    losses = task_losses(all_gather_outputs(_forward(run.network, batch, learning)), batch, emphasis)
    weighted = list(weighted_losses(losses, run.network.log_sigma_T, learning.task_weights).values())
    total = sum(weighted, start=run.network.log_sigma_T.sum() * 0)
    run.optimiser.zero_grad()
    if learning.gradient_surgery and len(weighted) > 1:
        # Not from torch's generator: each process of a team drops out its own features by that.
        backward_with_surgery(weighted, run.network, np.random.default_rng((learning.seed, steps, 3)))
    else:
        torch.autograd.backward(total)
    average_gradients(run.network)
    parameters = [parameter for parameter in run.network.parameters() if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    numbers = _numbers({"loss": total, **{f"loss_{task}": losses[task] for task in losses}, "gradient_norm": norm})
    if all(map(math.isfinite, numbers.values())):
        if learning.gradient_clip:
            clip_grads_with_norm_(parameters, learning.gradient_clip, norm)
        run.optimiser.step()
        if run.average is not None:
            update_average(run.average, run.network, decay=learning.ema_decay, steps=steps)
    return numbers


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


def memory_format(learning: Learning) -> torch.memory_format:
    return torch.channels_last if learning.channels_last else torch.contiguous_format


def _forward(network: MTANet, batch: Batch, learning: Learning) -> Outputs:
    """The answers as float32, whatever precision the convolutions have."""
    faces_BCHW = batch.faces_BCHW.contiguous(memory_format=memory_format(learning))
    with torch.autocast(faces_BCHW.device.type, torch.bfloat16, enabled=learning.precision == "bfloat16"):
        outputs: Outputs = network(faces_BCHW)
    return Outputs(outputs.valence_arousal_B2.float(), outputs.action_units_BU.float(), outputs.expression_BE.float())


def _numbers(values: dict[str, Tensor]) -> Record:
    """With one wait for the device, not one for each."""
    return dict(zip(values, torch.stack([value.detach() for value in values.values()]).tolist(), strict=True))


def start_average(network: MTANet) -> MTANet:
    """The average before the first step: a copy that learns nothing by itself."""
    return deepcopy(network).eval().requires_grad_(False)


def update_average(average: MTANet, network: MTANet, *, decay: float, steps: int) -> None:
    """Takes the weights after a step into the average; the moments of batch normalisation are averaged alike.

    `steps` is how many came before. At first the average forgets faster, by (1 + steps) / (10 + steps), so that random
    initial weights leave it soon.
    """
    keep = min(decay, (1 + steps) / (10 + steps))
    mine = chain(average.parameters(), average.buffers())
    with torch.no_grad():
        for averaged, now in zip(mine, chain(network.parameters(), network.buffers()), strict=True):
            if averaged.is_floating_point():
                averaged.lerp_(now, 1 - keep)
            else:
                averaged.copy_(now)

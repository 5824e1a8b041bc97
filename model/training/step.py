"""One training step: updates the network from a batch and returns the losses and the gradient norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import SGD, AdamW, Optimizer

from data.batches.batch import Batch
from data.labels import ACTION_UNITS, EXPRESSIONS, Edition, Task
from data.schema import FACE_SIZE_PX
from data.settings import Settings
from model.network import Network, Outputs
from model.training.distributed import all_gather_outputs, average_gradients, world_size
from model.training.graphs import Passes
from model.training.learning import Learning
from model.training.losses import Emphasis, task_losses, weighted_losses
from model.training.surgery import backward_with_surgery

Record = dict[str, float]


class Step(Protocol):
    """Updates the network from a batch: see `step`."""

    def __call__(
        self, run: Run, batch: Batch, learning: Learning, emphasis: Emphasis, *, rate: float, steps: int
    ) -> Record: ...


@dataclass
class Run:
    """The state of a training; `average` is the network with averaged weights, if there is one."""

    network: Network
    optimiser: Optimizer
    average: Network | None = None
    records: list[Record] = field(default_factory=list)
    passes: Passes | None = None
    """The recorded passes of the network, on a GPU."""

    @property
    def scored(self) -> Network:
        """The network that is validated and becomes the model."""
        return self.average or self.network


@dataclass(frozen=True)
class Method:
    """How a system is trained: the class of the settings that only it has, its network and its step.

    `network` is called with `num_units`, `num_expressions` and the settings by name. `records_passes` says whether the
    step calls the network by `forward_pass`. There is no step if the system learns at once, outside the loop.
    """

    name: str
    settings: type[Settings]
    network: Callable[..., Network]
    step: Step | None
    records_passes: bool = True
    warning: Callable[[Sequence[Record]], str | None] = lambda _: None
    """What there is to warn of after the epochs with these records."""

    def build(self, edition: Edition, settings: Settings) -> Network:
        """A new network for an edition's action units and expressions, with random weights from torch's generator."""
        return self.network(
            num_units=len(ACTION_UNITS[edition]), num_expressions=len(EXPRESSIONS[edition]), **settings.model_dump()
        )


def record_passes(run: Run, learning: Learning) -> None:
    """Records the passes on a GPU, unless it is done. To be called before a loader starts, which uses the GPU too.

    Several processes communicate within the passes, and surgery needs several backward passes: both go without.
    """
    if not run.network.log_sigma_T.is_cuda or world_size() > 1 or learning.gradient_surgery:
        return
    if run.passes is None or not run.passes.are_of(run.network):
        run.passes = None  # its memory is freed before more is taken
        faces_BCHW = torch.zeros(learning.batch_size, 3, FACE_SIZE_PX, FACE_SIZE_PX, device="cuda")
        with precision(learning, "cuda", cache_enabled=False):
            run.passes = Passes(run.network, faces_BCHW.contiguous(memory_format=memory_format(learning)))


def step(run: Run, batch: Batch, learning: Learning, emphasis: Emphasis, *, rate: float, steps: int) -> Record:
    """Updates the network from a batch; leaves it unchanged if a loss or the gradient is not finite.

    Returns the total loss, each task's loss and the norm of the whole gradient. `steps` is the number of earlier steps.
    """
    losses = task_losses(all_gather_outputs(forward_pass(run, batch, learning)), batch, emphasis)
    answered = {task: loss for task, loss in losses.items() if task in run.network.tasks}
    return descend(run, answered, learning, rate=rate, steps=steps)


def descend(
    run: Run,
    losses: Mapping[Task, Tensor],
    learning: Learning,
    *,
    rate: float,
    steps: int,
    others: Mapping[str, Tensor] | None = None,
) -> Record:
    """Updates the network along the weighted losses of the tasks and the sum of the others, which are already weighted.

    Returns what `step` does, and each of the others as `loss_<name>`.
    """
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    weighted = [
        *weighted_losses(losses, run.network.log_sigma_T, learning.task_weights).values(),
        *(others or {}).values(),
    ]
    total = sum(weighted, start=run.network.log_sigma_T.sum() * 0)
    run.optimiser.zero_grad()
    if learning.gradient_surgery and len(weighted) > 1:
        # Not torch's generator, which is seeded differently in each process for dropout: the order must be the same.
        backward_with_surgery(weighted, run.network, np.random.default_rng((learning.seed, steps, 3)))
    else:
        torch.autograd.backward(total)
    average_gradients(run.network)
    parameters = [parameter for parameter in run.network.parameters() if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    parts = {f"loss_{name}": loss for name, loss in (*losses.items(), *(others or {}).items())}
    numbers = _numbers({"loss": total, **parts, "gradient_norm": norm})
    if all(map(math.isfinite, numbers.values())):
        if learning.gradient_clip:
            clip_grads_with_norm_(parameters, learning.gradient_clip, norm)
        run.optimiser.step()
        if run.average is not None:
            update_average(run.average, run.network, decay=learning.ema_decay, steps=steps)
    return numbers


def make_optimiser(network: Network, learning: Learning) -> Optimizer:
    """The network must already be on its device: on a GPU, a fused optimiser updates all weights in a few kernels."""
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


def precision(learning: Learning, device: str, *, cache_enabled: bool = True) -> torch.autocast:
    """The context for the forward pass."""
    return torch.autocast(device, torch.bfloat16, enabled=learning.precision == "bfloat16", cache_enabled=cache_enabled)


def forward_pass(run: Run, batch: Batch, learning: Learning) -> Outputs:
    """The outputs in float32, whatever the precision of the convolutions."""
    faces_BCHW = batch.faces_BCHW.contiguous(memory_format=memory_format(learning))
    if run.passes is not None and run.passes.fit(faces_BCHW):
        outputs = run.passes(faces_BCHW)
    else:
        with precision(learning, faces_BCHW.device.type):
            outputs = run.network(faces_BCHW)
    return in_float32(outputs)


def in_float32(outputs: Outputs) -> Outputs:
    return Outputs(*(getattr(outputs, field.name).float() for field in fields(outputs)))


def _numbers(values: dict[str, Tensor]) -> Record:
    """The values as floats, waiting for the device only once."""
    return dict(zip(values, torch.stack([value.detach() for value in values.values()]).tolist(), strict=True))


def start_average(network: Network) -> Network:
    """The average before the first step: a copy of the network, without gradients."""
    return deepcopy(network).eval().requires_grad_(False)


def update_average(average: Network, network: Network, *, decay: float, steps: int) -> None:
    """Updates the average after a step; the moments of batch normalisation are averaged too.

    `steps` is the number of earlier steps. The decay is at most (1 + steps) / (10 + steps), so that the average soon
    forgets the random initial weights.
    """
    keep = min(decay, (1 + steps) / (10 + steps))
    mine = chain(average.parameters(), average.buffers())
    with torch.no_grad():
        for averaged, now in zip(mine, chain(network.parameters(), network.buffers()), strict=True):
            if averaged.is_floating_point():
                averaged.lerp_(now, 1 - keep)
            else:
                averaged.copy_(now)

"""Gradient surgery (PCGrad): removes from each task's gradient the part that conflicts with another task's.

Letters: T tasks, K values of all shared parameters.

Source: Yu et al. (2020), arXiv 2001.06782.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model.network import Network
from model.training.distributed import average


def backward_with_surgery(losses: Sequence[Tensor], network: Network, order: np.random.Generator) -> None:
    """Sets `.grad`: on the weights that all tasks share, the sum without conflicts; elsewhere, the plain sum.

    Runs one backward pass per loss. With several processes, conflicts are found in the gradients of the whole batch,
    and `order` must be the same in every process.

    Raises:
        ValueError: The tasks of the network share no weights.
    """
    shared = shared_weights(network)
    shared_ids = set(map(id, shared))
    own = [parameter for parameter in network.parameters() if id(parameter) not in shared_ids]
    gradients = []
    for loss in losses:
        # The last loss is the last to need the graph, so its backward pass frees it.
        kept = loss is not losses[-1]
        parts = torch.autograd.grad(loss, [*shared, *own], retain_graph=kept, allow_unused=True)
        gradients += average([torch.cat([part.flatten() for part in parts[: len(shared)]])])
        for parameter, part in zip(own, parts[len(shared) :], strict=True):
            if part is not None:
                parameter.grad = part if parameter.grad is None else parameter.grad + part
    agreed = torch.split(without_conflict(torch.stack(gradients), order), [parameter.numel() for parameter in shared])
    for parameter, part_K in zip(shared, agreed, strict=True):
        parameter.grad = part_K.view(parameter.shape)


def shared_weights(network: Network) -> list[nn.Parameter]:
    """
    Raises:
        ValueError: The tasks of the network share no weights.
    """
    shared = list(network.shared)
    if not shared:
        system = type(network).__name__
        raise ValueError(f"gradient_surgery: expected a system whose tasks share a trunk, found {system}; turn it off")
    return shared


def without_conflict(gradients_TK: Tensor, order: np.random.Generator) -> Tensor:
    """The sum (K) of the tasks' gradients, after removing from each the components that oppose another task's gradient.

    Each task is compared with the others in a random order, drawn from `order`.
    """
    squares_T = gradients_TK.square().sum(1)
    freed = []
    for task, gradient_K in enumerate(gradients_TK):
        for other in order.permutation(len(gradients_TK)).tolist():
            along = gradient_K @ gradients_TK[other]
            if other != task and along < 0:
                gradient_K = gradient_K - along / squares_T[other] * gradients_TK[other]
        freed.append(gradient_K)
    return torch.stack(freed).sum(0)

"""The exponential moving average of a network's weights, which is often better than the weights of any one step."""

from __future__ import annotations

from copy import deepcopy
from itertools import chain

import torch

from model.network import MTANet


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

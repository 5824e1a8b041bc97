"""Training in several processes, started by torchrun: each process takes one part of every batch.

Every process gathers the outputs and labels of the whole batch and computes the same loss, but backpropagates only
through its own part; batch normalisation uses the moments of the whole batch. The sum of the processes' gradients is
therefore the gradient of a single process that has the whole batch. The networks stay identical without exchanging
weights: same seed, same gradients, same steps. With a single process, everything here is a no-op.

Letters: B faces, C channels, H height, W width.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from data.batches.batch import Batch
from data.machine import Device
from model.network import Network, Outputs

_TIMEOUT = timedelta(days=7)
"""Long, because the other processes wait while the first one makes the shards. torchrun detects failed processes."""


def rank() -> int:
    """The number of this process, from 0; 0 without torchrun."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """The number of processes that train together; 1 without torchrun."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def join_process_group(device: Device) -> Iterator[None]:
    """Joins the process group that torchrun's environment describes; does nothing without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device == "gpu":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if device == "gpu" else "gloo"
    distributed.init_process_group(backend, timeout=_TIMEOUT)
    yield
    # Not after an error: the other processes may be waiting for this one, so both would hang. torchrun ends them.
    distributed.destroy_process_group()


def broadcast_job(job: Any) -> None:
    """Called by the first process: sends the others a training to take part in, or None when there are no more."""
    if world_size() > 1:
        distributed.broadcast_object_list([job])


def receive_job() -> Any:
    """Called by the other processes: waits for the next job of `broadcast_job`.

    Raises:
        RuntimeError: The first process ended without sending one.
    """
    try:
        return broadcast_from_first(None)
    except RuntimeError as error:
        raise RuntimeError("the first process failed; see its error") from error


def broadcast_from_first(value: Any) -> Any:
    """The first process's `value`, in every process; the values of the others are ignored."""
    values = [value]
    if world_size() > 1:
        distributed.broadcast_object_list(values)
    return values[0]


def barrier() -> None:
    """Returns when every process has called it."""
    if world_size() > 1:
        distributed.barrier()


def check_same_on_all_ranks(value: int, what: str) -> None:
    """
    Raises:
        ValueError: `value` differs between the processes, for example because machines use different stores.
    """
    found = _all_gather_objects(value)
    if len(set(found)) > 1:
        raise ValueError(f"{what} differ between the processes: {found}; all processes must use the same store")


def all_gather_columns(columns: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The columns of all processes, concatenated in rank order."""
    parts = _all_gather_objects(dict(columns))
    return {name: np.concatenate([part[name] for part in parts]) for name in columns}


def all_gather_labels(batch: Batch) -> Batch:
    """The labels, tracks and frames of the whole batch, with the faces of this process's part only."""
    labels = {name: _all_gather(tensor) for name, tensor in batch.tensors.items() if name != "faces_BCHW"}
    return replace(batch, **labels, extras={name: _all_gather(tensor) for name, tensor in batch.extras.items()})


def all_gather_outputs(outputs: Outputs) -> Outputs:
    """The outputs for the whole batch. Backward gives this process's part of the gradient, times the world size."""
    if world_size() == 1:
        return outputs
    return Outputs(*(all_gather_with_gradient(getattr(outputs, field.name)) for field in fields(outputs)))


def average(gradients: list[Tensor]) -> list[Tensor]:
    """The mean of each gradient over all processes."""
    if world_size() == 1 or not gradients:
        return gradients
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    parts = torch.split(flat / world_size(), [gradient.numel() for gradient in gradients])
    return [part.view(gradient.shape) for part, gradient in zip(parts, gradients, strict=True)]


def average_gradients(network: Network) -> None:
    """Leaves the gradient of the whole batch in every process."""
    parameters = [parameter for parameter in network.parameters() if parameter.grad is not None]
    gradients = average([parameter.grad for parameter in parameters if parameter.grad is not None])
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient


def synchronise_batch_norm(network: Network) -> Network:
    """The network, changed so that its batch normalisation uses the moments of the whole batch in training."""
    if world_size() == 1:
        return network
    if next(network.parameters()).is_cuda:
        converted: Network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SyncedBatchNorm2d
        elif type(module) is nn.BatchNorm1d:
            module.__class__ = _SyncedBatchNorm1d
    return network


class _SyncedBatchNorm2d(nn.BatchNorm2d):
    """`nn.SyncBatchNorm` for the CPU, which torch does not support."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return _normalised_together(self, input) if self.training else super().forward(input)


class _SyncedBatchNorm1d(nn.BatchNorm1d):
    """The same for features without a place."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return _normalised_together(self, input) if self.training else super().forward(input)


def _normalised_together(norm: nn.BatchNorm1d | nn.BatchNorm2d, given_BCX: Tensor) -> Tensor:
    """The values normalised by the moments of the whole batch; X are any further dimensions."""
    assert norm.momentum is not None, "expected a batch normalisation with a momentum"
    assert norm.running_mean is not None, "expected a batch normalisation with running statistics"
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    x_BCX = given_BCX.to(torch.promote_types(given_BCX.dtype, torch.float32))
    count = x_BCX.numel() // x_BCX.shape[1] * world_size()
    others = (0, *range(2, x_BCX.dim()))
    as_channels = (-1, *[1] * (x_BCX.dim() - 2))
    mean_C = _all_reduce(x_BCX.sum(others)) / count
    centred_BCX = x_BCX - mean_C.view(as_channels)
    variance_C = _all_reduce(centred_BCX.square().sum(others)) / count
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean_C.detach(), norm.momentum)
    norm.running_var.lerp_(variance_C.detach() * (count / (count - 1)), norm.momentum)
    scale_C = norm.weight * torch.rsqrt(variance_C + norm.eps)
    normal_BCX: Tensor = centred_BCX * scale_C.view(as_channels) + norm.bias.view(as_channels)
    return normal_BCX


class _AllReduce(torch.autograd.Function):
    """Sum over all processes. Every process uses the sum, so its gradient is the sum of their gradients."""

    @staticmethod
    def forward(_: Any, part: Tensor) -> Tensor:
        total = part.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, part_BK: Tensor) -> Tensor:
        return _all_gather(part_BK)

    @staticmethod
    def backward(_: Any, gradient_BK: Tensor) -> Tensor:
        # `average` divides by the world size later, but the parts' gradients must add up.
        return gradient_BK.chunk(world_size())[rank()] * world_size()


def _all_reduce(part: Tensor) -> Tensor:
    total: Tensor = _AllReduce.apply(part)  # type: ignore[no-untyped-call]
    return total


def all_gather_with_gradient(part_BK: Tensor) -> Tensor:
    """As `all_gather_outputs`, for one tensor."""
    if world_size() == 1:
        return part_BK
    whole_BK: Tensor = _AllGather.apply(part_BK)  # type: ignore[no-untyped-call]
    return whole_BK


def _all_gather(part: Tensor) -> Tensor:
    if world_size() == 1:
        return part
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(world_size())]
    distributed.all_gather(parts, part.contiguous())
    return torch.cat(parts)


def _all_gather_objects(mine: Any) -> list[Any]:
    if world_size() == 1:
        return [mine]
    found: list[Any] = [None] * world_size()
    distributed.all_gather_object(found, mine)
    return found

"""The network's passes as CUDA graphs: a GPU repeats their hundreds of kernels without waiting for Python, which takes
longer to start them than the GPU to compute them.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from model.network import Network, Outputs

_TRIES = 3
"""Passes before recording, in which libraries choose their kernels and take their memory."""


class Passes:
    """The forward and the backward pass of a network in training, for batches like the given one.

    They are recorded under the caller's `torch.autocast`, which must not cache weights. Meanwhile no other thread may
    use the GPU. Recording runs the network a few times, which leaves no trace in its moments or the random numbers.
    """

    def __init__(self, network: Network, faces_BCHW: Tensor) -> None:
        buffers, random_state = [buffer.clone() for buffer in network.buffers()], torch.cuda.get_rng_state()
        self._places = _places(network)
        self._faces_BCHW = faces_BCHW
        self._weights = [weight for weight in network.parameters() if weight is not network.log_sigma_T]
        self._forward, self._backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_TRIES):
                outputs = _tensors(network(faces_BCHW))
                learned = [output for output in outputs if output.requires_grad]
                torch.autograd.grad(learned, self._weights, [torch.zeros_like(output) for output in learned])
                del outputs, learned  # what is kept of a pass remembers its stream
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(self._forward, stream=stream):
            outputs = _tensors(network(faces_BCHW))
        self._learned = [number for number, output in enumerate(outputs) if output.requires_grad]
        """The outputs of the tasks that the network answers."""
        learned = [outputs[number] for number in self._learned]
        self._gradients = [torch.zeros_like(output) for output in learned]
        with torch.cuda.graph(self._backward, pool=self._forward.pool(), stream=stream):
            self._of_weights = torch.autograd.grad(learned, self._weights, self._gradients)
        self._outputs = [output.detach() for output in outputs]
        torch.cuda.set_rng_state(random_state)
        for buffer, before in zip(network.buffers(), buffers, strict=True):
            buffer.copy_(before)

    def fit(self, faces_BCHW: Tensor) -> bool:
        return faces_BCHW.shape == self._faces_BCHW.shape

    def are_of(self, network: Network) -> bool:
        """Whether the weights are still where they were when the passes were recorded."""
        return _places(network) == self._places

    def __call__(self, faces_BCHW: Tensor) -> Outputs:
        return Outputs(*_Replay.apply(self, faces_BCHW, *self._weights))  # type: ignore[no-untyped-call]

    def forward(self, faces_BCHW: Tensor) -> tuple[Tensor, ...]:
        self._faces_BCHW.copy_(faces_BCHW)
        self._forward.replay()
        return tuple(output.detach() for output in self._outputs)

    def backward(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        for mine, number in zip(self._gradients, self._learned, strict=True):
            mine.copy_(gradients[number])
        self._backward.replay()
        return tuple(gradient.detach() for gradient in self._of_weights)


class _Replay(Function):
    @staticmethod
    def forward(ctx: Any, passes: Passes, faces_BCHW: Tensor, *_weights: Tensor) -> tuple[Tensor, ...]:
        ctx.passes = passes
        return passes.forward(faces_BCHW)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.passes.backward(gradients)


def _tensors(outputs: Outputs) -> tuple[Tensor, ...]:
    return tuple(getattr(outputs, field.name) for field in fields(outputs))


def _places(network: Network) -> list[int]:
    return [tensor.data_ptr() for tensor in network.state_dict().values()]

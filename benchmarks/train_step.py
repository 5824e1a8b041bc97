"""Time of a training step, compared with a straightforward implementation of the paper in PyTorch.

    python benchmarks/train_step.py [--rounds 3] [--batch-size 80] [--threads 2]

The full network learns from batches of noise that lack labels as Aff-Wild2's do; the implementations alternate from
step to step. `plain` has the layers as the paper lists them, a loss for each task over the rows that a mask picks, and
torch's defaults. Steps are timed on the CPU and, if there is one, on the GPU; the output also has the seconds of all
cores together, which depend less on other users of the machine.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent.parent))

from data.batches.batch import Batch
from data.labels import Edition
from data.machine import Device
from model.inference import place
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network
from model.training.learning import Learning
from model.training.losses import Emphasis
from model.training.step import Run, make_optimiser, memory_format, step

UNITS, EXPRESSIONS = 8, 7

log = logging.getLogger("benchmark")

Step = Callable[[], None]


class PlainBlock(nn.Module):
    """A bottleneck with squeeze and excitation."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.down = nn.Conv2d(outputs, outputs // 16, 1)
        self.up = nn.Conv2d(outputs // 16, outputs, 1)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        scale = functional.adaptive_avg_pool2d(y, 1)
        scale = torch.sigmoid(self.up(functional.relu(self.down(scale))))
        y = y * scale
        y = y + (x if self.shortcut is None else self.shortcut(x))
        return functional.relu(y)


class PlainMTANet(nn.Module):
    """The trunk, two pooled branches, three heads and three scalars."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
        )
        blocks, inputs = list[nn.Module](), 64
        for stage, number in enumerate((3, 4, 6, 3)):
            for block in range(number):
                blocks.append(PlainBlock(inputs, 64 * 2**stage, stride=2 if stage and block == 0 else 1))
                inputs = 256 * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.mean_branch = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(2048, 512, 1), nn.LeakyReLU())
        self.max_branch = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(2048, 512, 1), nn.LeakyReLU())
        self.va, self.au, self.expr = nn.Linear(1024, 2), nn.Linear(1024, UNITS), nn.Linear(1024, EXPRESSIONS)
        self.scalars = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.blocks(self.stem(x))
        mean = functional.adaptive_avg_pool2d(self.mean_branch(x), 1).flatten(1)
        most = functional.adaptive_max_pool2d(self.max_branch(x), 1).flatten(1)
        x = torch.cat([mean, most], dim=1)
        return self.va(x), self.au(x), self.expr(x)


def plain_ccc(x: Tensor, y: Tensor) -> Tensor:
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * covariance / (x.var(correction=0) + y.var(correction=0) + (x.mean() - y.mean()) ** 2)


def make_batch(batch_size: int, device: Device) -> Batch:
    """Three frames in four know valence and arousal, half of them their expression, a third their units."""
    draw = torch.Generator().manual_seed(0)
    number_B = torch.arange(batch_size)
    valence_arousal_B2 = torch.rand(batch_size, 2, generator=draw) * 2 - 1
    expression_B = torch.randint(EXPRESSIONS, (batch_size,), generator=draw).float()
    action_units_BU = torch.randint(2, (batch_size, UNITS), generator=draw).float()
    valence_arousal_B2[number_B % 4 == 0] = torch.nan
    expression_B[number_B % 2 == 0] = torch.nan
    action_units_BU[number_B % 3 != 0] = torch.nan
    faces_BCHW = torch.rand(batch_size, 112, 112, 3, generator=draw).permute(0, 3, 1, 2) * 2 - 1
    batch = Batch(faces_BCHW, valence_arousal_B2, expression_B, action_units_BU, number_B, number_B)
    return batch.to("cuda" if device == "gpu" else "cpu")


def plain_step(batch: Batch) -> Step:
    network = PlainMTANet().to(batch.faces_BCHW.device).train()
    assert sum(parameter.numel() for parameter in network.parameters()) == 28_154_628
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4)
    faces = batch.faces_BCHW.contiguous()

    def learn() -> None:
        va, au, expr = network(faces)
        losses = []
        mask = ~batch.valence_arousal_B2.isnan().any(dim=1)
        x, y = va[mask], batch.valence_arousal_B2[mask]
        losses.append(1 - (plain_ccc(x[:, 0], y[:, 0]) + plain_ccc(x[:, 1], y[:, 1])) / 2)
        mask = ~batch.expression_B.isnan()
        losses.append(functional.cross_entropy(expr[mask], batch.expression_B[mask].long()))
        mask = ~batch.action_units_BU.isnan()
        losses.append(functional.binary_cross_entropy_with_logits(au[mask], batch.action_units_BU[mask]))
        total = torch.zeros((), device=faces.device)
        for loss, scalar in zip(losses, network.scalars, strict=True):
            total = total + 0.5 * (torch.exp(-2 * scalar) * loss + scalar**2)
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total.item()

    return learn


def our_step(batch: Batch, device: Device, learning: Learning) -> Step:
    network = place(build_network(Edition.ABAW_2020, Architecture()), device)
    network.train().to(memory_format=memory_format(learning))  # type: ignore[call-overload]
    run = Run(network, make_optimiser(network, learning))

    def learn() -> None:
        step(run, batch, learning, Emphasis(), rate=1e-3, steps=0)

    return learn


def timed(learn: Step, device: Device) -> tuple[float, float]:
    """Seconds, and seconds of all cores."""
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    learn()
    if device == "gpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start_s, time.process_time() - start_cpu_s


def compare(device: Device, batch_size: int, rounds: int) -> None:
    batch = make_batch(batch_size, device)
    steps = {
        "plain, float32": plain_step(batch),
        "ours, float32, channels first": our_step(batch, device, Learning(channels_last=False)),
        "ours, float32": our_step(batch, device, Learning()),
        "ours, bfloat16": our_step(batch, device, Learning(precision="bfloat16")),
    }
    for learn in steps.values():
        timed(learn, device)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for number in range(rounds):
        for turn in range(len(steps)):
            name = list(steps)[(turn + number) % len(steps)]
            found[name].append(timed(steps[name], device))
    for name, times in found.items():
        log.info("  %-30s %s", name, _against(found["plain, float32"], times))


def _against(plain: list[tuple[float, float]], times: list[tuple[float, float]]) -> str:
    texts = []
    for kind, what in ((0, "s"), (1, "s of a core")):
        ratios = [slow[kind] / fast[kind] for slow, fast in zip(plain, times, strict=True)]
        spread = f"{median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"
        texts.append(f"{median(both[kind] for both in times):7.3f} {what}, {spread}")
    return "   ".join(texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=80)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    log.info("batches of %d, %d threads, torch %s", arguments.batch_size, arguments.threads, torch.__version__)
    log.info("on the CPU (%s, %s):", platform.platform(), torch.backends.cpu.get_cpu_capability())
    compare("cpu", arguments.batch_size, arguments.rounds)
    if torch.cuda.is_available():
        log.info("on the GPU (%s):", torch.cuda.get_device_name())
        compare("gpu", arguments.batch_size, 10 * arguments.rounds)


if __name__ == "__main__":
    main()

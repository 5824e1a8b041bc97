"""Does this machine's GPU agree with its CPU? Tests each place where they can differ, on made-up data.

Each check does the same work on `device` and on the CPU. They run on the CPU alone too: DALI then decodes what it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import torch

from data.batches.augment import Augmentation
from data.batches.batch import Batch
from data.batches.loader import batches
from data.machine import Device
from data.video.frames import NotForDaliError
from model.checks.faces import face_trials, labelled_faces, torch_device
from model.checks.videos import Trial, video_trials
from model.inference import place
from model.network import Outputs
from model.systems.mtanet.network import MTANet
from model.training.learning import Learning
from model.training.losses import Emphasis, task_losses, total_loss
from model.training.step import Run, make_optimiser, record_passes, start_average, step

_LOSS = 1e-2
"""Relative: a GPU convolves with TF32."""
_STRONG_STEPS_APART = 5e-2
"""Relative tolerance. On a CPU, float32 instead of bfloat16 changes the gradient by 0.018, and noise of two levels on
the faces by 0.028; without averaging, or at a rate 1.1 times as high, the average is off by 0.07 and 0.09. Clipping
has no effect here, because AdamW ignores the length of a gradient.
"""
_CHANGES = Augmentation(flip=0.5, crop=1, colour=1, blur=0.2, erase=0.25)
_STRONG = Learning(
    batch_size=12,
    optimiser="adamw",
    learning_rate=5e-4,
    weight_decay=1e-2,
    ema_decay=0.999,
    gradient_clip=1.0,
    precision="bfloat16",
)
"""The settings of `flows/experiments/strong.toml`, for the twelve faces."""
_NUM_STEPS = 3


class Verdict(StrEnum):
    """The verdict of a check; after the first two there is nothing to do."""

    AGREES = "agrees"
    PYAV = "not decoded by this GPU, PyAV will decode it"
    DIFFERS = "DIFFERS"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Check:
    """One comparison of a device with the CPU."""

    name: str
    verdict: Verdict
    found: str

    @property
    def agrees(self) -> bool:
        return self.verdict is Verdict.AGREES


def compare_with_cpu(device: Device, folder: Path) -> Iterator[Check]:
    """The checks, with their results; `folder` takes their files."""
    for name, trial in trials(device, folder).items():
        yield check(name, trial)


def trials(device: Device, folder: Path) -> dict[str, Trial]:
    """All checks, by name."""
    return {
        **video_trials(device, folder),
        **face_trials(device, folder),
        "training step": partial(_training_step, device),
        "steps of the strong recipe": partial(_strong_steps, device, folder),
    }


def check(name: str, trial: Trial) -> Check:
    """Runs a check. If the device cannot do the work at all, the check fails with the error as its finding."""
    try:
        agrees, found = trial()
    except NotForDaliError as error:
        return Check(name, Verdict.PYAV, str(error))
    except (
        Exception
    ) as error:  # any error: unsupported work can raise any type in a driver or a library, and the other checks
        # must still run, because together they show what is wrong
        return Check(name, Verdict.FAILED, f"{type(error).__name__}: {error}")
    return Check(name, Verdict.AGREES if agrees else Verdict.DIFFERS, found)


def _training_step(device: Device) -> tuple[bool, str]:
    loss, norm = _loss_and_gradient(device)
    true_loss, true_norm = _loss_and_gradient("cpu")
    apart = max(abs(loss / true_loss - 1), abs(norm / true_norm - 1))
    return apart < _LOSS, f"loss {loss:.5f} against {true_loss:.5f}, gradient {norm:.5f} against {true_norm:.5f}"


def _strong_steps(device: Device, folder: Path) -> tuple[bool, str]:
    found, true = (_run_strong(on, _augmented_batch(on, folder)) for on in (device, "cpu"))
    apart = max(abs(number / true[name] - 1) for name, number in found.items())
    return apart < _STRONG_STEPS_APART, ", ".join(
        f"{name} {found[name]:.5f} against {true[name]:.5f}" for name in found
    )


def _run_strong(device: Device, batch: Batch) -> dict[str, float]:
    """Some steps on one batch: the losses of the last one, and how far the average of the weights has moved."""
    network = _small_network(device)
    run = Run(network, make_optimiser(network, _STRONG), start_average(network))
    record_passes(run, _STRONG)
    smoothed = Emphasis(smoothing=0.05)
    for steps in range(_NUM_STEPS):
        numbers = step(run, batch, _STRONG, smoothed, rate=_STRONG.learning_rate, steps=steps)
    start = torch.cat([weights.flatten() for weights in _small_network(device).parameters()])
    gone = torch.cat([weights.flatten() for weights in run.scored.parameters()]) - start
    return {"loss": numbers["loss"], "gradient": numbers["gradient_norm"], "average": gone.norm().item()}


def _augmented_batch(device: Device, folder: Path) -> Batch:
    """Twelve faces as a training sees them."""
    return next(batches(labelled_faces(folder / "recipe.parquet"), batch_size=12, device=device, augment=_CHANGES))


def _small_network(device: Device) -> MTANet:
    torch.manual_seed(0)
    network = MTANet(num_units=8, num_expressions=7, layers=(1, 1, 1, 1), width=16, neck=64, dropout=0.0)
    return place(network, device).train()


def _loss_and_gradient(device: Device) -> tuple[float, float]:
    """Gradients of a small network on random faces; the norm is that of the whole gradient."""
    network = _small_network(device)
    random = torch.Generator().manual_seed(0)
    batch = Batch(
        torch.rand(16, 3, 112, 112, generator=random) * 2 - 1,
        torch.rand(16, 2, generator=random) * 2 - 1,
        torch.randint(7, (16,), generator=random).float(),
        torch.randint(2, (16, 8), generator=random).float(),
        torch.zeros(16, dtype=torch.int64),
        torch.arange(16),
    ).to(torch_device(device))
    outputs: Outputs = network(batch.faces_BCHW)
    loss = total_loss(task_losses(outputs, batch), network.log_sigma_T, "learned")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad.norm() for parameter in network.parameters() if parameter.grad is not None]
    return loss.item(), torch.stack(gradients).norm().item()

"""Does this machine's GPU do what its CPU does? Each place where the two part ways, tried on made-up data.

Each trial does the same on `device` and on the CPU. For the CPU itself they run too: DALI then decodes what it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import torch

from data.batch import Batch
from data.video import Device, NotForDaliError
from model.agreement_faces import face_trials, place
from model.agreement_videos import Trial, video_trials
from model.losses import task_losses, total_loss
from model.network import MTANet, Outputs

_LOSS = 1e-2
"""Relative: a GPU convolves with TF32."""


class Verdict(StrEnum):
    """Of a trial; the first two leave nothing to be done."""

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
    """The checks, each as it is done; `folder` takes their files."""
    for name, trial in trials(device, folder).items():
        yield check(name, trial)


def trials(device: Device, folder: Path) -> dict[str, Trial]:
    """What can be tried, by name."""
    return {
        **video_trials(device, folder),
        **face_trials(device, folder),
        "training step": partial(_training_step, device),
    }


def check(name: str, trial: Trial) -> Check:
    """Does a trial; what the device cannot do at all has failed, with the error as what was found."""
    try:
        agrees, found = trial()
    except NotForDaliError as error:
        return Check(name, Verdict.PYAV, str(error))
    except Exception as error:  # any: what a driver or a library does not support can end in any kind, and the trials
        # that follow are to be done all the same, since together they say what is wrong
        return Check(name, Verdict.FAILED, f"{type(error).__name__}: {error}")
    return Check(name, Verdict.AGREES if agrees else Verdict.DIFFERS, found)


def _training_step(device: Device) -> tuple[bool, str]:
    loss, norm = _loss_and_gradient(device)
    true_loss, true_norm = _loss_and_gradient("cpu")
    apart = max(abs(loss / true_loss - 1), abs(norm / true_norm - 1))
    return apart < _LOSS, f"loss {loss:.5f} against {true_loss:.5f}, gradient {norm:.5f} against {true_norm:.5f}"


def _loss_and_gradient(device: Device) -> tuple[float, float]:
    """Of a small network on random faces; the norm is that of the whole gradient."""
    torch.manual_seed(0)
    network = MTANet(num_units=8, num_expressions=7, layers=(1, 1, 1, 1), width=16, neck=64, dropout=0.0)
    random = torch.Generator().manual_seed(0)
    batch = Batch(
        torch.rand(16, 3, 112, 112, generator=random) * 2 - 1,
        torch.rand(16, 2, generator=random) * 2 - 1,
        torch.randint(7, (16,), generator=random).float(),
        torch.randint(2, (16, 8), generator=random).float(),
        torch.zeros(16, dtype=torch.int64),
        torch.arange(16),
    ).to(place(device))
    network.to(place(device)).train()
    outputs: Outputs = network(batch.faces_BCHW)
    loss = total_loss(task_losses(outputs, batch), network.log_sigma_T, "learned")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad.norm() for parameter in network.parameters() if parameter.grad is not None]
    return loss.item(), torch.stack(gradients).norm().item()

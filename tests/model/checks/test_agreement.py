"""The comparison of a device with the CPU runs here with the CPU as the device, and sees what is wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from support.trials import checked

from data.video.frames import Chunk, NotForDaliError, read_frames
from flows.command.doctor import print_gpu_verdict
from model.checks import agreement, faces, videos
from model.checks.agreement import Check, Verdict, compare_with_cpu, trials
from model.training.step import Record, step

pytestmark = pytest.mark.slow


def few_trials(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Leaves the doctor these only, and the CPU as its GPU."""
    all_trials = trials
    monkeypatch.setattr(agreement, "trials", lambda *where: {name: all_trials(*where)[name] for name in names})
    monkeypatch.setattr("data.video.frames.resolve_device", lambda _: "cpu")


def test_the_cpu_agrees_with_itself(tmp_path: Path) -> None:
    checks = {check.name: check for check in compare_with_cpu("cpu", tmp_path)}
    assert [check for check in checks.values() if not check.agrees] == []
    assert set(checks) == {
        *(f"decode {codec}" for codec in ("mjpeg", "vp8", "vp9")),
        *(f"decode vp9 {how}" for how in ("at a varying rate", "filmed sideways", "from frame 64 on")),
        *("extraction", "crops", "appearances", "detector", "batches", "augmented batches", "training step"),
        "steps of the strong recipe",
    }
    assert checks["decode mjpeg"].found.startswith("130 frames in order, times within 0.0 ms")


@pytest.mark.parametrize("error", [RuntimeError, TypeError, OSError, AttributeError])
def test_what_the_device_cannot_do_has_failed_and_the_rest_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse(*_: object, **__: object) -> np.ndarray:
        raise error("no kernel image is available")

    monkeypatch.setattr(faces, "cut_faces", refuse)
    few_trials(monkeypatch, "crops", "training step")
    crops, step = compare_with_cpu("cpu", tmp_path)
    assert crops == Check("crops", Verdict.FAILED, f"{error.__name__}: no kernel image is available")
    assert step.agrees


def test_steps_that_go_too_far_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device's steps are the first three."""
    num_steps = count()

    def hasty(*arguments: Any, rate: float, steps: int) -> Record:
        return step(*arguments, rate=rate * (1.2 if next(num_steps) < 3 else 1.0), steps=steps)

    monkeypatch.setattr(agreement, "step", hasty)
    assert checked("steps of the strong recipe", tmp_path).verdict is Verdict.DIFFERS


@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="this machine has a GPU")
def test_the_doctor_of_a_machine_without_a_gpu_reports_it() -> None:
    with pytest.raises(ValueError, match="expected an NVIDIA GPU with its driver, found none"):
        print_gpu_verdict(Console(file=io.StringIO()))


def test_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    few_trials(monkeypatch, "crops", "training step")
    said = io.StringIO()
    print_gpu_verdict(Console(file=said, width=200))
    assert said.getvalue().startswith("agrees   crops: 0.00 levels apart")
    assert said.getvalue().splitlines()[-1] == "verdict: the GPU agrees with the CPU in all 2 checks"
    monkeypatch.setattr(faces, "_CROP_LEVELS", -1.0)
    with pytest.raises(RuntimeError, match=r"differs from the CPU in 1 of 2 checks: crops; use --device cpu"):
        print_gpu_verdict(Console(file=io.StringIO()))


def test_a_codec_that_the_gpu_lacks_is_no_failure_since_pyav_decodes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(path: Path, **options: Any) -> Iterator[Chunk]:
        if options["decoder"] != "pyav":
            raise NotForDaliError(f"{path.name}: DALI cannot: unsupported")
        return read_frames(path, **options)

    monkeypatch.setattr(videos, "read_frames", lacking)
    few_trials(monkeypatch, "decode mjpeg", "crops")
    said = io.StringIO()
    print_gpu_verdict(Console(file=said, width=200))
    assert said.getvalue().splitlines()[::2] == [
        "not decoded by this GPU, PyAV will decode it  decode mjpeg: mjpeg-even-0.mp4: DALI cannot: unsupported",
        "verdict: the GPU agrees with the CPU in 1 of 2 checks; PyAV replaces the GPU in the others: decode mjpeg",
    ]

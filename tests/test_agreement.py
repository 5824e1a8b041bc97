"""The comparison of a device with the CPU runs here with the CPU as the device, and sees what is wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from data.augment import Augmentation
from data.batch import Batch
from data.frames import LabelledFrames
from data.loader import batches
from data.video import Chunk, Decoder, Device, read_frames
from flows.doctor import print_gpu_verdict
from model import agreement
from model.agreement import compare_with_cpu
from model.step import Record, step


def test_the_cpu_agrees_with_itself(tmp_path: Path) -> None:
    checks = {check.name: check for check in compare_with_cpu("cpu", tmp_path)}
    assert [check.name for check in checks.values() if not check.agrees] == []
    assert {"decode vp9", "decode vp9 at a varying rate", "crops", "detector", "batches", "training step"} <= set(
        checks
    )
    assert {"changed faces", "steps of the strong recipe"} <= set(checks)
    assert checks["decode mjpeg"].found.startswith("130 frames in order, times within 0.0 ms")


def test_a_decoder_that_repeats_a_frame_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stutter(path: Path, *, device: Device, decoder: Decoder) -> Iterator[Chunk]:
        for chunk in read_frames(path, device=device, decoder=decoder):
            if decoder != "pyav" and 40 in chunk.frame_indices:
                place = chunk.frame_indices.index(40)
                chunk.frames_FHWC[place] = chunk.frames_FHWC[place - 1]
            yield chunk

    monkeypatch.setattr(agreement, "read_frames", stutter)
    check = next(check for check in compare_with_cpu("cpu", tmp_path) if check.name == "decode vp9")
    assert not check.agrees
    assert check.found == "expected frames 0 to 129, found 130, the first wrong one at 40"


def test_times_and_colours_of_another_clip_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(path: Path, *, device: Device, decoder: Decoder) -> Iterator[Chunk]:
        for chunk in read_frames(path, device=device, decoder=decoder):
            shift_s = 0.0 if decoder == "pyav" else 0.04
            yield replace(chunk, times_s=tuple((time_s or 0) + shift_s for time_s in chunk.times_s))

    monkeypatch.setattr(agreement, "read_frames", late)
    check = next(check for check in compare_with_cpu("cpu", tmp_path) if check.name == "decode mjpeg")
    assert not check.agrees
    assert "times within 40.0 ms" in check.found


def test_what_the_device_cannot_do_differs_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> np.ndarray:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(agreement, "cut_faces", refuse)
    checks = {check.name: check for check in compare_with_cpu("cpu", tmp_path)}
    assert (checks["crops"].agrees, checks["crops"].found) == (False, "no kernel image is available")
    assert checks["training step"].agrees  # the others are still tried


def test_faces_changed_otherwise_and_steps_that_go_too_far_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU's faces are the first that are changed; the device's steps are the first three."""
    num_batches, num_steps = count(), count()

    def paler(frames: LabelledFrames, *, augment: Augmentation, **options: Any) -> Iterator[Batch]:
        if next(num_batches) == 1:
            augment = replace(augment, contrast=0.0, flip=0.0)
        return batches(frames, augment=augment, **options)

    def hasty(*arguments: Any, rate: float, steps: int) -> Record:
        return step(*arguments, rate=rate * (1.2 if next(num_steps) < 3 else 1.0), steps=steps)

    monkeypatch.setattr(agreement, "batches", paler)
    monkeypatch.setattr(agreement, "step", hasty)
    checks = {check.name: check for check in compare_with_cpu("cpu", tmp_path)}
    wrong = [check.name for check in checks.values() if not check.agrees]
    assert wrong == ["changed faces", "steps of the strong recipe"]


@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="this machine has a GPU")
def test_without_a_gpu_the_doctor_says_so() -> None:
    with pytest.raises(ValueError, match="expected an NVIDIA GPU with its driver, found none"):
        print_gpu_verdict(Console(file=io.StringIO()))


def test_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.video.resolve_device", lambda _: "cpu")  # the CPU stands in for a GPU
    said = io.StringIO()
    print_gpu_verdict(Console(file=said, width=200))
    assert said.getvalue().splitlines()[-1] == "verdict: the GPU does what the CPU does, in all 10 checks"
    monkeypatch.setattr(agreement, "_CROP_LEVELS", -1.0)
    with pytest.raises(RuntimeError, match=r"differs from the CPU in 1 of 10 checks: crops; work with --device cpu"):
        print_gpu_verdict(Console(file=io.StringIO()))

"""The comparison of a device with the CPU runs here with the CPU as the device, and sees what is wrong."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from data import detections
from data.faces import FaceDetector, Faces
from data.video import Chunk, NotForDaliError, read_frames
from flows.doctor import print_gpu_verdict
from model import agreement, agreement_faces, agreement_videos
from model.agreement import Check, Verdict, check, compare_with_cpu, trials


def checked(name: str, folder: Path) -> Check:
    return check(name, trials("cpu", folder)[name])


def few_trials(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Leaves the doctor these only, and the CPU as its GPU."""
    all_trials = trials
    monkeypatch.setattr(agreement, "trials", lambda *where: {name: all_trials(*where)[name] for name in names})
    monkeypatch.setattr("data.video.resolve_device", lambda _: "cpu")


def test_the_cpu_agrees_with_itself(tmp_path: Path) -> None:
    checks = {check.name: check for check in compare_with_cpu("cpu", tmp_path)}
    assert [check for check in checks.values() if not check.agrees] == []
    assert set(checks) == {
        *(f"decode {codec}" for codec in ("mjpeg", "vp8", "vp9")),
        *(f"decode vp9 {how}" for how in ("at a varying rate", "filmed sideways", "from frame 64 on")),
        *("extraction", "crops", "detector", "batches", "training step"),
    }
    assert checks["decode mjpeg"].found.startswith("130 frames in order, times within 0.0 ms")


def test_a_decoder_that_repeats_a_frame_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stutter(path: Path, **options: Any) -> Iterator[Chunk]:
        for chunk in read_frames(path, **options):
            if options["decoder"] != "pyav" and 40 in chunk.frame_indices:
                place = chunk.frame_indices.index(40)
                chunk.frames_FHWC[place] = chunk.frames_FHWC[place - 1]
            yield chunk

    monkeypatch.setattr(agreement_videos, "read_frames", stutter)
    found = checked("decode vp9", tmp_path)
    assert found.verdict is Verdict.DIFFERS
    assert found.found == "expected frames 0 to 129, found 130, the first wrong one at 40"


def spoil_chunks(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Chunk], Chunk]) -> None:
    """Those of DALI."""

    def spoilt(path: Path, **options: Any) -> Iterator[Chunk]:
        chunks = read_frames(path, **options)
        return chunks if options["decoder"] == "pyav" else map(spoil, chunks)

    monkeypatch.setattr(agreement_videos, "read_frames", spoilt)


def late(chunk: Chunk) -> Chunk:
    return replace(chunk, times_s=tuple((time_s or 0) + 0.04 for time_s in chunk.times_s))


def with_a_red_frame(chunk: Chunk) -> Chunk:
    """The thirtieth, but for the blocks that spell its number."""
    for frame_HWC in chunk.frames_FHWC[30 - chunk.frame_indices.start :][: 30 in chunk.frame_indices]:
        frame_HWC[40:, :, 0] = 255
    return chunk


def not_turned(chunk: Chunk) -> Chunk:
    return replace(chunk, frames_FHWC=chunk.frames_FHWC.rot90(-1, dims=(1, 2)))


def upside_down(chunk: Chunk) -> Chunk:
    return replace(chunk, frames_FHWC=chunk.frames_FHWC.rot90(2, dims=(1, 2)))


def one_on(chunk: Chunk) -> Chunk:
    return replace(chunk, frames_FHWC=chunk.frames_FHWC.roll(-1, 0))


@pytest.mark.parametrize(
    ("name", "spoil", "found"),
    [
        ("decode mjpeg", late, "times within 40.0 ms"),
        ("decode mjpeg", with_a_red_frame, r"130 frames in order, .* colours of each \d\d\.\d levels apart at most"),
        ("decode vp9 filmed sideways", not_turned, r"expected frames of \(192, 320\) px, .* found \(320, 192\)"),
        ("decode vp9 filmed sideways", upside_down, "expected frames 0 to 129, found 130, the first wrong one at 0"),
        ("decode vp9 from frame 64 on", one_on, "expected frames 64 to 129, found 66, the first wrong one at 64"),
    ],
)
def test_a_decoder_with_other_times_colours_turns_or_frames_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, spoil: Callable[[Chunk], Chunk], found: str
) -> None:
    spoil_chunks(monkeypatch, spoil)
    check = checked(name, tmp_path)
    assert check.verdict is Verdict.DIFFERS
    assert re.search(found, check.found)


def spoil_extraction(monkeypatch: pytest.MonkeyPatch, name: str, spoil: Callable[..., Any]) -> None:
    """What extraction calls by that name is spoilt in the video that DALI decodes."""
    extract_video = agreement_videos.extract_video

    def extract(*where: Path, **options: Any) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            if options["decoder"] == "dali":
                patch.setattr(detections, name, partial(spoil, getattr(detections, name)))
            return extract_video(*where, **options)

    monkeypatch.setattr(agreement_videos, "extract_video", extract)


def without_sight(read: Callable[..., Iterator[Chunk]], *where: Path, **options: Any) -> Iterator[Chunk]:
    for chunk in read(*where, **options):
        yield replace(chunk, frames_FHWC=torch.zeros_like(chunk.frames_FHWC))


def one_late(read: Callable[..., Iterator[Chunk]], *where: Path, **options: Any) -> Iterator[Chunk]:
    """The first frame comes twice, the last of the first chunk never."""
    for chunk in read(*where, **options):
        yield replace(chunk, frames_FHWC=torch.cat([chunk.frames_FHWC[:1], chunk.frames_FHWC[:-1]]))


def mirrored(cut: Callable[..., np.ndarray], *what: Any, **options: Any) -> np.ndarray:
    return np.ascontiguousarray(cut(*what, **options)[:, :, ::-1])


@pytest.mark.parametrize(
    ("name", "spoil", "found"),
    [
        ("read_frames", without_sight, r"expected in row 0 frame and status \(0, 'ok'\), found \(0, 'no_face'\)"),
        ("read_frames", one_late, "expected in row|landmarks within [3-9]"),
        ("cut_faces", mirrored, r"landmarks within 0\.\d\d px, each crop \d\d"),
    ],
)
def test_an_extraction_that_gives_other_rows_or_faces_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, spoil: Callable[..., Any], found: str
) -> None:
    spoil_extraction(monkeypatch, name, spoil)
    extraction = checked("extraction", tmp_path)
    assert extraction.verdict is Verdict.DIFFERS
    assert re.search(found, extraction.found)


def test_a_clip_in_which_the_cpu_finds_no_face_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement_videos, "with_face", lambda frame, **_: frame)
    found = "the CPU finds no face in its test clip"
    assert checked("extraction", tmp_path) == Check("extraction", Verdict.DIFFERS, found)


def spoil_second_detector(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[FaceDetector], None]) -> None:
    """The one on the CPU is made first, then that on the device."""
    made: list[FaceDetector] = []

    def make(**options: Any) -> FaceDetector:
        made.append(FaceDetector(**options))
        if len(made) == 2:
            spoil(made[-1])
        return made[-1]

    monkeypatch.setattr(agreement_faces, "FaceDetector", make)


def blind(detector: FaceDetector) -> None:
    detector._network.register_forward_hook(lambda *maps: [torch.zeros_like(level) for level in maps[-1]])


def changed(detector: FaceDetector, change: Callable[[Faces], Faces]) -> None:
    look = detector.look
    detector.look = lambda *frames, **kind: [change(faces) for faces in look(*frames, **kind)]  # type: ignore[method-assign]


def without_the_last(faces: Faces) -> Faces:
    return Faces(faces.boxes_F4[:1], faces.landmarks_F52[:1], faces.scores_F[:1])


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (blind, r"expected \[2, 1, 0, .+\] faces as on the CPU, found \[0, 0, 0, "),
        (lambda one: changed(one, without_the_last), r"faces as on the CPU, found \[1, 1, 0, "),
        (lambda one: changed(one, lambda faces: replace(faces, boxes_F4=faces.boxes_F4 + 1)), "boxes within 1.00 px"),
        (
            lambda one: changed(one, lambda faces: replace(faces, landmarks_F52=faces.landmarks_F52[:, ::-1])),
            r"landmarks \d\d",
        ),
        (lambda one: changed(one, lambda faces: replace(faces, scores_F=faces.scores_F - 0.02)), "scores 0.0200"),
    ],
)
def test_a_detector_that_finds_other_faces_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[FaceDetector], None], found: str
) -> None:
    spoil_second_detector(monkeypatch, spoil)
    detector = checked("detector", tmp_path)
    assert detector.verdict is Verdict.DIFFERS
    assert re.search(found, detector.found)


def test_a_detector_that_resizes_floats_and_orders_faces_otherwise_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_on_a_gpu(detector: FaceDetector) -> None:
        look = detector.look

        def look_at_floats(frames: Sequence[Tensor], *size: int, **kind: bool) -> list[Faces]:
            seen = look([frame.float() for frame in frames], *size, **kind)
            return [Faces(one.boxes_F4[::-1], one.landmarks_F52[::-1], one.scores_F[::-1]) for one in seen]

        detector.look = look_at_floats  # type: ignore[method-assign, assignment]

    spoil_second_detector(monkeypatch, as_on_a_gpu)
    detector = checked("detector", tmp_path)
    assert detector.agrees
    assert detector.found.startswith("14 faces, boxes within 0.03 px, landmarks 0.02 px")


def test_pictures_in_which_the_cpu_finds_no_face_prove_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement_faces, "with_face", lambda frame, **_: frame)
    detector = checked("detector", tmp_path)
    assert detector.verdict is Verdict.DIFFERS
    assert detector.found == "the CPU finds [0, 0, 0] faces in its test pictures of [2, 1, 0]"


@pytest.mark.parametrize("error", [RuntimeError, TypeError, OSError, AttributeError])
def test_what_the_device_cannot_do_has_failed_and_the_rest_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse(*_: object, **__: object) -> np.ndarray:
        raise error("no kernel image is available")

    monkeypatch.setattr(agreement_faces, "cut_faces", refuse)
    few_trials(monkeypatch, "crops", "training step")
    crops, step = compare_with_cpu("cpu", tmp_path)
    assert crops == Check("crops", Verdict.FAILED, f"{error.__name__}: no kernel image is available")
    assert step.agrees


@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="this machine has a GPU")
def test_without_a_gpu_the_doctor_says_so() -> None:
    with pytest.raises(ValueError, match="expected an NVIDIA GPU with its driver, found none"):
        print_gpu_verdict(Console(file=io.StringIO()))


def test_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    few_trials(monkeypatch, "crops", "training step")
    said = io.StringIO()
    print_gpu_verdict(Console(file=said, width=200))
    assert said.getvalue().startswith("agrees   crops: 0.00 levels apart")
    assert said.getvalue().splitlines()[-1] == "verdict: the GPU does what the CPU does, in all 2 checks"
    monkeypatch.setattr(agreement_faces, "_CROP_LEVELS", -1.0)
    with pytest.raises(RuntimeError, match=r"differs from the CPU in 1 of 2 checks: crops; work with --device cpu"):
        print_gpu_verdict(Console(file=io.StringIO()))


def test_a_codec_that_the_gpu_lacks_is_no_failure_since_pyav_decodes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(path: Path, **options: Any) -> Iterator[Chunk]:
        if options["decoder"] != "pyav":
            raise NotForDaliError(f"{path.name}: DALI cannot: unsupported")
        return read_frames(path, **options)

    monkeypatch.setattr(agreement_videos, "read_frames", lacking)
    few_trials(monkeypatch, "decode mjpeg", "crops")
    said = io.StringIO()
    print_gpu_verdict(Console(file=said, width=200))
    assert said.getvalue().splitlines()[::2] == [
        "not decoded by this GPU, PyAV will decode it  decode mjpeg: mjpeg-even-0.mp4: DALI cannot: unsupported",
        "verdict: the GPU does what the CPU does, in 1 of 2 checks; "
        "PyAV takes the place of the GPU in the others: decode mjpeg",
    ]

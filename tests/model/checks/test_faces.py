"""The trials of crops, the detector and batches, with a CPU in the GPU's place, see what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from nvidia.dali import fn
from support.trials import checked
from torch import Tensor

from data.batches import dali_graph, loader
from data.batches.batch import Batch
from data.batches.dali_graph import face_pipeline
from data.faces.detector import NO_FACES, FaceDetector, Faces
from model.checks import faces as agreement_faces
from model.checks.agreement import Verdict


def spoil_second_detector(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[FaceDetector], None]) -> None:
    """The one on the CPU is made first, then that on the device."""
    made: list[FaceDetector] = []

    def make(**options: Any) -> FaceDetector:
        made.append(FaceDetector(**options))
        if len(made) == 2:
            spoil(made[-1])
        return made[-1]

    monkeypatch.setattr(agreement_faces, "FaceDetector", make)


def changed(detector: FaceDetector, change: Callable[[Faces], Faces]) -> None:
    look = detector.look
    detector.look = lambda *frames, **kind: [change(faces) for faces in look(*frames, **kind)]  # type: ignore[method-assign]


def without_the_last(faces: Faces) -> Faces:
    return Faces(faces.boxes_F4[:1], faces.landmarks_F52[:1], faces.scores_F[:1])


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (
            lambda one: changed(one, lambda _: NO_FACES),
            r"expected \[2, 1, 0, .+\] faces as on the CPU, found \[0, 0, 0, ",
        ),
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


def spoil_second(monkeypatch: pytest.MonkeyPatch, name: str, spoil: Callable[[Any], Any]) -> None:
    """What the second call of a function gives, which is that on the device."""
    calls, function = count(), getattr(agreement_faces, name)

    def second_spoilt(*what: Any, **options: Any) -> Any:
        given = function(*what, **options)
        return spoil(given) if next(calls) else given

    monkeypatch.setattr(agreement_faces, name, second_spoilt)


def mirrored_batches(epoch: Iterator[Batch]) -> Iterator[Batch]:
    return (replace(batch, faces_BCHW=batch.faces_BCHW.flip(3)) for batch in epoch)


def darker(epoch: Iterator[tuple[Any, Tensor]]) -> Iterator[tuple[Any, Tensor]]:
    return ((index_B, faces_BCHW - 0.02) for index_B, faces_BCHW in epoch)


@pytest.mark.parametrize(
    ("name", "function", "spoil", "found"),
    [
        ("appearances", "appearances", lambda looks_NL: looks_NL[::-1], r"of 6 faces within 0\.[1-9]"),
        ("batches", "face_batches", darker, "12 faces, each 2.55 levels apart at most"),
        ("batches", "face_batches", lambda epoch: [*epoch][::-1], "the frames come in another order"),
        ("augmented batches", "batches", mirrored_batches, r"12 faces, each \d\d\.\d\d levels apart at most"),
        ("augmented batches", "batches", lambda epoch: [*epoch][::-1], "the frames come in another order"),
    ],
)
def test_other_appearances_and_batches_differ(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    function: str,
    spoil: Callable[[Any], Any],
    found: str,
) -> None:
    spoil_second(monkeypatch, function, spoil)
    check = checked(name, tmp_path)
    assert check.verdict is Verdict.DIFFERS
    assert re.search(found, check.found)


@pytest.mark.filterwarnings("ignore:.*is not used|.*are not used:Warning")
@pytest.mark.parametrize(
    ("operator", "agrees"), [("the one of a GPU", True), ("gaussian_blur", False), ("erase", False)]
)
def test_augmented_batches_agree_with_the_warp_of_a_gpu_and_differ_without_blur_or_erasing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operator: str, agrees: bool
) -> None:
    graphs = count()

    def graph(**options: Any) -> Any:
        with monkeypatch.context() as patch:
            if next(graphs) == 0:
                return face_pipeline(**options)
            if agrees:
                size = (112, 112)
                patch.setattr(dali_graph, "_warped", lambda faces, matrix, _: fn.warp_affine(faces, matrix, size=size))
            else:
                patch.setattr(fn, operator, lambda faces, **_: faces)
            return face_pipeline(**options)

    monkeypatch.setattr(loader, "face_pipeline", graph)
    check = checked("augmented batches", tmp_path)
    assert check.agrees == agrees, check

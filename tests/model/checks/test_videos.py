"""The trials of decoding and extraction, with a CPU in the GPU's place, see what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.trials import checked

from data.extraction import detections
from data.extraction.extract import extract_video
from data.testing.numbered import number_in
from data.video.frames import NVDEC_CODECS, Chunk, choose_decoder, probe, read_frames
from model.checks import videos
from model.checks.agreement import Check, Verdict

pytestmark = pytest.mark.slow


def test_a_decoder_that_repeats_a_frame_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stutter(path: Path, **options: Any) -> Iterator[Chunk]:
        for chunk in read_frames(path, **options):
            if options["decoder"] != "pyav" and 40 in chunk.frame_indices:
                place = chunk.frame_indices.index(40)
                tensors(chunk)[place].copy_(tensors(chunk)[place - 1])
            yield chunk

    monkeypatch.setattr(videos, "read_frames", stutter)
    found = checked("decode vp9", tmp_path)
    assert found.verdict is Verdict.DIFFERS
    assert found.found == "expected frames 0 to 129, found 130, the first wrong one at 40"


def tensors(chunk: Chunk) -> list[torch.Tensor]:
    """The frames, which are tensors when DALI decodes them."""
    assert all(isinstance(frame_HWC, torch.Tensor) for frame_HWC in chunk.frames_HWC)
    return list(chunk.frames_HWC)  # type: ignore[arg-type]


def spoil_chunks(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Chunk], Chunk]) -> None:
    """Those of DALI."""

    def spoilt(path: Path, **options: Any) -> Iterator[Chunk]:
        chunks = read_frames(path, **options)
        return chunks if options["decoder"] == "pyav" else map(spoil, chunks)

    monkeypatch.setattr(videos, "read_frames", spoilt)


def late(chunk: Chunk) -> Chunk:
    return replace(chunk, times_s=tuple((time_s or 0) + 0.04 for time_s in chunk.times_s))


def with_a_red_frame(chunk: Chunk) -> Chunk:
    """The thirtieth, but for the blocks that spell its number."""
    for frame_HWC in tensors(chunk)[30 - chunk.frame_indices.start :][: 30 in chunk.frame_indices]:
        frame_HWC[40:, :, 0] = 255
    return chunk


def not_turned(chunk: Chunk) -> Chunk:
    return replace(chunk, frames_HWC=tuple(frame_HWC.rot90(-1) for frame_HWC in tensors(chunk)))


def upside_down(chunk: Chunk) -> Chunk:
    return replace(chunk, frames_HWC=tuple(frame_HWC.rot90(2) for frame_HWC in tensors(chunk)))


def one_on(chunk: Chunk) -> Chunk:
    return replace(chunk, frames_HWC=(*chunk.frames_HWC[1:], *chunk.frames_HWC[:1]))


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

    def extract(*what: Any, **options: Any) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            if options["decoder"] == "dali":
                patch.setattr(detections, name, partial(spoil, getattr(detections, name)))
            return extract_video(*what, **options)

    monkeypatch.setattr(videos, "extract_video", extract)


def without_sight(read: Callable[..., Iterator[Chunk]], *where: Path, **options: Any) -> Iterator[Chunk]:
    for chunk in read(*where, **options):
        yield replace(chunk, frames_HWC=tuple(map(torch.zeros_like, tensors(chunk))))


def one_late(read: Callable[..., Iterator[Chunk]], *where: Path, **options: Any) -> Iterator[Chunk]:
    """The first frame comes twice, the last of the first chunk never."""
    for chunk in read(*where, **options):
        yield replace(chunk, frames_HWC=(*chunk.frames_HWC[:1], *chunk.frames_HWC[:-1]))


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
    monkeypatch.setattr(videos, "with_face", lambda frame, **_: frame)
    found = "the CPU finds no face in its test clip"
    assert checked("extraction", tmp_path) == Check("extraction", Verdict.DIFFERS, found)


@pytest.mark.parametrize(
    ("codec", "rotation_deg", "ticks"),
    [
        *((codec, 0, None) for codec in sorted(NVDEC_CODECS)),
        ("h264", 90, None),
        ("h264", 0, videos._varying_ticks()),
    ],
)
def test_a_clip_for_a_gpu_is_one_that_nvdec_is_given_and_its_numbers_outlive_the_codec(
    tmp_path: Path, codec: str, rotation_deg: int, ticks: list[int] | None
) -> None:
    clip = videos._numbered_clip(tmp_path, codec, ticks, rotation_deg)
    assert choose_decoder(probe(clip), device="gpu", decoder="dali") == ("dali-gpu", "one frame a packet")
    _, pixels_FHWC = videos._read(clip, "cpu", "pyav", skip=64)
    assert [number_in(frame_HWC[::2, ::2]) for frame_HWC in pixels_FHWC] == [*range(64, 130)]


def test_a_gpu_is_tried_with_every_codec_of_nvdec(tmp_path: Path) -> None:
    assert set(videos.video_trials("gpu", tmp_path)) == {
        *(f"decode {codec}" for codec in NVDEC_CODECS),
        *(f"decode h264 {how}" for how in ("at a varying rate", "filmed sideways", "from frame 64 on")),
        "extraction",
    }

from __future__ import annotations

import threading
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import nvidia.dali.backend
import pytest
import torch
from support.clips import spoil
from support.odd_clips import numbers, stacked, times_s

from data.testing.numbered import SIZE, numbered, numbered_clip, write_clip
from data.video.frames import Chunk, Decoder, VideoFacts, choose_decoder, probe, read_frames, resolve_device


def read(path: Path, decoder: Decoder = "pyav", *, chunk: int = 8, skip: int = 0) -> list[Chunk]:
    return list(read_frames(path, device="cpu", decoder=decoder, chunk=chunk, skip=skip))


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9", "mpeg4", "mjpeg"])
def test_frame_i_is_the_i_th_on_display_with_its_time(tmp_path: Path, codec: str) -> None:
    chunks = read(numbered_clip(tmp_path / "clip.mkv", 20, codec=codec))
    assert numbers(chunks) == list(range(20))
    assert [chunk.frame_indices for chunk in chunks] == [range(8), range(8, 16), range(16, 20)]
    assert times_s(chunks) == pytest.approx([number / 25 for number in range(20)], abs=1e-6)
    assert {(frame.shape, frame[:].dtype) for frame in chunks[0].frames_HWC} == {((*SIZE, 3), torch.uint8)}


@pytest.mark.parametrize("num_frames", [16, 19])
def test_both_decoders_give_the_same_frames(tmp_path: Path, num_frames: int) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", num_frames, codec="libvpx-vp9")
    by_pyav, by_dali = read(clip), read(clip, "dali-cpu")
    assert numbers(by_dali) == numbers(by_pyav) == list(range(num_frames))
    assert [chunk.frame_indices for chunk in by_dali] == [chunk.frame_indices for chunk in by_pyav]
    assert times_s(by_dali) == pytest.approx(times_s(by_pyav), abs=1e-3)
    for one, other in zip(by_pyav, by_dali, strict=True):
        assert (stacked(one).float() - stacked(other)).abs().mean() < 3


@pytest.mark.parametrize("decoder", ["pyav", "dali-cpu"])
def test_times_of_a_variable_rate_are_those_of_the_file_from_its_first_frame(tmp_path: Path, decoder: Decoder) -> None:
    ticks = [500, 540, 580, 800, 801, 1200]
    clip = numbered_clip(tmp_path / "clip.webm", 6, codec="libvpx-vp9", ticks=ticks)
    chunks = read(clip, decoder)
    assert numbers(chunks) == list(range(6))
    assert times_s(chunks) == pytest.approx([tick / 1000 - 0.5 for tick in ticks], abs=1e-3)


@pytest.mark.parametrize("decoder", ["pyav", "dali-cpu"])
def test_skipped_frames_leave_the_later_chunks_as_they_are(tmp_path: Path, decoder: Decoder) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 20, codec="libvpx-vp9")
    whole, rest = read(clip, decoder), read(clip, decoder, skip=8)
    assert [chunk.frame_indices for chunk in rest] == [chunk.frame_indices for chunk in whole[1:]]
    assert times_s(rest) == times_s(whole[1:])
    for one, other in zip(rest, whole[1:], strict=True):
        assert torch.equal(stacked(one), stacked(other))


def test_the_last_chunk_is_empty_if_every_frame_is_skipped(tmp_path: Path) -> None:
    chunks = read(numbered_clip(tmp_path / "clip.mp4", 16), skip=16)
    assert [(chunk.frame_indices, len(chunk.frames_HWC)) for chunk in chunks] == [(range(16, 16), 0)]


@pytest.mark.parametrize("decoder", ["pyav", "dali-cpu"])
@pytest.mark.parametrize("rotation_deg", [90, 180])
def test_a_video_filmed_sideways_is_turned_upright(tmp_path: Path, rotation_deg: int, decoder: Decoder) -> None:
    turned = [np.rot90(numbered(number), -rotation_deg // 90) for number in range(3)]
    clip = write_clip(
        tmp_path / "clip.mp4", map(np.ascontiguousarray, turned), codec="libvpx-vp9", rotation_deg=rotation_deg
    )
    facts = probe(clip)
    assert (facts.width_px, facts.height_px, facts.rotation_deg) == (SIZE[1], SIZE[0], rotation_deg)
    chunks = read(clip, decoder)
    assert stacked(chunks[0]).shape == (3, *SIZE, 3)
    assert numbers(chunks) == [0, 1, 2]


def test_a_damaged_packet_is_a_frame_with_unknown_pixels(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 20, codec="mjpeg")
    spoil(clip, 12)
    chunks = read(clip)
    assert numbers(chunks) == [0 if number == 12 else number for number in range(20)]
    assert [chunk.damaged_packets for chunk in chunks] == [0, 1, 1]
    assert [chunk.undecoded for chunk in chunks] == [frozenset(), {12}, frozenset()]


def test_a_file_that_was_cut_short_gives_the_frames_it_holds(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mkv", 20, codec="mjpeg")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    found = numbers(read(clip))
    assert 5 < len(found) < 15
    assert found == list(range(len(found)))


def test_what_dali_cannot_decode_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 20, codec="libvpx-vp9")
    spoil(clip, 12)
    with pytest.raises(ValueError, match=r"clip\.mp4: DALI cannot decode it"):
        read(clip, "dali-cpu")


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc00000"
    "030001"
    "18dd8db00000000049454e44ae426082"
)
"""A picture of one pixel."""


def no_file(path: Path) -> None:
    assert not path.exists()


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("not a video " * 100)


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))


def folder(path: Path) -> None:
    path.mkdir()


def picture(path: Path) -> None:
    write_clip(path.with_suffix(".mkv"), [numbered(1)], codec="mjpeg")
    with av.open(str(path.with_suffix(".mkv"))) as container:
        content = bytes(next(container.demux(video=0)))
    path.with_suffix(".mkv").unlink()
    path.write_bytes(content)


def sound_with_a_cover(path: Path) -> None:
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        container.add_attachment("cover.png", "image/png", PNG)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))


def unknown_codec(path: Path) -> None:
    numbered_clip(path.with_suffix(".mp4"), 2)
    path.with_suffix(".mp4").rename(path)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"what").replace(b"avcC", b"whaC"))


def without_its_end(path: Path) -> None:
    numbered_clip(path.with_suffix(".mp4"), 20)
    path.with_suffix(".mp4").rename(path)
    path.write_bytes(path.read_bytes()[:2000])


def nothing_that_decodes(path: Path) -> None:
    numbered_clip(path, 2, codec="mjpeg")
    spoil(path, 0, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_file, "expected a video, found none; put it back and run the command again"),
        (empty, "expected a video, found 0 bytes; copy or download it again"),
        (text, r"expected a video, found none that FFmpeg can read \(Invalid data .*\); copy it again or remove it"),
        (sound, "expected a video stream, found audio; remove it"),
        (folder, "expected a video, found a folder; remove it"),
        (picture, "expected a video stream, found a picture; remove it"),
        (sound_with_a_cover, "expected a video stream, found a picture, audio; remove it"),
        (unknown_codec, "expected a video that can be decoded, found an unknown codec; convert it"),
        (without_its_end, r"expected a video, found none that FFmpeg can read \(Invalid data .*\); copy it .*"),
        (nothing_that_decodes, "expected frames, found none that can be decoded; copy or download it again"),
    ],
)
def test_a_file_without_frames_is_refused_by_name(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "107.mkv"
    make(path)
    with pytest.raises(ValueError, match=rf"107\.mkv: {message}$"):
        probe(path)
    with pytest.raises(ValueError, match=message):
        read(path)


def test_closing_the_frames_early_ends_the_decoder_thread(tmp_path: Path) -> None:
    frames = read_frames(numbered_clip(tmp_path / "clip.mp4", 100), device="cpu", decoder="pyav", chunk=4)
    next(frames)
    assert "decoder" in {thread.name for thread in threading.enumerate()}
    frames.close()
    assert "decoder" not in {thread.name for thread in threading.enumerate()}


VP9 = VideoFacts(
    codec="vp9",
    pixel_format="yuv420p",
    width_px=160,
    height_px=96,
    rotation_deg=0,
    pixel_aspect=1.0,
    num_packets=20,
    promised_frames=None,
    promised_s=0.8,
)


@pytest.mark.parametrize(
    ("facts", "device", "decoder", "chosen"),
    [
        ({}, "cpu", "auto", ("pyav", "the decoder on a CPU")),
        ({}, "cpu", "dali", ("dali-cpu", "one frame a packet")),
        ({}, "gpu", "auto", ("dali-gpu", "one frame a packet")),
        ({}, "gpu", "pyav", ("pyav", "asked for")),
        ({"codec": "hevc"}, "gpu", "dali", ("dali-gpu", "one frame a packet")),
        ({"codec": "h264", "pixel_format": "yuvj420p"}, "gpu", "auto", ("dali-gpu", "one frame a packet")),
        (
            {"codec": "wmv2"},
            "gpu",
            "auto",
            ("pyav", "DALI decodes av1, h264, hevc, mjpeg, vp8, vp9 on a gpu, found wmv2"),
        ),
        (
            {"pixel_format": "yuv420p10le"},
            "gpu",
            "auto",
            ("pyav", "DALI decodes 4:2:0 with 8 bits, found yuv420p10le"),
        ),
        ({"pixel_aspect": 1.5}, "gpu", "auto", ("pyav", "its pixels are not square")),
        ({"not_for_dali": "packet 3 is damaged"}, "gpu", "dali", ("pyav", "packet 3 is damaged")),
    ],
)
def test_dali_decodes_what_it_must_number_as_pyav_does(
    facts: dict[str, Any], device: str, decoder: str, chosen: tuple[str, str]
) -> None:
    assert choose_decoder(replace(VP9, **facts), device=device, decoder=decoder) == chosen  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "device", "message"),
    [
        ({"codec": "h264"}, "cpu", "DALI decodes mjpeg, vp8, vp9 on a cpu, found h264; use decoder auto or pyav"),
        ({"codec": "wmv2"}, "gpu", "DALI decodes av1, h264, .* on a gpu, found wmv2; use decoder auto or pyav"),
        ({"pixel_format": "yuv444p"}, "gpu", "4:2:0 with 8 bits, found yuv444p; use decoder auto or pyav"),
    ],
)
def test_dali_is_refused_what_it_does_not_decode(facts: dict[str, Any], device: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_decoder(replace(VP9, **facts), device=device, decoder="dali")  # type: ignore[arg-type]


def see_gpus(monkeypatch: pytest.MonkeyPatch, *, by_dali: int, by_torch: bool) -> None:
    monkeypatch.setattr(nvidia.dali.backend, "GetCUDADeviceCount", lambda: by_dali)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: by_torch)


def test_auto_takes_a_gpu_that_dali_and_torch_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    see_gpus(monkeypatch, by_dali=1, by_torch=True)
    assert [resolve_device("auto"), resolve_device("gpu"), resolve_device("cpu")] == ["gpu", "gpu", "cpu"]
    see_gpus(monkeypatch, by_dali=1, by_torch=False)
    assert resolve_device("auto") == "cpu"


@pytest.mark.parametrize(
    ("num_gpus", "message"),
    [
        (0, "device gpu: expected an NVIDIA GPU with its driver, found none; use device cpu or auto"),
        (1, r"device gpu: PyTorch 2\.\S+ cannot use the GPU of this machine; install a CUDA build"),
    ],
)
def test_a_gpu_is_not_replaced_silently(monkeypatch: pytest.MonkeyPatch, num_gpus: int, message: str) -> None:
    see_gpus(monkeypatch, by_dali=num_gpus, by_torch=False)
    with pytest.raises(ValueError, match=message):
        resolve_device("gpu")

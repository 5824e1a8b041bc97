"""DALI and PyAV agree on which frame is number i, or PyAV decodes and the manifest says so."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import nvidia.dali.experimental.dynamic
import pytest
from support.clips import spoil
from support.extraction import extract
from support.odd_clips import hide_vp8, later, numbered_film, numbers, remux, stacked

from data.store.shards import read_manifest
from data.testing.numbered import numbered_clip
from data.video.dali import failure
from data.video.frames import Chunk, DaliError, Decoder, NotForDaliError, choose_decoder, probe, read_frames

NUM_FRAMES = 30


def read(path: Path, decoder: Decoder) -> list[Chunk]:
    return list(read_frames(path, device="cpu", decoder=decoder, chunk=8))


def cut_in_two(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def late(path: Path) -> Path:
    return remux(path, path.with_stem("late"), later(5000))


AGREED: dict[str, dict[str, Any]] = {
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "0"}},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp9.mp4": {"codec": "libvpx-vp9", "rate": Fraction(30000, 1001)},
    "varying.webm": {"codec": "libvpx-vp9", "ticks": [40 * n + 7 * (n % 3) for n in range(NUM_FRAMES)]},
    "mjpeg.mkv": {"codec": "mjpeg"},
    "mjpeg.avi": {"codec": "mjpeg"},
    "sound.mkv": {"codec": "libvpx-vp9", "sound": "first"},
}


@pytest.mark.parametrize("name", AGREED)
def test_where_dali_is_taken_it_gives_the_frames_of_pyav(tmp_path: Path, name: str) -> None:
    clip = numbered_film(tmp_path / name, NUM_FRAMES, **AGREED[name])
    assert choose_decoder(probe(clip), device="cpu", decoder="dali") == ("dali-cpu", "one frame a packet")
    by_pyav, by_dali = read(clip, "pyav"), read(clip, "dali-cpu")
    assert numbers(by_dali) == numbers(by_pyav) == list(range(NUM_FRAMES))
    for one, other in zip(by_pyav, by_dali, strict=True):
        assert one.frame_indices == other.frame_indices
        assert other.times_s == pytest.approx(one.times_s, abs=2e-3)
        assert (stacked(one).float() - stacked(other)).abs().mean() < 4


def test_a_stream_that_starts_late_is_the_same_to_both(tmp_path: Path) -> None:
    clip = late(numbered_film(tmp_path / "clip.webm", 9, codec="libvpx-vp9"))
    assert numbers(read(clip, "dali-cpu")) == list(range(9))
    assert read(clip, "dali-cpu")[0].times_s == pytest.approx(read(clip, "pyav")[0].times_s, abs=1e-3)


def cut_by_edit_list(tmp_path: Path) -> Path:
    source = numbered_film(tmp_path / "source.mp4", NUM_FRAMES, codec="libvpx-vp9")
    return remux(source, tmp_path / "clip.mp4", later(-5 * 512))


def cut_short(name: str, codec: str) -> Callable[[Path], Path]:
    def make(tmp_path: Path) -> Path:
        clip = numbered_film(tmp_path / name, NUM_FRAMES, codec=codec)
        cut_in_two(clip)
        return clip

    return make


def with_an_invisible_frame(tmp_path: Path) -> Path:
    source = numbered_film(tmp_path / "source.webm", 12, codec="libvpx", options={"auto-alt-ref": "0"})
    return hide_vp8(source, tmp_path / "clip.webm", 7)


def packed(tmp_path: Path) -> Path:
    source = numbered_film(tmp_path / "source.avi", 5, codec="mpeg4", tag="XVID", options={"bf": "0"})

    def pack(packets: list[av.Packet]) -> list[av.Packet]:
        double = av.Packet(bytes(packets[1]) + bytes(packets[2]))
        double.pts = double.dts = packets[1].dts
        double.time_base = packets[1].time_base
        return [packets[0], double, *packets[3:]]

    return remux(source, tmp_path / "clip.avi", pack)


def begun_late(name: str, num_cut: int, **options: Any) -> Callable[[Path], Path]:
    """As if cut out of a longer recording."""

    def make(tmp_path: Path) -> Path:
        source = numbered_film(tmp_path / f"source-{name}", NUM_FRAMES, **options)
        return remux(source, tmp_path / name, lambda packets: packets[num_cut:])

    return make


OPEN_GROUPS = {"x264-params": "keyint=12:bframes=3:b-adapt=0:open-gop=1:scenecut=0"}


def begun_at_an_open_group(tmp_path: Path) -> Path:
    """The keyframe comes first, the frames that are shown before it need what was cut off."""
    source = numbered_film(tmp_path / "source.mkv", NUM_FRAMES, options=OPEN_GROUPS)
    with av.open(str(source)) as container:
        flags = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    return begun_late("clip.mkv", flags.index(True, 1), options=OPEN_GROUPS)(tmp_path)


def interlaced(tmp_path: Path) -> Path:
    return numbered_film(tmp_path / "clip.mp4", 9, options={"x264-params": "tff=1"})


@pytest.mark.parametrize(
    ("make", "device", "reason"),
    [
        (begun_late("clip.mkv", 3, codec="libvpx-vp9"), "gpu", "packet 0 is no keyframe"),
        (begun_late("clip.webm", 5, codec="libvpx-vp9"), "cpu", "packet 0 is no keyframe"),
        (begun_late("clip.ts", 4), "gpu", "packet 0 is no keyframe"),
        (interlaced, "gpu", "its frames are interlaced"),
        (begun_at_an_open_group, "gpu", r"packet \d+ is shown before the first keyframe"),
        (cut_by_edit_list, "cpu", "packet 0 is not shown"),
        (cut_short("clip.avi", "mjpeg"), "cpu", r"packet \d+ is damaged|header promises 30 frames"),
        (cut_short("clip.mp4", "mjpeg"), "cpu", r"packet \d+ is damaged"),
        (with_an_invisible_frame, "cpu", "packet 7 is not shown"),
        (lambda path: numbered_film(path / "c.avi", 9), "gpu", "its file does not say when frames are shown"),
        (lambda path: numbered_film(path / "c.mp4", 9, aspect=Fraction(2)), "gpu", "its pixels are not square"),
    ],
)
def test_pyav_decodes_what_dali_may_number_otherwise(
    tmp_path: Path, make: Callable[[Path], Path], device: Any, reason: str
) -> None:
    decoder, found = choose_decoder(probe(make(tmp_path)), device=device, decoder="dali")
    assert decoder == "pyav"
    assert re.search(reason, found)


def test_a_packet_with_two_frames_keeps_a_video_from_dali(tmp_path: Path) -> None:
    assert probe(packed(tmp_path)).not_for_dali == "packet 1 does not hold one frame"


def test_a_count_that_disagrees_is_an_error(tmp_path: Path) -> None:
    clip = cut_by_edit_list(tmp_path)
    with pytest.raises(NotForDaliError, match=r"clip\.mp4: DALI returned 25 frames for 30 packets"):
        read(clip, "dali-cpu")


def test_numbers_that_leave_one_out_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = numbered_film(tmp_path / "clip.mp4", 9, codec="libvpx-vp9")

    def leaving_out(**_: object) -> SimpleNamespace:
        numbers = SimpleNamespace(tensors=[SimpleNamespace(cpu=lambda: np.array([0, 1, 3]))])
        return SimpleNamespace(next_epoch=lambda batch_size: [(None, None, numbers, None)] * batch_size)

    monkeypatch.setattr(nvidia.dali.experimental.dynamic.experimental.readers, "Video", leaving_out)
    with pytest.raises(NotForDaliError, match=r"clip\.mp4: DALI returned frame numbers \[0, 1, 3\] after 0 frames"):
        read(clip, "dali-cpu")


def test_what_dali_fails_on_pyav_decodes_and_a_rerun_knows_it(tmp_path: Path) -> None:
    clip = numbered_film(tmp_path / "clip.mp4", NUM_FRAMES, codec="libvpx-vp9")
    spoil(clip, 14)
    assert choose_decoder(probe(clip), device="cpu", decoder="dali")[0] == "dali-cpu"
    done: list[int] = []
    folder = extract(clip, tmp_path / "store", decoder="dali", progress=done.append)
    manifest = read_manifest(folder)
    assert manifest["decoder"] == "pyav"
    assert manifest["decoder_reason"].startswith("DALI cannot decode it")
    assert (manifest["num_frames"], manifest["tracks"]["clip"]["decode_error"]) == (NUM_FRAMES, 10)
    assert {path.suffix for path in (tmp_path / "store" / "detections").iterdir()} == {""}
    decoded = sum(done)
    assert extract(clip, tmp_path / "store", decoder="dali", progress=done.append) == folder
    assert sum(done) == decoded


def test_pyav_decodes_what_dali_fails_on_in_this_run_and_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("mtanet"), "propagate", True)  # which a command may have ended
    clip = numbered_film(tmp_path / "clip.mp4", 9, codec="libvpx-vp9")

    def without_memory(**_: object) -> SimpleNamespace:
        raise RuntimeError("CUDA runtime API error cudaErrorMemoryAllocation (2): out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(nvidia.dali.experimental.dynamic.experimental.readers, "Video", without_memory)
        with pytest.raises(DaliError, match=r"clip\.mp4: DALI cannot decode it: CUDA .* out of memory"):
            read(clip, "dali-cpu")
        manifest = read_manifest(extract(clip, tmp_path / "store", decoder="dali"))
    assert manifest["decoder"] == "pyav"
    assert manifest["decoder_reason"].startswith("DALI cannot decode it: CUDA")
    assert any("clip.mp4: DALI cannot decode it: CUDA" in said for said in caplog.messages)
    assert "out of memory" not in (tmp_path / "store" / "videos.json").read_text()
    assert read_manifest(extract(clip, tmp_path / "store", decoder="dali"))["decoder"] == "dali-cpu"


@pytest.mark.parametrize(
    ("said", "is_for_good"),
    [
        ("Failed to send packet to decoder: Invalid data found when processing input", True),
        ("Codec 27 (h264) is not supported by the GPU variant of this operator.", True),
        ("Unsupported codec.", True),
        ("The number of input samples: 0, needs to be at least equal to the requested number of shards: 1.", True),
        ("CUDA driver API error CUDA_ERROR_OUT_OF_MEMORY (2)", False),
        ("No free decode session", False),
    ],
)
def test_only_what_is_the_files_own_is_known_for_good(tmp_path: Path, said: str, is_for_good: bool) -> None:
    assert isinstance(failure(tmp_path / "clip.mp4", said), NotForDaliError) is is_for_good


def test_a_clip_put_in_the_place_of_another_is_read_anew(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", 40, codec="libvpx-vp9")
    read(clip, "dali-cpu")
    numbered_clip(clip, 30, codec="libvpx-vp9", ticks=[40 * number + 20 * (number // 2) for number in range(30)])
    by_dali, by_pyav = read(clip, "dali-cpu"), read(clip, "pyav")
    assert numbers(by_dali) == [*range(30)]
    times_s = [[time_s for chunk in chunks for time_s in chunk.times_s] for chunks in (by_dali, by_pyav)]
    assert times_s[0] == pytest.approx(times_s[1], abs=1e-3)

"""Of every kind of video that people have, frame i is the i-th on display: its number is read back from its crop."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.odd_clips import EYES_ON_THE_BLOCKS, film, hide_vp8, later, number_in_crop, numbered_film, remux

from data.faces.crops import cut_faces
from data.testing.numbered import SIZE, number_in, numbered
from data.video.frames import Decoder, probe, read_frames

NUM_FRAMES = 30


@dataclass(frozen=True)
class Seen:
    """What was read of a video."""

    numbers: list[int]
    """From the crops."""
    times_s: list[float | None]
    undecoded: set[int]
    size: tuple[int, int]


def look(path: Path, decoder: Decoder = "pyav") -> Seen:
    numbers: list[int] = []
    times_s: list[float | None] = []
    undecoded: set[int] = set()
    size = (0, 0)
    for chunk in read_frames(path, device="cpu", decoder=decoder, chunk=8):
        owners = range(len(chunk.frames_HWC))
        landmarks_N52 = np.stack([EYES_ON_THE_BLOCKS] * len(owners)) if owners else np.empty((0, 5, 2), np.float32)
        numbers += [number_in_crop(crop) for crop in cut_faces(chunk.frames_HWC, owners, landmarks_N52, device="cpu")]
        times_s += chunk.times_s
        undecoded |= chunk.undecoded
        if owners:
            height_px, width_px = chunk.frames_HWC[0].shape[:2]
            size = (height_px, width_px)
        assert chunk.frame_indices.stop == len(numbers)
    return Seen(numbers, times_s, undecoded, size)


def is_whole(seen: Seen, times_s: list[float]) -> None:
    assert seen.numbers == list(range(len(times_s)))
    assert seen.times_s == pytest.approx(times_s, abs=1e-3)
    assert seen.undecoded == set()


KINDS: dict[str, dict[str, object]] = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.avi": {},
    "h264.ts": {},
    "h264-open.mkv": {"options": {"x264-params": "keyint=12:bframes=3:b-adapt=0:open-gop=1"}},
    "h264-10bit.mp4": {"pixel_format": "yuv420p10le"},
    "h264-444.mkv": {"pixel_format": "yuv444p"},
    "hevc.mp4": {"codec": "libx265"},
    "hevc-10bit.mkv": {"codec": "libx265", "pixel_format": "yuv420p10le"},
    "xvid.avi": {"codec": "mpeg4", "tag": "XVID"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1"},
    "mjpeg.avi": {"codec": "mjpeg"},
    "mjpeg.mp4": {"codec": "mjpeg"},
    "sound-first.mp4": {"sound": "first"},
    "sound-last.mkv": {"sound": "last"},
    "sound.avi": {"codec": "mpeg4", "tag": "XVID", "sound": "first"},
    "cover.mp4": {"has_cover": True},
}


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_of_every_kind_has_its_number_and_its_time(tmp_path: Path, name: str) -> None:
    clip = numbered_film(tmp_path / name, NUM_FRAMES, **KINDS[name])
    is_whole(look(clip), [number / 25 for number in range(NUM_FRAMES)])


@pytest.mark.parametrize("rate", [Fraction(15, 2), 15, Fraction(24000, 1001), 50, 60])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_rates_are_those_of_the_file(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    clip = numbered_film(tmp_path / f"clip.{suffix}", 10, rate=rate)
    is_whole(look(clip), [float(number / rate) for number in range(10)])


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mp4", "libx264"), ("clip.mkv", "libx265"), ("clip.webm", "libvpx-vp9")]
)
def test_times_of_a_variable_rate_are_true(tmp_path: Path, name: str, codec: str) -> None:
    ticks = [700, 740, 780, 1000, 1001, 1400, 3000, 3030, 3060, 3090]
    clip = numbered_film(tmp_path / name, len(ticks), codec=codec, ticks=ticks)
    is_whole(look(clip), [(tick - 700) / 1000 for tick in ticks])


def test_a_stream_that_starts_late_starts_at_0(tmp_path: Path) -> None:
    clip = remux(numbered_film(tmp_path / "source.mp4", 10), tmp_path / "clip.mkv", later(2 * 12800))
    is_whole(look(clip), [number / 25 for number in range(10)])


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9", "mpeg4"])
@pytest.mark.parametrize("num_cut", [1, 5, 14])
def test_frames_that_an_edit_list_cuts_do_not_count(tmp_path: Path, codec: str, num_cut: int) -> None:
    source = numbered_film(tmp_path / "source.mp4", NUM_FRAMES, codec=codec)
    clip = remux(source, tmp_path / "clip.mp4", later(-512 * num_cut))
    with av.open(str(clip)) as container:
        assert any(packet.is_discard for packet in container.demux(video=0))
    seen = look(clip)
    assert seen.numbers == list(range(num_cut, NUM_FRAMES))
    assert seen.times_s == pytest.approx([number / 25 for number in range(NUM_FRAMES - num_cut)], abs=1e-3)
    assert (probe(clip).promised_frames, seen.undecoded) == (NUM_FRAMES, set())


def test_an_invisible_frame_does_not_count(tmp_path: Path) -> None:
    source = numbered_film(tmp_path / "source.webm", 12, codec="libvpx", options={"auto-alt-ref": "0"})
    seen = look(hide_vp8(source, tmp_path / "clip.webm", 7))
    assert seen.numbers == [number for number in range(12) if number != 7]
    assert seen.times_s[6:8] == pytest.approx([6 / 25, 8 / 25], abs=1e-3)
    assert seen.undecoded == set()


def test_xvid_with_packed_frames_counts_each_frame_once(tmp_path: Path) -> None:
    source = numbered_film(tmp_path / "source.avi", 21, codec="mpeg4", tag="XVID", options={"bf": "1", "g": "30"})

    def pack(packets: list[av.Packet]) -> list[av.Packet]:
        """Each frame that is shown first is packed behind the one that it needs; an empty one takes its place."""
        contents = [bytes(packet) for packet in packets]
        contents[0] = contents[0].replace(b"\x00\x00\x01\xb6", b"\x00\x00\x01\xb2DivX503b1393p\x00\x00\x01\xb6", 1)
        for b_frame in range(2, len(contents), 2):
            contents[b_frame - 1] += contents[b_frame]
            contents[b_frame] = b"\x00\x00\x01\xb6\x50\x00\x7f"
        packed = [av.Packet(content) for content in contents]
        for number, (packet, old) in enumerate(zip(packed, packets, strict=True)):
            packet.pts = packet.dts = number
            packet.time_base, packet.is_keyframe = old.time_base, old.is_keyframe
        return packed

    clip = remux(source, tmp_path / "clip.avi", pack)
    seen = look(clip)
    assert seen.numbers == list(range(21))
    assert seen.undecoded == set()


@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_rotated_video_is_upright(tmp_path: Path, rotation_deg: int) -> None:
    turned = [np.ascontiguousarray(np.rot90(numbered(number), -rotation_deg // 90)) for number in range(10)]
    clip = film(tmp_path / "clip.mp4", turned, rotation_deg=rotation_deg)
    seen = look(clip)
    is_whole(seen, [number / 25 for number in range(10)])
    assert seen.size == SIZE
    assert probe(clip).rotation_deg == rotation_deg


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [("libx264", "yuv444p"), ("libvpx-vp9", "yuv420p"), ("mpeg4", "yuv420p"), ("mjpeg", "yuvj420p")],
)
def test_odd_sizes_keep_every_row_and_column(tmp_path: Path, codec: str, pixel_format: str) -> None:
    frames = (np.pad(numbered(number), ((0, 263), (0, 477), (0, 0)), mode="edge") for number in range(5))
    seen = look(film(tmp_path / "clip.mkv", frames, codec=codec, pixel_format=pixel_format))
    is_whole(seen, [number / 25 for number in range(5)])
    assert seen.size == (359, 637)


@pytest.mark.parametrize(("aspect", "step"), [(Fraction(2), (1, 2)), (Fraction(1, 2), (2, 1))])
@pytest.mark.parametrize("rotation_deg", [0, 90])
def test_pixels_that_are_not_square_are_made_so(
    tmp_path: Path, aspect: Fraction, step: tuple[int, int], rotation_deg: int
) -> None:
    """Squeezed in the file, a face would be squeezed in its crop."""
    large = [np.kron(numbered(number), np.ones((2, 2, 1), np.uint8)) for number in range(5)]
    squeezed = [np.ascontiguousarray(np.rot90(f, -rotation_deg // 90)[:: step[0], :: step[1]]) for f in large]
    clip = film(tmp_path / "clip.mp4", squeezed, aspect=aspect, rotation_deg=rotation_deg)
    facts = probe(clip)
    chunks = read_frames(clip, device="cpu", decoder="pyav")
    upright = [frame[:].numpy() for chunk in chunks for frame in chunk.frames_HWC]
    wide = upright[0].shape[1] / upright[0].shape[0]
    assert wide == pytest.approx(SIZE[1] / SIZE[0], rel=0.02)
    assert upright[0].shape[:2] == (facts.height_px, facts.width_px)
    scale = SIZE[0] / upright[0].shape[0]
    small = [frame[:: round(1 / scale), :: round(1 / scale)] if scale < 1 else frame for frame in upright]
    assert [number_in(frame) for frame in small] == list(range(5))


def test_an_impossible_aspect_is_not_believed(tmp_path: Path) -> None:
    clip = numbered_film(tmp_path / "clip.mp4", 5, aspect=Fraction(200))
    assert look(clip).size == SIZE


def test_a_frame_of_another_size_is_fitted_into_the_first_one_s_without_distortion(tmp_path: Path) -> None:
    first = numbered_film(tmp_path / "first.webm", 6, codec="libvpx-vp9")
    large = [np.kron(numbered(number), np.ones((2, 2, 1), np.uint8)) for number in range(6, 12)]
    tall = [np.pad(frame, ((0, 192), (0, 0), (0, 0))) for frame in large]
    second = film(tmp_path / "second.webm", tall, codec="libvpx-vp9")

    def append(packets: list[av.Packet]) -> list[av.Packet]:
        with av.open(str(second)) as container:
            return packets + later(240)([packet for packet in container.demux(video=0) if packet.size])

    clip = remux(first, tmp_path / "clip.mkv", append)
    (chunk,) = read_frames(clip, device="cpu", decoder="pyav")
    frames = np.stack([frame[:] for frame in chunk.frames_HWC])
    assert chunk.times_s == pytest.approx([number / 25 for number in range(12)], abs=1e-3)
    assert frames.shape == (12, *SIZE, 3)
    assert [number_in(frame) for frame in frames[:6]] == list(range(6))
    # 320 x 384 into 160 x 96 is 80 x 96 in the middle, of which the upper half is the numbered frame
    assert frames[6:, :, :39].max() == frames[6:, :, 121:].max() == 0
    fitted = np.kron(frames[6:, :48, 40:120], np.ones((1, 2, 2, 1), np.uint8))
    assert [number_in(frame) for frame in fitted] == list(range(6, 12))

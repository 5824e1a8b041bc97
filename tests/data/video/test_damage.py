"""Damaged videos: what decodes keeps its number, what does not is a frame with unknown pixels, nothing is repeated."""

from __future__ import annotations

import errno
import io
import math
import random
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from support.clips import spoil
from support.extraction import extract
from support.numbered_faces import number_in as number_in_face
from support.numbered_faces import numbered_faces
from support.odd_clips import film, numbered_film, remux

from data.store.shards import read_manifest
from data.testing.numbered import SIZE, number_in, numbered
from data.video.damage import DisplayOrder, Picture
from data.video.frames import probe, read_frames
from data.video.pyav import read_with_pyav

pytestmark = pytest.mark.slow

EVERY_12 = {"libvpx": {"g": "12", "auto-alt-ref": "0"}}


@dataclass(frozen=True)
class Seen:
    """What was read of a video."""

    frames: list[np.ndarray]
    times_s: list[float | None]
    undecoded: set[int]

    @property
    def numbers(self) -> list[int | None]:
        """None where the pixels are unknown."""
        return [
            None if index in self.undecoded else number_in(frame) if frame.shape[:2] == SIZE else -1
            for index, frame in enumerate(self.frames)
        ]


def look(path: Path, skip: int = 0) -> Seen:
    chunks = list(read_frames(path, device="cpu", decoder="pyav", chunk=8, skip=skip))
    return Seen(
        [frame[:].numpy() for chunk in chunks for frame in chunk.frames_HWC],
        [time_s for chunk in chunks for time_s in chunk.times_s],
        {index for chunk in chunks for index in chunk.undecoded},
    )


def with_lost(num_frames: int, lost: Iterable[int]) -> list[int | None]:
    indices = set(lost)
    return [None if index in indices else index for index in range(num_frames)]


# When each packet is shown, in decoding order: I0 P4 B2 B1 B3 I8 B6 B5 B7 and so on, with keyframes 0, 8 and 16.
PATTERN = (0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11, 16, 14, 13, 15, 20, 18, 17, 19)


@dataclass(frozen=True)
class Frame:
    """As much of a decoded frame as its order is made of."""

    number: int
    pts: int | None


def order(
    *, fails: Collection[int] = (), corrupt: Collection[int] = (), timed: bool = True, hole: int | None = None
) -> list[int | None]:
    """What comes out, by time of display, None for what is lost, when packets with these times fail or are concealed.

    The frames are given as a decoder does that holds back two; the packets of `hole` and the next two are not there.
    """
    display = DisplayOrder()
    held: list[tuple[int, Picture]] = []
    out: list[Picture] = []

    def give(pictures: list[tuple[int, Picture]]) -> None:
        for time, picture in pictures:
            pts = time if timed else None
            display.give(picture, Frame(time, pts), is_corrupt=time in corrupt, is_key=picture.is_key)

    for number, time in enumerate(PATTERN):
        if hole is not None and 0 <= number - hole < 3:
            if number == hole:
                display.add_hole(number)
            continue
        picture = Picture(number, time if timed else None, number, is_key=time % 8 == 0, is_damaged=time in fails)
        display.add(picture)
        if time not in fails:
            held = sorted([*held, (time, picture)], key=lambda item: item[0])
        give(held[:-2])
        held = held[-2:]
        out += display.ready()
    give(held)
    out += display.rest(cut_at=math.inf)
    return [picture.frame.number if picture.is_trusted else None for picture in out]


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        ({}, []),
        ({"fails": {1}}, [1, 3, 5, 6, 7]),
        ({"corrupt": {1}}, [1, 3, 5, 6, 7]),
        ({"fails": {4}}, [1, 2, 3, 4, 5, 6, 7]),
        ({"corrupt": {4}}, [1, 2, 3, 4, 5, 6, 7]),
        ({"fails": {5}}, [5, 7, *range(9, 16)]),
        ({"fails": {8}}, range(5, 16)),
        ({"fails": {0}}, range(8)),
        ({"fails": {3, 8}}, [3, *range(5, 16)]),
        ({"corrupt": {8}, "fails": {18}}, [*range(5, 16), 17, 18, 19]),
        ({"hole": 7}, range(5, 16)),
    ],
)
def test_what_is_made_from_damage_is_lost_until_the_next_keyframe_and_nothing_moves(
    damage: dict[str, Any], lost: Iterable[int]
) -> None:
    assert order(**damage) == with_lost(len(PATTERN), lost)


@pytest.mark.parametrize("failed", range(21))
def test_without_times_more_is_lost_but_nothing_moves(failed: int) -> None:
    found = order(fails={failed}, timed=False)
    assert found == with_lost(len(PATTERN), [place for place, number in enumerate(found) if number is None])
    assert found[failed] is None
    assert found.count(None) <= 16


# The packet that is spoiled, the frame that it holds, and the first frame after the damage: the next keyframe.
SPOILT = [
    ("mjpeg.avi", "mjpeg", 20, 20, 21),
    ("vp8.webm", "libvpx", 20, 20, 24),
    ("vp9.webm", "libvpx-vp9", 20, 20, 24),
    ("vp9.webm", "libvpx-vp9", 12, 12, 24),
    ("h264.mp4", "libx264", 13, 14, 24),
    ("h264.mkv", "libx264", 13, 13, 30),
    ("h264.avi", "libx264", 13, 14, 24),
    ("hevc.mp4", "libx265", 14, 13, 24),
    ("xvid.avi", "mpeg4", 19, 21, 24),
    ("av1.mp4", "libsvtav1", 20, 20, 24),
]


@pytest.mark.parametrize(("name", "codec", "packet", "frame", "mended"), SPOILT)
def test_a_spoilt_packet_costs_the_frames_that_need_it_and_moves_none(
    tmp_path: Path, name: str, codec: str, packet: int, frame: int, mended: int
) -> None:
    clip = numbered_film(tmp_path / name, 40, codec=codec, options=EVERY_12.get(codec))
    spoil(clip, packet)
    seen = look(clip)
    assert seen.numbers == with_lost(40, seen.undecoded)
    assert {frame} <= seen.undecoded <= set(range(frame - 5, mended))
    assert seen.times_s == pytest.approx([index / 25 for index in range(40)], abs=1e-3)


# The codec, and how many frames of a whole stream there are before its second keyframe: their packets come first.
INVENTED = [
    ("mkv", "mpeg4", 12),
    ("avi", "mpeg4", 12),
    ("mp4", "mpeg4", 12),
    ("mkv", "msmpeg4", 6),
    ("avi", "msmpeg4v2", 6),
    ("avi", "wmv1", 6),
    ("avi", "wmv2", 6),
    ("flv", "flv", 6),
    ("avi", "h263p", 6),
    ("mkv", "mpeg2video", 6),
    ("mkv", "libx264", 11),
]


@pytest.mark.parametrize(("suffix", "codec", "keyframe"), INVENTED)
@pytest.mark.parametrize("num_cut", [2, 3, 5])
def test_what_comes_before_the_first_keyframe_is_lost_and_what_follows_keeps_its_number(
    tmp_path: Path, suffix: str, codec: str, keyframe: int, num_cut: int
) -> None:
    """A decoder of MPEG-4 and its kin makes grey frames of it, and one more than there are packets."""
    options = {} if keyframe > 6 else {"g": "6", "q": "2"}
    source = numbered_film(tmp_path / f"source.{suffix}", 30, codec=codec, options=options)
    seen = look(remux(source, tmp_path / f"clip.{suffix}", lambda packets: packets[num_cut:]))
    first = keyframe - num_cut
    assert seen.numbers == [None] * first + list(range(keyframe, 30))


@pytest.mark.parametrize(
    ("suffix", "codec"), [("avi", "mpeg4"), ("mkv", "mpeg4"), ("avi", "h263p"), ("mkv", "libx264")]
)
@pytest.mark.parametrize("flagged", ["none", "all"])
def test_flags_that_lie_cost_a_whole_stream_nothing(tmp_path: Path, suffix: str, codec: str, flagged: str) -> None:
    source = numbered_film(tmp_path / f"source.{suffix}", 20, codec=codec, options={"q": "2"})

    def flag(packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:
            packet.is_keyframe = flagged == "all"
        return packets

    seen = look(remux(source, tmp_path / f"clip.{suffix}", flag))
    assert seen.numbers == list(range(20))


def partly_black(number: int) -> np.ndarray:
    frame = np.zeros((288, 352, 3), np.uint8)
    frame[: SIZE[0] // 2, : SIZE[1]] = numbered(number)[: SIZE[0] // 2]
    return frame


def at_1080(frame: np.ndarray) -> np.ndarray:
    """DNxHD has few sizes."""
    return np.pad(frame, ((0, 1080 - 288), (0, 1920 - 352), (0, 0)))


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("dnxhd.mov", "dnxhd", "yuv422p"),
        ("raw.avi", "rawvideo", "bgr24"),
        ("v210.mov", "v210", "yuv422p10le"),
        ("cinepak.avi", "cinepak", "rgb24"),
        ("wmv2.avi", "wmv2", "yuv420p"),
        ("lossless.avi", "ljpeg", "yuvj420p"),
        ("zlib.avi", "zlib", "bgr24"),
        ("prores.mov", "prores", "yuv422p10le"),
        ("ffv1.mkv", "ffv1", "yuv420p"),
        ("huffyuv.avi", "huffyuv", "yuv422p"),
        ("h264.mp4", "libx264", "yuv420p"),
        ("hevc.mp4", "libx265", "yuv420p"),
        ("vp8.webm", "libvpx", "yuv420p"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("av1.mp4", "libsvtav1", "yuv420p"),
        ("mpeg2.ts", "mpeg2video", "yuv420p"),
        ("xvid.avi", "mpeg4", "yuv420p"),
        ("flash.flv", "flv", "yuv420p"),
    ],
)
def test_black_is_no_damage(tmp_path: Path, name: str, codec: str, pixel_format: str) -> None:
    """Where pixels are packed little or not at all, black is a long row of zeros."""
    frames = [partly_black(min(number, 3)) for number in range(8)] + [np.zeros((288, 352, 3), np.uint8)]
    frames = [at_1080(frame) for frame in frames] if codec == "dnxhd" else frames
    options = {"b": "120M"} if codec == "dnxhd" else {}
    seen = look(film(tmp_path / name, frames, codec=codec, pixel_format=pixel_format, options=options))
    assert (len(seen.frames), seen.undecoded) == (9, set())
    assert [number_in(frame[: SIZE[0], : SIZE[1]]) for frame in seen.frames[:4]] == [0, 1, 2, 3]


def positions(path: Path) -> list[tuple[int, int]]:
    """Where in the file each packet lies, and its size."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def naive(path: Path) -> list[int]:
    """What a decoder gives that is not watched over."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            with suppress(av.error.FFmpegError):
                found += [number_in(frame.to_ndarray(format="rgb24")) for frame in packet.decode()]
    return found


def test_a_decoder_that_is_not_watched_over_repeats_and_moves_frames(tmp_path: Path) -> None:
    clip = numbered_film(tmp_path / "clip.mp4", 40)
    spoil(clip, 13)
    found = naive(clip)
    assert len(found) < 40
    assert any(number != index for index, number in enumerate(found[:24]))
    assert look(clip).numbers == with_lost(40, look(clip).undecoded)


@pytest.mark.parametrize("skip", [8, 16, 32])
def test_a_resumed_reading_of_a_damaged_video_goes_on_the_same(tmp_path: Path, skip: int) -> None:
    clip = numbered_film(tmp_path / "clip.mp4", 40)
    spoil(clip, 13)
    whole, rest = look(clip), look(clip, skip)
    assert rest.undecoded == {index for index in whole.undecoded if index >= skip}
    assert rest.times_s == whole.times_s[skip:]
    for one, other in zip(whole.frames[skip:], rest.frames, strict=True):
        assert (one == other).all()


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("h264.mp4", "libx264"),
        ("h264.mkv", "libx264"),
        ("h264.avi", "libx264"),
        ("hevc.mp4", "libx265"),
        ("xvid.avi", "mpeg4"),
        ("vp9.webm", "libvpx-vp9"),
        ("mjpeg.avi", "mjpeg"),
    ],
)
def test_a_file_that_was_cut_short_keeps_its_frames_and_says_what_was_promised(
    tmp_path: Path, name: str, codec: str
) -> None:
    clip = numbered_film(tmp_path / name, 40, codec=codec)
    content = clip.read_bytes()
    for number, share in [(20, 0.5), (27, 0.0), (28, 0.0), (29, 0.9), (36, 0.3)]:
        clip.write_bytes(content)
        position, size = positions(clip)[number]
        clip.write_bytes(content[: position + int(size * share)])
        seen, facts = look(clip), probe(clip)
        assert seen.numbers == with_lost(len(seen.frames), seen.undecoded)
        assert number - 5 < len(seen.frames) < 40
        assert len(seen.undecoded) <= 7
        assert facts.promised_frames == (None if name.endswith(("mkv", "webm")) else 40)
        assert facts.promised_s == pytest.approx(1.6, abs=0.1) or name.endswith("avi")
        assert facts.not_for_dali


@pytest.mark.parametrize(
    ("name", "codec"), [("h264.mkv", "libx264"), ("vp9.webm", "libvpx-vp9"), ("h264.avi", "libx264")]
)
def test_packets_that_the_container_lost_are_counted(tmp_path: Path, name: str, codec: str) -> None:
    """Where the headers between packets are destroyed no packet is left to fail."""
    clip = numbered_film(tmp_path / name, 60, codec=codec)
    start, end = positions(clip)[20][0] - 20, positions(clip)[23][0]
    content = bytearray(clip.read_bytes())
    content[start:end] = bytes(end - start)
    clip.write_bytes(content)
    seen = look(clip)
    assert seen.numbers == with_lost(60, seen.undecoded)
    assert set(range(20, 23)) <= seen.undecoded <= set(range(12, 60))
    assert [time for time in seen.times_s if time is not None] == pytest.approx(
        [index / 25 for index, time in enumerate(seen.times_s) if time is not None], abs=2e-3
    )


def flip(content: bytearray, at: int, rng: random.Random) -> None:
    content[at] ^= 1 << rng.randrange(8)


def punch(content: bytearray, at: int, rng: random.Random) -> None:
    del rng
    content[at : at + 512] = bytes(len(content[at : at + 512]))


@pytest.mark.parametrize(
    ("name", "codec", "harm", "most"),
    [
        ("h264.mp4", "libx264", flip, 5),
        ("h264.avi", "libx264", flip, 5),
        ("h264.mkv", "libx264", flip, 8),
        ("xvid.avi", "mpeg4", flip, 5),
        ("av1.mp4", "libsvtav1", flip, 5),
        ("hevc.mp4", "libx265", flip, 40),
        ("vp9.webm", "libvpx-vp9", flip, 40),
        ("mjpeg.avi", "mjpeg", flip, 12),
        ("h264.mp4", "libx264", punch, 2),
        ("h264.avi", "libx264", punch, 2),
        ("h264.mkv", "libx264", punch, 2),
        ("xvid.avi", "mpeg4", punch, 2),
        ("av1.mp4", "libsvtav1", punch, 10),
        ("hevc.mp4", "libx265", punch, 20),
        ("vp9.webm", "libvpx-vp9", punch, 20),
        ("mjpeg.avi", "mjpeg", punch, 12),
    ],
)
def test_of_a_hundred_damages_few_stay_unseen(
    tmp_path: Path, name: str, codec: str, harm: Callable[[bytearray, int, random.Random], None], most: int
) -> None:
    """Of frames that count as whole the number is read; docs/videos.md has the figures of this test."""
    clip = numbered_film(tmp_path / name, 48, codec=codec)
    packets = positions(clip)
    content = clip.read_bytes()
    unseen = []
    for seed in range(100):
        rng = random.Random(seed)
        harmed = bytearray(content)
        harm(harmed, rng.randrange(packets[0][0], max(position + size for position, size in packets)), rng)
        clip.write_bytes(harmed)
        seen = look(clip)
        if seen.numbers != with_lost(len(seen.frames), seen.undecoded):
            unseen.append(seed)
    assert len(unseen) <= most


def test_faces_around_damage_keep_their_frames_and_no_gap_is_filled_from_lost_pixels(tmp_path: Path) -> None:
    frames = numbered_faces(40)
    for frame in frames[31:33]:
        frame[:] = 90
    video = film(tmp_path / "107.mp4", frames)
    spoil(video, 20)
    folder = extract(video, tmp_path / "store", ["107"], fill_gaps_s=1.0)
    rows = pq.read_table(folder / "107.parquet", partitioning=None).to_pylist()
    assert [row["frame_index"] for row in rows] == list(range(40))
    lost = [row["frame_index"] for row in rows if row["status"] == "decode_error"]
    assert 3 <= len(lost) <= 12
    assert set(lost) <= set(range(16, 28))
    assert {row["face_jpeg"] for row in rows if row["frame_index"] in lost} == {None}
    for row in rows:
        assert row["time_s"] == pytest.approx(row["frame_index"] / 25, abs=1e-3)
        if row["status"] == "ok":
            assert number_in_face(row["face_jpeg"]) == row["frame_index"]
    assert [row["frame_index"] for row in rows if row["status"] == "interpolated"] == [31, 32]
    manifest = read_manifest(folder)
    assert (manifest["num_frames"], manifest["damaged_packets"], manifest["promised_frames"]) == (40, 1, 40)


def test_a_disk_that_fails_is_not_the_end_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = numbered_film(tmp_path / "clip.mp4", 200, codec="mjpeg")
    opened, facts = av.open, probe(clip)

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 100_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    monkeypatch.setattr(av, "open", lambda path: opened(Failing(Path(path).read_bytes())))
    with pytest.raises(OSError, match=r"clip\.mp4: reading it failed: .*; check that its disk is still connected"):
        list(read_with_pyav(clip, facts, "cpu", 8, 0))


def test_a_disk_that_fails_when_a_video_is_opened_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = numbered_film(tmp_path / "clip.mp4", 3)
    monkeypatch.setattr(av, "open", lambda _: av.error.err_check(-errno.EIO))
    with pytest.raises(
        OSError, match=r"clip\.mp4: opening it failed: Input/output error; check that its disk is still connected"
    ):
        probe(clip)


def test_frames_of_colours_that_nobody_knows_are_lost(tmp_path: Path) -> None:
    clip = numbered_film(tmp_path / "clip.mp4", 8, options={"x264-params": "colormatrix=ICtCp"})
    seen = look(clip)
    assert (len(seen.frames), seen.undecoded) == (8, set(range(8)))

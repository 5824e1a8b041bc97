"""Numbered clips of every kind that people have: codecs, rates, containers, edit lists, sound, covers, odd pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from data.faces.crops import alignment
from data.testing.numbered import BITS, BLOCK_PX, number_in, numbered, same_priority
from data.video.frames import Chunk

EYES_ON_THE_BLOCKS = np.array([(42, 40), (86, 40), (64, 62), (46, 90), (82, 90)], np.float32)
"""With these landmarks a crop shows the blocks that spell the number of a frame of `numbered`."""

_OPTIONS = {
    "libx264": {"x264-params": "keyint=12:bframes=3:b-adapt=0:b-pyramid=2", "crf": "15"},
    "libx265": {"x265-params": "log-level=none:keyint=12:bframes=3", "crf": "18"},
    "libvpx": {"crf": "10", "b": "2000000", "deadline": "good", "cpu-used": "4", "auto-alt-ref": "1"},
    "libvpx-vp9": {"crf": "15", "b": "0", "deadline": "realtime", "cpu-used": "8", "g": "12"},
    "libsvtav1": {"crf": "20", "preset": "12", "svtav1-params": "keyint=12"},
    "mpeg4": {"q": "2", "bf": "2", "g": "12"},
    "mjpeg": {},
}


def number_in_crop(crop_HWC: np.ndarray) -> int:
    """The number that the blocks at the upper edge of a crop spell, as `EYES_ON_THE_BLOCKS` puts them there."""
    matrix_23 = alignment(EYES_ON_THE_BLOCKS)
    width = BITS * BLOCK_PX
    rows, columns = np.mgrid[4:12, :width]
    u, v = np.tensordot(matrix_23[:, :2], np.stack([columns, rows]), 1) + matrix_23[:, 2:, None]
    assert min(u.min(), v.min()) > -1
    frame_HWC = np.zeros((BLOCK_PX, width, 3), np.uint8)
    frame_HWC[4:12] = crop_HWC[v.round().astype(int).clip(0, 111), u.round().astype(int).clip(0, 111)]
    return number_in(frame_HWC)


def film(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    rate: int | Fraction = 25,
    ticks: Sequence[int] | None = None,
    pixel_format: str = "yuv420p",
    aspect: Fraction | None = None,
    tag: str | None = None,
    options: dict[str, str] | None = None,
    sound: str | None = None,
    container_options: dict[str, str] | None = None,
    has_cover: bool = False,
    rotation_deg: int = 0,
) -> Path:
    """Writes frames as a video; `ticks` are their times in ms, by default even; `sound` is "first" or "last"."""
    defaults = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with same_priority(), av.open(str(path), "w", options=container_options or defaults) as container:
        covers = _add_cover(container) if has_cover else []
        audio = _add_sound(container) if sound == "first" else None
        video = container.add_stream(codec, rate=rate, options={**_OPTIONS.get(codec, {}), **(options or {})})
        audio = _add_sound(container) if sound == "last" else audio
        context = video.codec_context
        context.time_base = Fraction(1, 1000) if ticks else 1 / Fraction(rate)
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else pixel_format
        if tag:
            context.codec_tag = tag
        if rotation_deg:
            video.set_display_rotation(rotation_deg)
        if aspect:
            context.sample_aspect_ratio = aspect
        for number, pixels_HWC in enumerate(frames):
            if number == 0:
                video.height, video.width = pixels_HWC.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels_HWC, format="rgb24")
            frame.time_base = context.time_base
            frame.pts = ticks[number] if ticks else number
            container.mux(video.encode(frame))
            if audio:
                container.mux(audio.encode(_silence(number * 320)))
        for stream in [video, audio] if audio else [video]:
            container.mux(stream.encode())
        container.mux(covers)
    return path


def numbered_film(path: Path, num_frames: int, **options: object) -> Path:
    return film(path, (numbered(number) for number in range(num_frames)), **options)  # type: ignore[arg-type]


def _add_sound(container: av.container.OutputContainer) -> av.audio.stream.AudioStream:
    codec = "libopus" if container.format.name == "webm" else "aac"
    return container.add_stream(codec, rate=48000 if codec == "libopus" else 8000, layout="mono")


def _silence(start: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
    return frame


def _add_cover(container: av.container.OutputContainer) -> list[av.Packet]:
    """A large picture as the first stream, as players show it in their lists."""
    cover = container.add_stream("mjpeg", rate=1)
    cover.pix_fmt, cover.height, cover.width = "yuvj420p", 720, 1280
    cover.disposition = av.stream.Disposition.attached_pic
    frame = av.VideoFrame.from_ndarray(np.full((720, 1280, 3), 90, np.uint8), format="rgb24")
    frame.pts, frame.time_base = 0, Fraction(1)
    return [*cover.encode(frame), *cover.encode()]


def remux(
    source: Path, path: Path, change: Callable[[list[av.Packet]], list[av.Packet]], **container_options: str
) -> Path:
    """Copies the packets of a video as `change` makes them."""
    with av.open(str(source)) as taken, av.open(str(path), "w", options=container_options) as made:
        stream = made.add_stream_from_template(taken.streams.best("video"))
        packets = [packet for packet in taken.demux(video=0) if packet.size]
        for packet in change(packets):
            packet.stream = stream
            made.mux(packet)
    return path


def hide_vp8(source: Path, path: Path, number: int) -> Path:
    """Copies a VP8 clip of which one frame is made an invisible one, as encoders put them between others."""

    def change(packets: list[av.Packet]) -> list[av.Packet]:
        content = bytearray(bytes(packets[number]))
        content[0] &= ~0x10
        hidden = av.Packet(bytes(content))
        hidden.pts, hidden.dts, hidden.time_base = packets[number].pts, packets[number].dts, packets[number].time_base
        return [*packets[:number], hidden, *packets[number + 1 :]]

    return remux(source, path, change)


def numbers(chunks: list[Chunk]) -> list[int]:
    return [number_in(frame[:].numpy()) for chunk in chunks for frame in chunk.frames_HWC]


def times_s(chunks: list[Chunk]) -> list[float | None]:
    return [time_s for chunk in chunks for time_s in chunk.times_s]


def stacked(chunk: Chunk) -> Tensor:
    return torch.stack([frame[:] for frame in chunk.frames_HWC])


def later(ticks: int) -> Callable[[list[av.Packet]], list[av.Packet]]:
    def change(packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:
            packet.pts += ticks
            packet.dts += ticks
        return packets

    return change

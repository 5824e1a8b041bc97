"""A video file -> its frames in display order, by PyAV, the reference: it reads every codec.

Shapes: H rows, W columns, C RGB.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import av

from data.machine import Device
from data.video.damage import DisplayOrder, Picture
from data.video.media import Chunk, VideoFacts
from data.video.packets import (
    Missing,
    count_packets,
    guess_time,
    has_times,
    is_cut_short,
    is_damaged,
    is_shown,
    open_video,
    packets,
)
from data.video.pixels import frames_of

_WIDEST = 4.0
"""A pixel wider or higher than this is a fault of the header, not of a camera."""
_MAKES_UP_REFERENCES = frozenset(
    {"mpeg4", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "h261", "h263", "h263p", "flv1"},
)
"""Codecs whose decoder starts with an invented grey frame if a stream does not start with a keyframe."""


def probe(path: Path) -> VideoFacts:
    """The facts of a video, from its header, its packets and its first intact frame.

    Raises:
        ValueError: The file is missing, empty or not a video, or no frame can be decoded.
        OSError: The disk or the network fails.
    """
    with open_video(path) as container:
        stream = container.streams.best("video")
        frame = next((shown.frame for shown in _shown(path, container, DisplayOrder()) if shown.is_trusted), None)
        if frame is None:
            raise ValueError(f"{path}: expected frames, found none that can be decoded; copy or download it again")
        rotation_deg = round(frame.rotation / 90) * 90 % 360
        aspect = float(stream.sample_aspect_ratio or 1)
        aspect = aspect if 1 / _WIDEST <= aspect <= _WIDEST else 1.0
        size_px = (max(1, round(frame.width * aspect)), frame.height)
        promised_frames, duration = stream.frames or None, container.duration
        codec, pixel_format = stream.codec_context.codec.canonical_name, frame.format.name
    with open_video(path) as container:
        num_packets, oddity = count_packets(path, container)
    return VideoFacts(
        codec=codec,
        pixel_format=pixel_format,
        width_px=size_px[rotation_deg % 180 != 0],
        height_px=size_px[rotation_deg % 180 == 0],
        rotation_deg=rotation_deg,
        pixel_aspect=aspect,
        num_packets=num_packets,
        promised_frames=promised_frames,
        promised_s=None if duration is None else duration / av.time_base,
        not_for_dali=oddity,
    )


def read_with_pyav(path: Path, facts: VideoFacts, device: Device, chunk: int, skip: int) -> Generator[Chunk]:
    """Every frame from number `skip` on; a lost one is a frame too."""
    pending: list[Picture] = []
    start: int | None = None
    end = 0
    with open_video(path) as container:
        stream = container.streams.best("video")
        order = DisplayOrder(float(1 / (stream.average_rate * stream.time_base)) if stream.average_rate else None)
        for picture in _shown(path, container, order):
            if len(pending) == chunk:
                yield _chunk_of(pending, end, order.num_damaged, facts, device)
                pending = []
            start = picture.shown_at if start is None else start
            if picture.shown_at is not None and start is not None:
                picture.time_s = float((picture.shown_at - start) * stream.time_base)
            end += 1
            if end > skip:
                pending.append(picture)
        yield _chunk_of(pending, end, order.num_damaged, facts, device)


def _chunk_of(pictures: Sequence[Picture], end: int, damaged_packets: int, facts: VideoFacts, device: Device) -> Chunk:
    frames_HWC = frames_of(pictures, facts)  # first, since some may turn out not to have any
    frame_indices = range(end - len(pictures), end)
    return Chunk(
        frames_HWC=tuple(frame_HWC[:].cuda() if device == "gpu" else frame_HWC for frame_HWC in frames_HWC),
        frame_indices=frame_indices,
        times_s=tuple(picture.time_s for picture in pictures),
        damaged_packets=damaged_packets,
        undecoded=frozenset(
            index for index, picture in zip(frame_indices, pictures, strict=True) if not picture.is_trusted
        ),
    )


def _shown(path: Path, container: av.container.InputContainer, order: DisplayOrder) -> Iterator[Picture]:
    """Every picture of the video stream in display order, the lost ones too."""
    stream = container.streams.best("video")
    # frame threads would conceal damage differently from run to run
    stream.codec_context.thread_count = 1
    stream.codec_context.copy_opaque = True
    if stream.codec_context.codec.canonical_name in _MAKES_UP_REFERENCES:
        order.await_keyframe()
    sent: WeakValueDictionary[int, Picture] = WeakValueDictionary()
    missing: list[Missing] = []
    numbers, num_packets, next_dts, ends_whole = count(), 0, -math.inf, True
    for packet in packets(path, container):
        if isinstance(packet, Missing):
            missing.append(packet)
            continue
        if packet.size:  # where no packet follows, the file ends, and missing packets are no frames
            _add_missing(missing, numbers, order)
        picture = _picture_of(packet, next(numbers), is_timed=has_times(container))
        packet.opaque = picture.number  # not itself: it would hold its frame, and that, through FFmpeg, itself
        sent[picture.number] = picture
        frames = _decoded(stream, packet, picture)
        if packet.size:
            order.add(picture)
            num_packets, ends_whole = num_packets + 1, not packet.is_corrupt
            next_dts = next_dts if packet.dts is None else packet.dts + (packet.duration or 0) * ends_whole
        for frame in frames:
            of_packet = sent.get(frame.opaque) or Picture(frame.opaque, frame.pts, place=0)
            order.give(of_packet, frame, is_corrupt=frame.is_corrupt, is_key=bool(frame.key_frame))
        if packet.size:
            yield from order.ready()
    is_cut = missing or not ends_whole or is_cut_short(path, container, num_packets)
    yield from order.rest(cut_at=next_dts if is_cut else math.inf)


def _add_missing(missing: list[Missing], numbers: Iterator[int], order: DisplayOrder) -> None:
    for packet in missing:
        if packet.is_one:
            order.add(Picture(next(numbers), None, packet.time, is_damaged=True))
        else:
            order.add_hole(next(numbers))
    missing.clear()


def _picture_of(packet: av.Packet, number: int, *, is_timed: bool) -> Picture:
    return Picture(
        number,
        packet.pts if is_timed else None,
        guess_time(packet),
        packet.is_keyframe,
        is_shown(packet),
        is_damaged=is_damaged(packet),
    )


def _decoded(stream: av.video.stream.VideoStream, packet: av.Packet, picture: Picture) -> Sequence[Any]:
    """The frames that the decoder returns for a packet; for the last, empty packet, the frames that it still holds."""
    try:
        frames: Sequence[Any] = stream.decode(packet)
    except av.error.EOFError:
        return ()
    except av.error.FFmpegError:
        picture.is_damaged = True
        return ()
    return frames

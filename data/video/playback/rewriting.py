"""Writes the frames of a video, drawn on if wanted, as H.264 with its sound.

The frames are those that the faces were found in: the same numbers, the same times, black where one is damaged.
Shapes: F frames, H rows, W columns, C RGB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from data.store.shards import write_aside
from data.video.media import VideoFacts
from data.video.packets import open_video
from data.video.playback.sound import Sound, start_s
from data.video.pyav import probe, read_with_pyav

LARGEST_PX = 1280
"""Longest side of a written picture."""
_KEY_EVERY_S = 1.0
_CHUNK = 16
_FINEST = 1_000_000
_OPTIONS = {"crf": "18", "preset": "veryfast", "bf": "0", "g": "10000", "forced-idr": "1"}
"""Without frames that are shown in another order than they are decoded in."""
_BT709 = 1
Draw = Callable[[NDArray[np.uint8], int], None]
"""Draws on a frame, given with its number."""


def write_mp4(path: Path, target: Path, times_s_F: NDArray[np.float64], draw: Draw | None = None) -> float:
    """Writes a video, at most 1280 px wide and high, with a keyframe a second; the file appears when it is complete.

    Args:
        path: The video.
        target: The new file.
        times_s_F: The time of each frame since the first.
        draw: What to draw on each frame.

    Returns:
        The time of the first frame in the new file, in seconds: 0, unless the sound starts earlier.

    Raises:
        ValueError: The video cannot be read, or has another number of frames.
        NoRoomError: The disk is full.
    """
    first_s, ticks_F, time_base, sound_shift_s = _timing(path, times_s_F)
    facts = probe(path)
    largest = max(facts.width_px, facts.height_px)
    scale = min(1.0, LARGEST_PX / largest)
    width_px, height_px = (max(2, round(side * scale / 2) * 2) for side in (facts.width_px, facts.height_px))
    num_frames = 0
    with write_aside(target) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.time_base = stream.codec_context.time_base = time_base
        stream.options = _OPTIONS
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        sound = None if sound_shift_s is None else Sound(path, container, sound_shift_s)
        duration_of = dict(zip(ticks_F.tolist(), [*np.diff(ticks_F).tolist(), _last_ticks(ticks_F)], strict=True))
        next_key_s = 0.0
        with closing(sound) if sound else nullcontext():
            for frame_HWC, index in _frames(path, facts):
                num_frames = index + 1
                if num_frames > len(times_s_F):
                    break
                picture = _as_picture(frame_HWC, (width_px, height_px), draw, index)
                picture.pts, picture.time_base = int(ticks_F[index]), time_base
                is_key = times_s_F[index] >= next_key_s
                picture.pict_type = PictureType.I if is_key else PictureType.NONE
                next_key_s = times_s_F[index] + _KEY_EVERY_S if is_key else next_key_s
                container.mux(_lasting(stream.encode(picture), duration_of))
                if sound is not None:
                    container.mux(list(sound.until(first_s + times_s_F[index])))
            container.mux(_lasting(stream.encode(), duration_of))
            if sound is not None:
                container.mux(list(sound.until(math.inf)))
        if num_frames != len(times_s_F):
            raise ValueError(
                f"{path}: expected {len(times_s_F)} frames as in the store, found {num_frames}; ingest or predict it"
                " again"
            )
    return first_s


def _frames(path: Path, facts: VideoFacts) -> Iterator[tuple[NDArray[np.uint8], int]]:
    for chunk in read_with_pyav(path, facts, "cpu", _CHUNK, 0):
        for frame_HWC, index in zip(chunk.frames_HWC, chunk.frame_indices, strict=True):
            yield np.ascontiguousarray(frame_HWC[:].numpy()), index


def _as_picture(frame_HWC: NDArray[np.uint8], size_px: tuple[int, int], draw: Draw | None, index: int) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")
    if draw is not None:
        pixels_HWC = picture.reformat(*size_px, "rgb24").to_ndarray()
        draw(pixels_HWC, index)
        picture = av.VideoFrame.from_ndarray(pixels_HWC, format="rgb24")
    return picture.reformat(*size_px, "yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


def _lasting(packets: Sequence[av.Packet], duration_of: Mapping[int, int]) -> list[av.Packet]:
    """Packets that last until the next frame; the encoder does not know how long the last one is shown."""
    for packet in packets:
        packet.duration = duration_of[packet.pts]
    return list(packets)


def _last_ticks(ticks_F: NDArray[np.int64]) -> int:
    return round(float(np.median(np.diff(ticks_F)))) if len(ticks_F) > 1 else 1


def _timing(path: Path, times_s_F: NDArray[np.float64]) -> tuple[float, NDArray[np.int64], Fraction, float | None]:
    """When the first frame is shown in the new file, the frames' ticks and their unit, and what shifts the sound."""
    with open_video(path) as container:
        stream = container.streams.best("video")
        pts = [packet.pts for packet in container.demux(stream) if packet.pts is not None and not packet.is_discard]
        start = float(min(pts) * stream.time_base) if pts else 0.0
        time_base = Fraction(stream.time_base)
    sound_s = start_s(path)
    first_s = 0.0 if sound_s is None else max(0.0, start - sound_s)
    if time_base.denominator > _FINEST or time_base > Fraction(1, 1000):
        time_base = Fraction(1, 90_000)
    ticks_F = np.round((times_s_F + first_s) / float(time_base)).astype(np.int64)
    ticks_F = np.maximum.accumulate(ticks_F - np.arange(len(ticks_F))) + np.arange(len(ticks_F))  # one each
    return first_s, ticks_F, time_base, None if sound_s is None else first_s - start

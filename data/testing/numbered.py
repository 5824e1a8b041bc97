"""Clips with the frame number in their pixels, so that a decoded frame identifies itself; and crops."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa

from data.schema import FACES, Status
from data.store.shards import write_parquet

ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "mpeg4": "mpeg4",
    "mjpeg": "mjpeg",
}
"""Encoder and options for each codec."""
BITS = 8
BLOCK_PX = 16
SIZE = (96, 160)
"""Height and width of a frame of `numbered`."""

_OPTIONS = {
    "libx264": {"bf": "3", "crf": "15"},
    "libx265": {"crf": "15", "x265-params": "log-level=none"},
    "libvpx": {"crf": "10", "b": "2000000", "deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"crf": "15", "b": "0", "deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"crf": "20", "preset": "10"},
    "mpeg4": {"q": "2", "bf": "2"},
}


@contextmanager
def same_priority() -> Iterator[None]:
    """Keeps the scheduling of this thread through the block.

    SVT-AV1, run as root, gives the thread that encodes a real-time priority. All threads and processes that it starts
    later inherit it and hold up every other program.
    """
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameter)


def numbered(number: int) -> np.ndarray:
    """A frame with eight blocks that spell the number (modulo 256), white for 1, on a picture that moves with it."""
    height, width = SIZE
    rows, columns = np.mgrid[:height, :width]
    frame = np.stack([columns + number, 2 * rows + 40, 200 - columns], axis=-1) % 256
    for bit in range(BITS):
        frame[:BLOCK_PX, bit * BLOCK_PX : (bit + 1) * BLOCK_PX] = 255 * (number >> bit & 1)
    return frame.astype(np.uint8)


def number_in(frame: np.ndarray) -> int:
    """The number (modulo 256) that a decoded frame spells."""
    blocks = frame[4:12, : BITS * BLOCK_PX].reshape(8, BITS, BLOCK_PX, 3)[:, :, 4:12].mean((0, 2, 3))
    return sum(1 << bit for bit, level in enumerate(blocks) if level > 127)


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    rate: int = 25,
    ticks: Sequence[int] | None = None,
    rotation_deg: int = 0,
) -> Path:
    """Writes frames (H W 3, uint8) as a video; `ticks` are their times in ms, evenly spaced by default."""
    with same_priority(), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.options = _OPTIONS.get(codec, {})
        stream.codec_context.time_base = Fraction(1, 1000) if ticks else Fraction(1, rate)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = ticks[number] if ticks else number * 1000 // rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbered_clip(
    path: Path,
    num_frames: int,
    *,
    codec: str = "libx264",
    rate: int = 25,
    ticks: Sequence[int] | None = None,
    rotation_deg: int = 0,
) -> Path:
    """Writes frames numbered from 0 as a video, like `write_clip`."""
    frames = (numbered(number) for number in range(num_frames))
    return write_clip(path, frames, codec=codec, rate=rate, ticks=ticks, rotation_deg=rotation_deg)


def write_faces(path: Path, jpegs: Sequence[bytes], *, rows_per_group: int) -> Path:
    """Writes crops as the faces of a track, one per frame."""
    names = {"track_id": path.stem, "video_id": path.stem, "status": Status.OK.value}
    rows = [{**names, "frame_index": index, "face_jpeg": jpeg} for index, jpeg in enumerate(jpegs)]
    write_parquet(pa.Table.from_pylist(rows, schema=FACES), path, rows_per_group=rows_per_group)
    return path

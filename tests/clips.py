"""Clips that carry their frame number in their pixels, and rendered faces."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch

from data.sample.film import film_clip
from data.sample.plan import plan_clip

BITS = 8
BLOCK_PX = 16
SIZE = (96, 160)
"""Height and width of a frame of `numbered`."""


def numbered(number: int) -> np.ndarray:
    """A frame with eight blocks that spell the number, white for 1, above a picture that moves with it."""
    height, width = SIZE
    rows, columns = np.mgrid[:height, :width]
    frame = np.stack([columns + number, 2 * rows + 40, 200 - columns], axis=-1) % 256
    for bit in range(BITS):
        frame[:BLOCK_PX, bit * BLOCK_PX : (bit + 1) * BLOCK_PX] = 255 * (number >> bit & 1)
    return frame.astype(np.uint8)


def number_in(frame: np.ndarray) -> int:
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
    """Writes frames as a video; `ticks` are their times in thousandths of a second, by default even."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        if codec == "libx264":
            stream.options = {"bf": "3", "crf": "15"}
        elif codec == "libvpx-vp9":
            stream.options = {"crf": "15", "b": "0", "deadline": "realtime", "cpu-used": "8"}
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


def numbered_clip(path: Path, num_frames: int, **options: object) -> Path:
    return write_clip(path, (numbered(number) for number in range(num_frames)), **options)  # type: ignore[arg-type]


def spoil(path: Path, *packet_numbers: int) -> None:
    """Overwrites packets in the file with bytes that no decoder takes."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for number in packet_numbers:
        position, size = packets[number]
        content[position : position + size] = b"\xff" * size
    path.write_bytes(content)


@cache
def two_people() -> tuple[np.ndarray, np.ndarray]:
    """A rendered frame of two people, 360 x 640, and the true boxes (x y w h) of their faces from left to right."""
    plan = plan_clip(1, seconds=0.04, seed=7)
    with TemporaryDirectory() as folder:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more would wait for each other where cores are few
        film_clip(plan, Path(folder), on_frame=lambda: None)
        torch.set_num_threads(threads)
        with av.open(str(Path(folder) / "videos" / "batch1" / f"{plan.video_id}.mp4")) as container:
            frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
        boxes = []
        for track_id in plan.track_ids:
            with (Path(folder) / "truth" / f"{track_id}.csv").open() as file:
                truth = next(csv.DictReader(file))
            boxes.append([float(truth[name]) for name in "xywh"])
    return frame, np.array(boxes)


def one_person() -> np.ndarray:
    """The left half of that frame."""
    half: np.ndarray = two_people()[0][:, :320]
    return half

"""Damage to clips, and rendered faces. Clips that carry their frame number are those of `data.testing.numbered`."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch

from data.sample.film import film_clip
from data.sample.plan import plan_clip


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

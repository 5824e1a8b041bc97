"""The videos that extraction is timed on."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation

from data.sample.head import load_head
from data.sample.plan import plan_clip
from data.sample.scenes import film, make_scene

WIDTH_PX, HEIGHT_PX, RATE_HZ = 1280, 720, 30
_PLAN = 6
"""A clip of the sample with one person, who stays, at 30 frames a second."""
_GRAIN_LEVELS = 4.0
"""Noise as of a camera: without it a rendered video has next to no bits to decode."""


def make_clip(path: Path, *, seconds: float) -> Path:
    """A rendered face at 1280 x 720 px with grain, as H.264 (x264 `veryfast`, CRF 23)."""
    scene = make_scene(load_head(), plan_clip(_PLAN, seconds=seconds, seed=7))
    rng = np.random.default_rng(0)
    grain = [rng.normal(0, _GRAIN_LEVELS, (HEIGHT_PX, WIDTH_PX, 1)).astype(np.int16) for _ in range(8)]
    torch.set_num_threads(1)  # more would wait for each other where others use the cores, too
    partial = path.with_suffix(".partial.mp4")
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.options = {"crf": "23", "preset": "veryfast"}
        for number, (picture, _) in enumerate(film(scene, (7, _PLAN, 1))):
            small = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = small.reformat(WIDTH_PX, HEIGHT_PX, "rgb24", interpolation=Interpolation.BICUBIC).to_ndarray()
            noisy = np.clip(frame + grain[number % len(grain)], 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(stream.encode())
    return partial.rename(path)


def repeat(video: Path, path: Path, *, seconds: float, first: int | None = None) -> Path:
    """The same packets, or the first of them, again and again, for at least so long."""
    offset, time_base = 0, Fraction(0)
    with av.open(str(path.with_suffix(".partial.mp4")), "w") as output:
        stream = None
        while stream is None or offset * time_base < seconds:
            with av.open(str(video)) as source:
                from_stream = source.streams.video[0]
                stream = stream or output.add_stream_from_template(from_stream)
                time_base, end = from_stream.time_base, 0
                for packet in islice(source.demux(from_stream), first):
                    if packet.dts is None:
                        continue
                    end = max(end, packet.pts + packet.duration)
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    output.mux(packet)
                offset += end
    return path.with_suffix(".partial.mp4").rename(path)

"""Films of known shots, composed of clips: what `shots.py` and `cast.py` measure on.

A film has 2 to 8 shots of 12 to 40 frames, each from another clip than the one before it: as it is, or with a fast pan,
a zoom, a flash or another light. All clips are fitted into `HEIGHT` x `WIDTH` px with black bars.
Shapes: H rows, W columns, C RGB.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.annotations.listing import VIDEO_SUFFIXES
from data.video.frames import read_frames

HEIGHT, WIDTH = 360, 640
FPS = 25


@dataclass(frozen=True)
class Clip:
    """The fitted frames of a clip."""

    path: Path
    frames_HWC: list[Tensor]
    scale: float
    left: int
    top: int
    """Where a px of the clip is in its fitted frame."""


class View(NamedTuple):
    """How a film shows a frame: a part of it, as large as the whole, with other levels."""

    top: float = 0.0
    left: float = 0.0
    share: float = 1.0
    """Height of the part in heights of the frame, and width in widths."""
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: float = 0.0


@dataclass(frozen=True)
class Shot:
    clip: Clip
    first: int
    """The shot's first frame in the clip."""
    views: list[View]

    def pictures(self) -> list[Tensor]:
        return [_seen(self.clip.frames_HWC[self.first + number], view) for number, view in enumerate(self.views)]

    def place(self, number: int, x_px: float, y_px: float) -> tuple[float, float]:
        """Where the film's frame `number` of this shot shows a point of the clip."""
        view = self.views[number]
        x_px, y_px = self.clip.left + x_px * self.clip.scale, self.clip.top + y_px * self.clip.scale
        return (x_px - view.left * WIDTH) / view.share, (y_px - view.top * HEIGHT) / view.share


def read_clips(folder: Path, skip: Sequence[str]) -> list[Clip]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    return [_read(path) for path in paths if path.name not in skip]


def _read(path: Path) -> Clip:
    frames, scale, left, top = [], 1.0, 0, 0
    for chunk in read_frames(path, device="cpu", decoder="pyav"):
        for frame_HWC in chunk.frames_HWC:
            height, width = frame_HWC.shape[:2]
            scale = min(HEIGHT / height, WIDTH / width)
            fitted = _resized(frame_HWC[:], round(height * scale), round(width * scale))
            top, left = (HEIGHT - fitted.shape[0]) // 2, (WIDTH - fitted.shape[1]) // 2
            whole = torch.zeros(HEIGHT, WIDTH, 3, dtype=torch.uint8)
            whole[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
            frames.append(whole)
    return Clip(path, frames, scale, left, top)


def _resized(picture_HWC: Tensor, height: int, width: int) -> Tensor:
    small = torch.nn.functional.interpolate(
        picture_HWC.permute(2, 0, 1)[None], (height, width), mode="bilinear", antialias=True
    )
    return small[0].permute(1, 2, 0)


def _seen(frame_HWC: Tensor, view: View) -> Tensor:
    top, left = round(view.top * HEIGHT), round(view.left * WIDTH)
    part = frame_HWC[top : top + round(view.share * HEIGHT), left : left + round(view.share * WIDTH)]
    picture = _resized(part, HEIGHT, WIDTH) if view.share < 1 else part
    if view.gain == (1.0, 1.0, 1.0) and not view.offset:
        return picture
    return (picture.float() * torch.tensor(view.gain) + view.offset).clamp(0, 255).to(torch.uint8)


Effect = Callable[[int, random.Random], list[View]]


def as_it_is(length: int, _: random.Random) -> list[View]:
    return [View()] * length


def panned(length: int, _: random.Random) -> list[View]:
    return [View(0.14, 0.28 * number / (length - 1), 0.72) for number in range(length)]


def zoomed(length: int, _: random.Random) -> list[View]:
    shares = [1 / (1 + 0.8 * number / length) for number in range(length)]
    return [View((1 - share) / 2, (1 - share) / 2, share) for share in shares]


def flashed(length: int, draw: random.Random) -> list[View]:
    views, first = [View()] * length, draw.randrange(3, length - 3)
    for number in range(first, first + draw.choice((1, 2))):
        views[number] = View(gain=(0.25, 0.25, 0.25), offset=190.0)
    return views


def otherwise_lit(length: int, draw: random.Random) -> list[View]:
    strength = draw.choice((0.6, 0.8, 1.25))
    red, blue = (strength * draw.uniform(0.85, 1.15) for _ in range(2))
    return [View(gain=(red, strength, blue), offset=draw.uniform(-10, 10))] * length


EFFECTS: Sequence[Effect] = (as_it_is, as_it_is, panned, zoomed, flashed)
"""Those in which no shot's light differs from its clip's."""


def compose(clips: Sequence[Clip], draw: random.Random, effects: Sequence[Effect] = EFFECTS) -> list[Shot]:
    shots: list[Shot] = []
    last = -1
    for _ in range(draw.randrange(2, 9)):
        last = draw.choice([number for number in range(len(clips)) if number != last])
        clip = clips[last]
        length = min(len(clip.frames_HWC), draw.randrange(12, 40))
        first = draw.randrange(len(clip.frames_HWC) - length + 1)
        shots.append(Shot(clip, first, draw.choice(effects)(length, draw)))
    return shots


def write_film(path: Path, shots: Sequence[Shot]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture_HWC in (picture for shot in shots for picture in shot.pictures()):
            levels: NDArray[np.uint8] = np.ascontiguousarray(picture_HWC.numpy())
            container.mux(stream.encode(av.VideoFrame.from_ndarray(levels, format="rgb24")))
        container.mux(stream.encode())

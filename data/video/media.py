"""What a video is, and a stretch of its frames. Shapes: H rows, W columns, C RGB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Decoder = Literal["pyav", "dali-cpu", "dali-gpu"]
Indices = NDArray[np.int64]
Region = slice | tuple[slice, slice] | tuple[Indices, Indices]
"""All of a frame, `[:]`; or its rows and columns; or those of each of some pixels."""


class Frame(Protocol):
    """Pixels, which may be made when they are looked at; a tensor is one."""

    @property
    def shape(self) -> Sequence[int]: ...

    def __getitem__(self, region: Region, /) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """What a video is, seen before it is decoded as a whole."""

    codec: str
    pixel_format: str
    width_px: int
    """Of the upright picture with square pixels, as a player shows it and as faces are placed in it."""
    height_px: int
    rotation_deg: int
    """By which decoded frames are turned counter-clockwise to stand upright: 0, 90, 180 or 270."""
    pixel_aspect: float
    """Width of a pixel of the file by its height: decoded frames are made wider by it."""
    num_packets: int
    promised_frames: int | None
    """What the header says, for reports: it may count frames that are cut out, invisible or not in the file."""
    promised_s: float | None
    """How long the video is by its header."""
    not_for_dali: str | None = None
    """Why the packets are not sure to be one frame each, in the order that DALI expects; None if they are."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a video."""

    frames_HWC: tuple[Frame, ...]
    """uint8 RGB of one size, on the device asked for."""
    frame_indices: range
    times_s: tuple[float | None, ...]
    """Seconds since the video's first frame, as the file's timestamps say; None where it has none."""
    damaged_packets: int
    """Packets that did not decode without a fault, from the start of the video to here; all on the last chunk."""
    undecoded: frozenset[int] = frozenset()
    """Of the frame indices those whose pixels are unknown, here black: the video has the frame, it did not decode."""

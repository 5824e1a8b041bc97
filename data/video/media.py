"""The facts of a video, and a chunk of its frames. Shapes: H rows, W columns, C RGB."""

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
"""The whole frame, `[:]`; a range of rows and columns; or the rows and columns of individual pixels."""


class Frame(Protocol):
    """The pixels of a frame, possibly converted on access; a tensor is one."""

    @property
    def shape(self) -> Sequence[int]: ...

    def __getitem__(self, region: Region, /) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """The facts of a video that are known before it is decoded."""

    codec: str
    pixel_format: str
    width_px: int
    """Size of the upright picture with square pixels, as a player shows it; faces are placed in it."""
    height_px: int
    rotation_deg: int
    """Counter-clockwise rotation that makes decoded frames upright: 0, 90, 180 or 270."""
    pixel_aspect: float
    """Width of a pixel relative to its height; decoded frames are widened by it."""
    num_packets: int
    promised_frames: int | None
    """Number of frames in the header, for reports; it may include frames that are cut, invisible or missing."""
    promised_s: float | None
    """How long the video is by its header."""
    not_for_dali: str | None = None
    """Why the packets are not sure to be one frame each, in the order that DALI expects; None if they are."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a video."""

    frames_HWC: tuple[Frame, ...]
    """uint8 RGB of one size, on the requested device."""
    frame_indices: range
    times_s: tuple[float | None, ...]
    """Seconds since the video's first frame, from the file's timestamps; None if missing."""
    damaged_packets: int
    """Packets that did not decode without a fault, from the start of the video to here; all on the last chunk."""
    undecoded: frozenset[int] = frozenset()
    """Indices of frames with unknown pixels, here black: the video has the frame, but it was not decoded."""

"""What clip number i of a sample is: name, split, people, codec, frame rate, quirks. A table, and no chance in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from data.labels import Split, Task


class Codec(StrEnum):
    """The names of PyAV's encoders."""

    VP9 = "libvpx-vp9"
    H264 = "libx264"
    HEVC = "libx265"


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """One video. The people of `track_ids` stand from left to right; nobody is in a second clip.

    `seed` and `index` seed all that is left to chance in the clip. `walks_out`: the first person leaves the picture and
    comes back. `without`: the task that has no annotation file. `extra_rows`: annotation rows beyond the last frame.
    """

    index: int
    seed: int
    video_id: str
    split: Split
    track_ids: tuple[str, ...]
    num_frames: int
    fps: Fraction
    codec: Codec
    walks_out: bool
    without: Task | None
    extra_rows: int


@dataclass(frozen=True)
class _Role:
    name: str
    split: Split = Split.TRAIN
    suffixes: tuple[str, ...] = ("",)
    fps: Fraction = Fraction(30)
    codec: Codec = Codec.VP9
    walks_out: bool = False
    without: Task | None = None
    extra_rows: int = 1


_NTSC = Fraction(30000, 1001)

# The first three hold both splits, two people, a frame without a face and two codecs, for samples of three clips.
_ROLES = (
    _Role("{n}-30-640x360", walks_out=True),
    _Role("video{n}", suffixes=("_left", "_right")),
    _Role("{n}-25-640x360", Split.VALIDATION, fps=Fraction(25), codec=Codec.H264),
    _Role("1{n:02d}", fps=Fraction(24), codec=Codec.HEVC, without=Task.AU),
    _Role("{n}-60-640x360", suffixes=("", "_right")),
    _Role("{n}-30-640x360", Split.VALIDATION, suffixes=("_left", "_right"), fps=_NTSC),
    _Role("video{n}_1", codec=Codec.H264, without=Task.VA),
    _Role("{n}-30-640x360", fps=_NTSC, extra_rows=0),
    _Role("1{n:02d}", Split.VALIDATION, walks_out=True),
    _Role("{n}-30-640x360-2", fps=Fraction(25), without=Task.EXPR),
)


def plan_clip(index: int, *, seconds: float, seed: int) -> ClipPlan:
    """The plan of clip `index` (from 0), the same however many clips the sample has.

    Three of ten clips are for validation, three of ten show two people. One clip of a sample is HEVC.
    """
    role = _ROLES[index % len(_ROLES)]
    video_id = role.name.format(n=index + 1)
    return ClipPlan(
        index=index,
        seed=seed,
        video_id=video_id,
        split=role.split,
        track_ids=tuple(video_id + suffix for suffix in role.suffixes),
        num_frames=max(1, round(seconds * role.fps)),
        fps=role.fps,
        codec=Codec.VP9 if role.codec is Codec.HEVC and index >= len(_ROLES) else role.codec,
        walks_out=role.walks_out,
        without=role.without,
        extra_rows=role.extra_rows,
    )

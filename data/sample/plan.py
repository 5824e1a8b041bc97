"""The plan of clip number i of a sample: name, split, people, codec, frame rate, oddities. Tables, not random."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from data.labels import Split, Task
from data.sample.moves import Move


class Cast(StrEnum):
    """`demo` has a bit of everything; `people` has people who are hard to tell apart or to follow; `uniforms` has them
    with the same clothes and hair."""

    DEMO = "demo"
    PEOPLE = "people"
    UNIFORMS = "uniforms"


class Codec(StrEnum):
    """The names of PyAV's encoders."""

    VP9 = "libvpx-vp9"
    H264 = "libx264"
    HEVC = "libx265"


@dataclass(frozen=True, kw_only=True)
class Scarcity:
    """Training labels to withhold, at random and evenly; validation labels are not changed.

    `missing` is the share of rows without a label, for each task separately. With an `imbalance` of r, the last
    expression is labelled in 1/r of its frames, the first one in all, and those between in geometric progression;
    likewise the frames in which a unit is present. A frame not labelled with its class is not labelled at all, so no
    label is wrong.
    """

    missing: float = 0.0
    imbalance: float = 1.0


PLENTY = Scarcity()


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """One video. The people of `track_ids` are placed from left to right; each appears in one clip only.

    `seed` and `index` seed all random choices in the clip. `walks_out`: the first person leaves the picture and comes
    back. `moves`: movements of the people, or none. `bystanders`: movements of people without annotations, who are
    smaller and behind the others, or nearer if `in_front`. `without`: the task without an annotation file.
    `extra_rows`:
    annotation rows beyond the last frame. `scarcity`: labels that are also withheld.
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
    moves: tuple[Move, ...] = ()
    bystanders: tuple[Move, ...] = ()
    in_front: bool = False
    scarcity: Scarcity = PLENTY
    uniforms: bool = False
    """Whether everyone has the same clothes and hair."""

    @property
    def everyone(self) -> tuple[str, ...]:
        """The names of all visible people: tracks, then bystanders, who have a ground truth too."""
        numbers = range(1, len(self.bystanders) + 1)
        return (*self.track_ids, *(f"{self.video_id}_bystander{number}" for number in numbers))


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
    moves: tuple[Move, ...] = ()
    bystanders: tuple[Move, ...] = ()
    in_front: bool = False


FIRST_NUMBER = 901
"""Names follow the real set's styles with numbers it does not use, so that both fit into one store."""

_NTSC = Fraction(30000, 1001)

# The first three hold both splits, two people, a frame without a face and two codecs, for samples of three clips.
_ROLES = (
    _Role("{n}-30-640x360", walks_out=True),
    _Role("video{n}", suffixes=("_left", "_right")),
    _Role("{n}-25-640x360", Split.VALIDATION, fps=Fraction(25), codec=Codec.H264),
    _Role("{n}", fps=Fraction(24), codec=Codec.HEVC, without=Task.AU),
    _Role("{n}-60-640x360", suffixes=("", "_right")),
    _Role("{n}-30-640x360", Split.VALIDATION, suffixes=("_left", "_right"), fps=_NTSC),
    _Role("video{n}_1", codec=Codec.H264, without=Task.VA),
    _Role("{n}-30-640x360", fps=_NTSC, extra_rows=0),
    _Role("{n}", Split.VALIDATION, walks_out=True),
    _Role("{n}-30-640x360-2", fps=Fraction(25), without=Task.EXPR),
)

_PAIR = ("_left", "_right")

_HARD_ROLES = (
    _Role("video{n}", suffixes=_PAIR, moves=(Move.CROSSES, Move.CROSSES)),
    _Role("{n}-30-640x360", suffixes=("", "_right"), moves=(Move.STAYS, Move.LEAVES)),
    _Role("video{n}", Split.VALIDATION, suffixes=("_left", ""), moves=(Move.RETURNS, Move.STAYS)),
    _Role("{n}-25-640x360", fps=Fraction(25), codec=Codec.H264, bystanders=(Move.STAYS,)),
    _Role("{n}", fps=Fraction(24), moves=(Move.TURNS,), bystanders=(Move.PASSES,)),
    _Role("{n}-30-640x360", Split.VALIDATION, _PAIR, _NTSC, moves=(Move.CROSSES_ONCE, Move.CROSSES_ONCE)),
    _Role("{n}-24-640x360", suffixes=_PAIR, fps=Fraction(24), moves=(Move.TURNS, Move.RETURNS)),
    _Role("video{n}", suffixes=("", "_right"), moves=(Move.STAYS, Move.ARRIVES), bystanders=(Move.LEAVES,)),
    _Role("{n}-30-640x360", Split.VALIDATION, moves=(Move.RETURNS,), bystanders=(Move.STAYS,)),
    _Role("{n}-30-640x360-2", moves=(Move.STAYS,), bystanders=(Move.PASSES,), in_front=True),
)
_ROLES_OF = {Cast.DEMO: _ROLES, Cast.PEOPLE: _HARD_ROLES, Cast.UNIFORMS: _HARD_ROLES}


def plan_clip(
    index: int, *, seconds: float, seed: int, cast: Cast = Cast.DEMO, scarcity: Scarcity = PLENTY
) -> ClipPlan:
    """The plan of clip `index` (from 0), the same however many clips the sample has.

    Three of ten clips are for validation. Of the demo's, three of ten show two people, and one of a sample is HEVC; of
    the hard ones, six of ten show two people and five of ten a bystander.
    """
    roles = _ROLES_OF[cast]
    role = roles[index % len(roles)]
    video_id = role.name.format(n=FIRST_NUMBER + index)
    return ClipPlan(
        index=index,
        seed=seed,
        video_id=video_id,
        split=role.split,
        track_ids=tuple(video_id + suffix for suffix in role.suffixes),
        num_frames=max(1, round(seconds * role.fps)),
        fps=role.fps,
        codec=Codec.VP9 if role.codec is Codec.HEVC and index >= len(roles) else role.codec,
        walks_out=role.walks_out,
        without=role.without,
        extra_rows=role.extra_rows,
        moves=role.moves,
        bystanders=role.bystanders,
        in_front=role.in_front,
        scarcity=scarcity,
        uniforms=cast is Cast.UNIFORMS,
    )

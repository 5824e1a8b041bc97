"""Damaged videos: what decodes keeps its number, what does not is a frame with unknown pixels, nothing is repeated."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import spoil
from odd_clips import film, numbered_film
from test_extraction import number_in as number_in_face
from test_extraction import numbered_faces

from data.damage import DisplayOrder, Picture
from data.extraction import extract_video
from data.numbered import SIZE, number_in
from data.shards import read_manifest
from data.video import probe, read_frames

NUM_FRAMES = 60
KEYS = 12
"""Each clip has a keyframe in so many frames."""
EVERY_12 = {"libvpx": {"g": "12", "auto-alt-ref": "0"}}


@dataclass(frozen=True)
class Seen:
    """What was read of a video."""

    frames: list[np.ndarray]
    times_s: list[float | None]
    undecoded: set[int]

    @property
    def numbers(self) -> list[int | None]:
        """None where the pixels are unknown."""
        return [
            None if index in self.undecoded else number_in(frame) if frame.shape[:2] == SIZE else -1
            for index, frame in enumerate(self.frames)
        ]


def look(path: Path, skip: int = 0) -> Seen:
    chunks = list(read_frames(path, device="cpu", decoder="pyav", chunk=8, skip=skip))
    return Seen(
        [frame.numpy() for chunk in chunks for frame in chunk.frames_FHWC],
        [time_s for chunk in chunks for time_s in chunk.times_s],
        {index for chunk in chunks for index in chunk.undecoded},
    )


def with_lost(num_frames: int, lost: Iterable[int]) -> list[int | None]:
    indices = set(lost)
    return [None if index in indices else index for index in range(num_frames)]


# When each packet is shown, in decoding order: I0 P4 B2 B1 B3 I8 B6 B5 B7 and so on, with keyframes 0, 8 and 16.
PATTERN = (0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11, 16, 14, 13, 15, 20, 18, 17, 19)


@dataclass(frozen=True)
class Frame:
    """As much of a decoded frame as its order is made of."""

    number: int
    pts: int | None


def order(
    *, fails: Collection[int] = (), corrupt: Collection[int] = (), timed: bool = True, hole: int | None = None
) -> list[int | None]:
    """What comes out, by time of display, None for what is lost, when packets with these times fail or are concealed.

    The frames are given as a decoder does that holds back two; the packets of `hole` and the next two are not there.
    """
    display = DisplayOrder()
    held: list[tuple[int, Picture]] = []
    out: list[Picture] = []

    def give(pictures: list[tuple[int, Picture]]) -> None:
        for time, picture in pictures:
            pts = time if timed else None
            display.give(picture, Frame(time, pts), is_corrupt=time in corrupt, is_key=picture.is_key)

    for number, time in enumerate(PATTERN):
        if hole is not None and 0 <= number - hole < 3:
            if number == hole:
                display.add_hole(number)
            continue
        picture = Picture(number, time if timed else None, number, is_key=time % 8 == 0, is_damaged=time in fails)
        display.add(picture)
        if time not in fails:
            held = sorted([*held, (time, picture)], key=lambda item: item[0])
        give(held[:-2])
        held = held[-2:]
        out += display.ready()
    give(held)
    out += display.rest(cut_at=math.inf)
    return [picture.frame.number if picture.is_trusted else None for picture in out]


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        ({}, []),
        ({"fails": {1}}, [1, 3, 5, 6, 7]),
        ({"corrupt": {1}}, [1, 3, 5, 6, 7]),
        ({"fails": {4}}, [1, 2, 3, 4, 5, 6, 7]),
        ({"corrupt": {4}}, [1, 2, 3, 4, 5, 6, 7]),
        ({"fails": {5}}, [5, 7, *range(9, 16)]),
        ({"fails": {8}}, range(5, 16)),
        ({"fails": {0}}, range(8)),
        ({"fails": {3, 8}}, [3, *range(5, 16)]),
        ({"corrupt": {8}, "fails": {18}}, [*range(5, 16), 17, 18, 19]),
        ({"hole": 7}, range(5, 16)),
    ],
)
def test_what_is_made_from_damage_is_lost_until_the_next_keyframe_and_nothing_moves(
    damage: dict[str, Any], lost: Iterable[int]
) -> None:
    assert order(**damage) == with_lost(len(PATTERN), lost)


@pytest.mark.parametrize("failed", range(21))
def test_without_times_more_is_lost_but_nothing_moves(failed: int) -> None:
    found = order(fails={failed}, timed=False)
    assert found == with_lost(len(PATTERN), [place for place, number in enumerate(found) if number is None])
    assert found[failed] is None
    assert found.count(None) <= 16


# The packet that is spoiled, the frame that it holds, and the first frame after the damage: the next keyframe.
SPOILT = [
    ("mjpeg.avi", "mjpeg", 20, 20, 21),
    ("vp8.webm", "libvpx", 20, 20, 24),
    ("vp9.webm", "libvpx-vp9", 20, 20, 24),
    ("vp9.webm", "libvpx-vp9", 12, 12, 24),
    ("h264.mp4", "libx264", 13, 14, 24),
    ("h264.mkv", "libx264", 13, 13, 30),
    ("h264.avi", "libx264", 13, 14, 24),
    ("hevc.mp4", "libx265", 14, 13, 24),
    ("xvid.avi", "mpeg4", 19, 21, 24),
    ("av1.mp4", "libsvtav1", 20, 20, 24),
]


@pytest.mark.parametrize(("name", "codec", "packet", "frame", "mended"), SPOILT)
def test_a_spoilt_packet_costs_the_frames_that_need_it_and_moves_none(
    tmp_path: Path, name: str, codec: str, packet: int, frame: int, mended: int
) -> None:
    clip = numbered_film(tmp_path / name, 40, codec=codec, options=EVERY_12.get(codec))
    spoil(clip, packet)
    seen = look(clip)
    assert seen.numbers == with_lost(40, seen.undecoded)
    assert {frame} <= seen.undecoded <= set(range(frame - 5, mended))
    assert seen.times_s == pytest.approx([index / 25 for index in range(40)], abs=1e-3)

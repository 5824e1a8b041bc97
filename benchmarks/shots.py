"""Hard cuts: precision and recall on films that are composed of clips, so that their cuts are known.

    python benchmarks/shots.py path/to/clips --films 100 --seed 1 --skip a-clip-with-cuts.mov

A film has 2 to 8 shots of 12 to 40 frames, each from another clip than the one before it: as it is, or with a fast pan,
a zoom or a flash. Prints the cuts found and missed, what was taken for a cut, and the time per frame.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))

from data.annotations.listing import VIDEO_SUFFIXES
from data.video.frames import read_frames
from data.video.shots import Thumbnails, find_cuts, thumbnails

HEIGHT, WIDTH = 180, 320
Shot = list[Tensor]


def read(path: Path) -> Shot:
    """The frames of a clip, small: `(HEIGHT, WIDTH, 3)`."""
    frames: Shot = []
    for chunk in read_frames(path, device="cpu", decoder="pyav"):
        for frame in chunk.frames_HWC:
            rows, columns = (np.arange(size) for size in frame.shape[:2])
            frames.append(_resized(frame[rows[:, None], columns[None]]))
    return frames


def _resized(frame_HWC: Tensor) -> Tensor:
    picture = frame_HWC.permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(picture, (HEIGHT, WIDTH), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).clamp(0, 255).to(torch.uint8)


def panned(shot: Shot, _: random.Random) -> Shot:
    lefts = np.linspace(0, 90, len(shot)).astype(int)
    return [_resized(frame[20:150, left : left + 230]) for frame, left in zip(shot, lefts, strict=True)]


def zoomed(shot: Shot, _: random.Random) -> Shot:
    frames = []
    for index, frame in enumerate(shot):
        height, width = (int(side / (1 + 0.8 * index / len(shot))) for side in (HEIGHT, WIDTH))
        top, left = (HEIGHT - height) // 2, (WIDTH - width) // 2
        frames.append(_resized(frame[top : top + height, left : left + width]))
    return frames


def flashed(shot: Shot, draw: random.Random) -> Shot:
    frames, first = list(shot), draw.randrange(3, len(shot) - 3)
    for index in range(first, first + draw.choice((1, 2))):
        frames[index] = (frames[index].float() * 0.25 + 190).clamp(0, 255).to(torch.uint8)
    return frames


def as_it_is(shot: Shot, _: random.Random) -> Shot:
    return shot


EFFECTS: Sequence[Callable[[Shot, random.Random], Shot]] = (as_it_is, as_it_is, panned, zoomed, flashed)


def compose(clips: Sequence[Shot], draw: random.Random) -> tuple[Thumbnails, set[int]]:
    """The thumbnails of a film, and its cuts."""
    frames: Shot = []
    cuts, last = set(), -1
    for _ in range(draw.randrange(2, 9)):
        last = draw.choice([number for number in range(len(clips)) if number != last])
        length = min(len(clips[last]), draw.randrange(12, 40))
        start = draw.randrange(len(clips[last]) - length + 1)
        cuts.add(len(frames))
        frames += draw.choice(EFFECTS)(clips[last][start : start + length], draw)
    return thumbnails(frames), cuts - {0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--films", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", nargs="*", default=[], help="clips that have cuts themselves")
    given = parser.parse_args()
    paths = sorted(path for path in given.clips.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    clips = [read(path) for path in paths if path.name not in given.skip]
    draw = random.Random(given.seed)
    right = wrong = missed = num_frames = 0
    seconds = 0.0
    for _ in range(given.films):
        pictures, cuts = compose(clips, draw)
        start_s = time.perf_counter()
        found = set(find_cuts(pictures))
        seconds += time.perf_counter() - start_s
        num_frames += len(pictures)
        right, wrong, missed = right + len(found & cuts), wrong + len(found - cuts), missed + len(cuts - found)
    print(f"{right + missed} cuts in {num_frames} frames: {right} found, {missed} missed, {wrong} others")  # noqa: T201
    print(f"precision {right / (right + wrong):.3f}, recall {right / (right + missed):.3f}")  # noqa: T201
    print(f"{seconds / num_frames * 1e3:.2f} ms per frame, without the thumbnails")  # noqa: T201


if __name__ == "__main__":
    main()

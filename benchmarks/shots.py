"""Hard cuts: precision and recall on films that are composed of clips, so that their cuts are known.

    python benchmarks/shots.py path/to/clips --films 100 --seed 1 --skip a-clip-with-cuts.mov

Prints the cuts found and missed, what was taken for a cut, and the time per frame.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from itertools import accumulate
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from films import compose, read_clips

from data.video.shots import find_cuts, thumbnails


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--films", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", nargs="*", default=[], help="clips that have cuts themselves")
    given = parser.parse_args()
    clips = read_clips(given.clips, given.skip)
    draw = random.Random(given.seed)
    right = wrong = missed = num_frames = 0
    seconds = 0.0
    for _ in range(given.films):
        shots = compose(clips, draw)
        cuts = set(accumulate(len(shot.views) for shot in shots[:-1]))
        pictures = thumbnails([picture for shot in shots for picture in shot.pictures()])
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

"""What the recognition of people costs: CPU time of an extraction with and without it, in turns, every frame searched.

    python benchmarks/identity.py CLIP.mp4 ... --times 5

Prints for each clip the least seconds of both, and the median of the ratios of neighbouring runs. Loading the network
(some 0.1 s) counts in the first run of a process only, and the first run is left out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search


def cpu_seconds(video: Path, *, identity: bool) -> float:
    with tempfile.TemporaryDirectory() as store:
        start_s = time.process_time()
        search = Search(identity=identity)
        extract_video(video, Path(store), search, Casting(), device="cpu", decoder="pyav", threads=1)
        return time.process_time() - start_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for video in given.videos:
        cpu_seconds(video, identity=True)
        pairs = [[cpu_seconds(video, identity=identity) for identity in (True, False)] for _ in range(given.times)]
        least = [min(pair[side] for pair in pairs) for side in (0, 1)]
        ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
        print(f"{video.name}: {least[0]:.2f} s with, {least[1]:.2f} s without, ratio {ratio:.3f}")  # noqa: T201


if __name__ == "__main__":
    main()

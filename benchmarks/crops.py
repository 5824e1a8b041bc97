"""How many of the data set's own crops a second become face shards.

    python benchmarks/crops.py

makes crops of noise in a temporary folder, and takes them twice: as they are, and when they are known already.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import simplejpeg

sys.path.insert(0, str(Path(__file__).parent.parent))

from data.extraction.cropped import take_crops

log = logging.getLogger("benchmark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=5)
    parser.add_argument("--crops", type=int, default=4000)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rng = np.random.default_rng(0)
    # smooth noise, whose JPEGs are about as large as those of faces
    small = rng.integers(0, 255, (64, 14, 14, 3), np.uint8)
    jpegs = [simplejpeg.encode_jpeg(np.kron(image, np.ones((8, 8, 1), np.uint8)), 95, "RGB", "420") for image in small]
    with tempfile.TemporaryDirectory(prefix="mtanet-crops-") as folder:
        root, store = Path(folder) / "cropped_aligned", Path(folder) / "store"
        for track in range(arguments.tracks):
            (root / str(track)).mkdir(parents=True)
            for number in range(1, arguments.crops + 1):
                (root / str(track) / f"{number:05d}.jpg").write_bytes(jpegs[(number + track) % len(jpegs)])
        log.info("%d tracks of %d crops, %d bytes each", arguments.tracks, arguments.crops, len(jpegs[0]))
        for what in ("first run", "rerun"):
            start_s = time.perf_counter()
            for track in range(arguments.tracks):
                take_crops(root / str(track), store, track_ids=[str(track)])
            elapsed_s = time.perf_counter() - start_s
            log.info("%-9s %6.2f s, %6.0f crops/s", what, elapsed_s, arguments.tracks * arguments.crops / elapsed_s)


if __name__ == "__main__":
    main()

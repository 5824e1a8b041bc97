"""How long it takes to read, check and write the labels of a data set as large as Aff-Wild2, and with how much memory.

    python benchmarks/labels.py [--spaces]

makes a tree of random labels in a temporary folder: as many tracks and frames as the data set has, their lengths spread
as there, every track with valence and arousal, three in five with expressions and one in ten with action units. With
`--spaces` there is a space after every comma, so that no file can be read in the fast way.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from data.annotations.alignment import read_counts, write_labels
from data.annotations.discovery import discover
from data.annotations.editions import header_of
from data.annotations.splits import SplitSettings
from data.labels import ACTION_UNITS, EXPRESSIONS, Edition, Task

EDITION = Edition.ABAW_2022
FOLDERS = {
    Task.VA: "VA_Estimation_Challenge",
    Task.EXPR: "EXPR_Classification_Challenge",
    Task.AU: "AU_Detection_Challenge",
}
SHORTEST, MEDIAN, LONGEST = 73, 3937, 47_434

log = logging.getLogger("benchmark")


def make_tree(root: Path, num_tracks: int, num_frames: int, *, separator: str, seed: int = 0) -> int:
    """Writes the tree; gives the number of rows in all files."""
    rng = np.random.default_rng(seed)
    (root / "videos").mkdir(parents=True)
    lengths = np.clip(MEDIAN * np.exp(rng.normal(0, 0.7, num_tracks)), SHORTEST, LONGEST)
    lengths = np.maximum(SHORTEST, lengths * num_frames / lengths.sum()).astype(int)
    lengths[-1] += num_frames - lengths.sum()
    num_rows = 0
    for index, length in enumerate(lengths.tolist()):
        track_id = f"{index}-30-640x360"
        (root / "videos" / f"{track_id}.mp4").touch()
        tasks = [task for task, every in ((Task.VA, 1), (Task.EXPR, 5 / 3), (Task.AU, 10)) if index % every < 1]
        split = "Validation_Set" if index % 5 == 0 else "Train_Set"
        for task in tasks:
            path = root / "Third ABAW Annotations" / FOLDERS[task] / split / f"{track_id}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            num_rows += length + 1  # one row more than frames, as the data set has
            path.write_text(header_of(task, EDITION) + "\n" + _rows(task, length + 1, rng).replace(",", separator))
    return num_rows


def _rows(task: Task, number: int, rng: np.random.Generator) -> str:
    if task is Task.VA:
        values = np.where(rng.random((number, 1)) < 0.01, -5, rng.uniform(-1, 1, (number, 2)))
        return "".join(f"{valence:.6g},{arousal:.6g}\n" for valence, arousal in values.tolist())
    if task is Task.EXPR:
        return "".join(f"{value}\n" for value in rng.integers(-1, len(EXPRESSIONS[EDITION]), number).tolist())
    units = rng.integers(-1, 2, (number, len(ACTION_UNITS[EDITION])))
    return "".join(",".join(map(str, row)) + "\n" for row in units.tolist())


def ingest(root: Path, store: Path, results: multiprocessing.SimpleQueue[tuple[float, float, int]]) -> None:
    """Finds and writes the labels as the flow does; returns seconds, peak MiB and the number of rows with a label."""
    start_s = time.perf_counter()
    folder = write_labels(discover(root), store, SplitSettings())
    elapsed_s = time.perf_counter() - start_s
    rows = sum(task["rows"] for tasks in read_counts(folder).values() for task in tasks.values())
    results.put((elapsed_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=564)
    parser.add_argument("--frames", type=int, default=2_706_999)
    parser.add_argument("--spaces", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="mtanet-labels-") as folder:
        root, store = Path(folder) / "aff-wild2", Path(folder) / "store"
        num_rows = make_tree(root, arguments.tracks, arguments.frames, separator=", " if arguments.spaces else ",")
        size_mb = sum(path.stat().st_size for path in root.rglob("*.txt")) / 1e6
        log.info("%d tracks, %d frames, %d rows, %.0f MB", arguments.tracks, arguments.frames, num_rows, size_mb)
        log.info("%s, Python %s", platform.platform(), platform.python_version())
        for what in ("first run", "rerun"):
            results = context.SimpleQueue()
            process = context.Process(target=ingest, args=(root, store, results))
            process.start()
            process.join()
            elapsed_s, peak_mib, rows = results.get()
            assert rows == num_rows, f"{rows} rows were counted, {num_rows} were written"
            log.info("%-9s %6.2f s, %5.0f MiB at most", what, elapsed_s, peak_mib)
        written_mb = next(store.glob("labels/*/labels.parquet")).stat().st_size / 1e6
        log.info("labels.parquet: %.0f MB", written_mb)


if __name__ == "__main__":
    main()

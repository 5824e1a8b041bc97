"""The rows of the view `leaderboard`: what was compared with what, and how far apart it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from data.labels import Task
from data.store.shards import write_parquet

FOLDER = "comparisons"
"""In the store: a Parquet file and a JSON for each comparison."""

LEADERBOARD = pa.schema(
    [
        *((name, pa.string()) for name in ("comparison", "dataset", "level", "name", "experiment", "system")),
        ("num_seeds", pa.int32()),
        ("metric", pa.string()),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        *((name, pa.float64()) for name in ("difference", "difference_low", "difference_high")),
        ("parameters", pa.int64()),
        *((name, pa.float64()) for name in ("train_s", "faces_per_s")),
        *((f"labels_{task}", pa.int64()) for task in Task),
    ]
)
"""The mean of a score over the trainings of an entry of a comparison, on the validation split, with its 95 % interval
over videos and seeds; and the difference from the baseline, the first entry of its level, with its interval.

The baseline has no difference, and a score that the baseline lacks has none. `labels_` columns count the labels that
were trained on: frames, or values of action units.
"""


def write_leaderboard(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the rows of a comparison; replaces an existing file."""
    write_parquet(pa.Table.from_pylist(rows, schema=LEADERBOARD), path)

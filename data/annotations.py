"""The labels of all tracks of a root, side by side: one row per annotated frame, in one shard."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.affwild2 import AffWild2, AnnotationFile, read_annotation
from data.labels import Edition, Split, Task, action_unit_columns
from data.schema import LABELS, VERSION
from data.shards import digest, file_sha256, is_whole, read_manifest, write_folder, write_manifest, write_parquet
from data.splits import Splits, guarded, overlap


def write_labels(tree: AffWild2, store: Path, *, splits: str) -> Path:
    """Writes every label under a root into `store/labels/<digest>/labels.parquet`; gives the folder.

    A track's rows are as many as its longest annotation file has, rows beyond the video's last frame included: what
    has no frame joins with none. The manifest counts rows and values per track and task.

    Args:
        tree: What `discover` found.
        store: Where shards lie.
        splits: `guarded` or `official`.
    """
    hashes = {file.path.relative_to(tree.root).as_posix(): file_sha256(file.path) for file in tree.annotations}
    folder = store / "labels" / digest("labels", VERSION, tree.edition, splits, hashes)
    if is_whole(folder):
        return folder
    by_track = defaultdict(list)
    for file in tree.annotations:
        by_track[file.track_id].append(file)
    video_ids = {track_id: tree.video_id(track_id) for track_id in by_track}
    official = official_splits(tree)
    chosen = official if splits == "official" else guarded(official, video_ids)
    tables, counts = [], {}
    for track_id, files in sorted(by_track.items()):
        values = {file.task: read_annotation(file, tree.edition) for file in files}
        tables.append(_track_table(track_id, video_ids[track_id], values, chosen, tree.edition))
        counts[track_id] = {task.value: _count(rows) for task, rows in values.items()}
    with write_folder(folder) as partial:
        write_parquet(pa.concat_tables(tables), partial / "labels.parquet")
        write_manifest(
            partial,
            {
                "edition": tree.edition,
                "splits": splits,
                "sources": hashes,
                "tracks": counts,
                "overlap": [
                    [str(trains), str(holds_out), count] for trains, holds_out, count in overlap(official, video_ids)
                ],
            },
        )
    return folder


def official_splits(tree: AffWild2) -> Splits:
    """Each task's own split of its tracks, from the folders of the annotation files.

    Raises:
        ValueError: A track is annotated twice for one task.
    """
    seen: dict[tuple[str, Task], AnnotationFile] = {}
    for file in tree.annotations:
        other = seen.setdefault((file.track_id, file.task), file)
        if other is not file:
            raise ValueError(
                f"track {file.track_id} has two files for {file.task}: {other.path} and {file.path}; keep one"
            )
    return {key: file.split for key, file in seen.items()}


def read_counts(labels: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Per track and task: rows of the file, and rows with at least one value."""
    counts: dict[str, dict[str, dict[str, int]]] = read_manifest(labels)["tracks"]
    return counts


def _count(rows: NDArray[np.float32]) -> dict[str, int]:
    missing = np.isnan(rows)
    return {"rows": len(rows), "labelled": int((~missing.all(axis=1)).sum()), "missing_values": int(missing.sum())}


def _track_table(
    track_id: str, video_id: str, values: dict[Task, NDArray[np.float32]], splits: Splits, edition: Edition
) -> pa.Table:
    num_rows = max(len(rows) for rows in values.values())
    columns: dict[str, Any] = {
        "track_id": [track_id] * num_rows,
        "video_id": [video_id] * num_rows,
        "frame_index": np.arange(num_rows, dtype=np.int32),
        "edition": [edition.value] * num_rows,
    }
    names = {Task.VA: ("valence", "arousal"), Task.EXPR: ("expression",), Task.AU: action_unit_columns(edition)}
    for task, rows in values.items():
        padded = np.full((num_rows, rows.shape[1]), np.nan, np.float32)
        padded[: len(rows)] = rows
        columns |= dict(zip(names[task], padded.T, strict=True))
        split: Split = splits[track_id, task]
        columns[f"split_{task}"] = [split.value] * len(rows) + [None] * (num_rows - len(rows))
    return pa.table({field.name: _column(columns.get(field.name), field, num_rows) for field in LABELS}, schema=LABELS)


def _column(values: Any, field: pa.Field, num_rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(num_rows, field.type)
    if isinstance(values, np.ndarray) and values.dtype == np.float32:
        missing = np.isnan(values)
        return pa.array(np.nan_to_num(values), mask=missing).cast(field.type)
    return pa.array(values, field.type)

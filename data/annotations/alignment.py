"""The labels of all tracks of a root, side by side: one row per annotated frame, in one shard.

Row n of a track's file, counted from 1 after the header, belongs to frame n - 1; no row moves. Letters: N rows,
C columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.annotations.discovery import AffWild2
from data.annotations.findings import Finding, Kind, refuse
from data.annotations.mtl import TASKS_C, Conflicts, parse_mtl
from data.annotations.parsing import Floats, Text, open_text, read_rows
from data.annotations.splits import Overlap, Splits, SplitSettings, choose_splits, overlap
from data.labels import Edition, Split, Task, task_columns
from data.schema import LABELS, VERSION
from data.store.access import hold
from data.store.hashes import file_hashes
from data.store.shards import digest, is_whole, parquet_writer, read_manifest, write_folder, write_manifest

STAGE_VERSION = 2
"""Part of the digest: raised when the same files give different labels or a different manifest than before."""
ROWS_PER_GROUP = 65_536
SHOWN_IN_A_FILE = 5
"""Errors of a label file that are shown; thousands of rows mostly have the same one."""


@dataclass(frozen=True)
class TaskLabels:
    """The rows of one task for one track, by frame; NaN where a value is missing."""

    frame_index_N: NDArray[np.int32]
    values_NC: Floats


@dataclass
class Labels:
    """The content of all annotation files under a root."""

    tracks: dict[str, dict[Task, TaskLabels]] = field(default_factory=lambda: defaultdict(dict))
    findings: list[Finding] = field(default_factory=list)


def write_labels(
    tree: AffWild2,
    store: Path,
    splitting: SplitSettings,
    *,
    mtl_conflicts: Conflicts = "error",
    groups: Mapping[str, str] | None = None,
) -> Path:
    """Writes all labels under a root into `store/labels/<digest>/labels.parquet`; returns the folder.

    A track has as many rows as its longest annotation file, including rows beyond the video's last frame, which join
    with no frame. With multi-task files, it has the frames that the files name. The manifest holds the counts per track
    and task, the oddities of the files, the split of each track, and the overlap between tasks.

    Args:
        tree: The result of `discover`.
        store: The folder of all outputs.
        splitting: Which tracks train and which are held out.
        groups: The group of each video with `subject_disjoint`, where it is not its recording.
        mtl_conflicts: Whether a frame with conflicting labels in multi-task files is an error or gets no labels.

    Raises:
        ValueError: A file is invalid; the problems of all files are listed.
    """
    files = [file.path for file in tree.annotations] + [file.path for file in tree.mtl]
    hashes = {path.relative_to(tree.root).as_posix(): sha256 for path, sha256 in file_hashes(files, store).items()}
    video_ids = {track_id: tree.video_id(track_id) for track_id, _ in tree.splits}
    official = [[track_id, task, split] for (track_id, task), split in sorted(tree.splits.items())]
    conflicts = mtl_conflicts if tree.mtl else None
    parts = (VERSION, STAGE_VERSION, tree.edition, splitting.key, hashes, video_ids, official, conflicts)
    folder = store / "labels" / digest("labels", *parts, *([groups] if groups else []))
    with hold(store, f"labels-{folder.name}", what="the labels"):
        if is_whole(folder):
            return folder
        chosen = choose_splits(tree.splits, video_ids, splitting, groups)
        labels = read_labels(tree, mtl_conflicts)
        with write_folder(folder) as partial:
            with parquet_writer(partial / "labels.parquet", LABELS) as writer:
                for table in _tables(labels, video_ids, chosen, tree.edition):
                    writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            made_of = {
                "splits": splitting.key,
                **({"groups": groups} if groups else {}),
                "sources": hashes,
                "overlap": [asdict(row) for row in overlap(tree.splits, video_ids)],
            }
            write_manifest(partial, {**made_of, **_facts(tree, labels, chosen)})
    return folder


def read_labels(tree: AffWild2, mtl_conflicts: Conflicts = "error") -> Labels:
    """All labels under a root.

    Raises:
        ValueError: A file is invalid; the problems of all files are listed.
    """
    labels, problems, num_problems = Labels(), list[str](), 0
    for file in tree.annotations:
        text = open_text(file.path.read_bytes(), file.task, tree.edition)
        tasks = [file.task] * len(task_columns(tree.edition)[file.task])
        values_NC = read_rows(text, tasks, tree.edition).values_NC
        labels.tracks[file.track_id][file.task] = TaskLabels(np.arange(len(values_NC), dtype=np.int32), values_NC)
        problems += _notes(labels, text, tree.root, file.path, file.track_id, file.task)
        num_problems += len(text.problems)
    for several in tree.mtl:
        parsed = parse_mtl(several.path.read_bytes(), tree.edition, mtl_conflicts)
        name = several.path.relative_to(tree.root).as_posix()
        for track_id, rows in parsed.tracks.items():
            labels.tracks[track_id] = {
                task: TaskLabels(rows.frame_index_N, rows.values_NC[:, [of is task for of in TASKS_C]]) for task in Task
            }
        for (track_id, kind), count in parsed.left_out.items():
            labels.findings.extend([Finding(track_id, None, kind, count, name)] if count else [])
        problems += _notes(labels, parsed.text, tree.root, several.path, None, None)
        num_problems += len(parsed.text.problems)
    for tests in tree.tests:
        if count := tests.num_without_video:
            name = tests.path.relative_to(tree.root).as_posix()
            labels.findings.append(Finding(None, None, Kind.TEST_TRACKS_WITHOUT_VIDEO, count, name))
    refuse(problems, str(tree.root), total=num_problems)
    return labels


def _notes(labels: Labels, text: Text, root: Path, path: Path, track_id: str | None, task: Task | None) -> list[str]:
    """Adds the oddities of a file to the findings; returns its first errors, and how many more there are."""
    name = path.relative_to(root).as_posix()
    labels.findings.extend(Finding(track_id, task, kind, count, name) for kind, count in text.oddities.items() if count)
    shown = [f"{path}, {problem}" for problem in text.problems[:SHOWN_IN_A_FILE]]
    rest = len(text.problems) - len(shown)
    return [*shown, *([f"{path}: and {rest} more"] if rest else [])]


def read_counts(labels: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Per track and task: rows, rows with at least one value, and missing values."""
    counts: dict[str, dict[str, dict[str, int]]] = read_manifest(labels)["tracks"]
    return counts


def read_overlap(labels: Path) -> list[Overlap]:
    """The videos that tasks share, by their official splits."""
    return [
        Overlap(
            Task(row["task"]),
            Split(row["split"]),
            Task(row["other_task"]),
            Split(row["other_split"]),
            row["num_videos"],
        )
        for row in read_manifest(labels)["overlap"]
    ]


def read_findings(labels: Path) -> list[Finding]:
    """Counts per track and task, and the oddities of the files."""
    manifest = read_manifest(labels)
    counts = [
        Finding(track_id, Task(task), Kind(kind), count)
        for track_id, tasks in manifest["tracks"].items()
        for task, kinds in tasks.items()
        for kind, count in kinds.items()
    ]
    return counts + [Finding.of_row(row) for row in manifest["findings"]]


def _counts(tasks: Mapping[Task, TaskLabels]) -> dict[str, dict[str, int]]:
    missing = {task: np.isnan(rows.values_NC) for task, rows in tasks.items()}
    return {
        task.value: {
            Kind.ROWS.value: len(missing_NC),
            Kind.LABELLED.value: int((~missing_NC.all(axis=1)).sum()),
            Kind.MISSING_VALUES.value: int(missing_NC.sum()),
        }
        for task, missing_NC in missing.items()
    }


def _facts(tree: AffWild2, labels: Labels, chosen: Splits) -> dict[str, Any]:
    return {
        "edition": tree.edition,
        "evidence": [asdict(row) for row in tree.evidence],
        "annotations": "mtl" if tree.mtl else "per_task",
        "split_of": _split_of(tree.splits, chosen),
        "tracks": {track_id: _counts(tasks) for track_id, tasks in sorted(labels.tracks.items())},
        "findings": [finding.as_row() for finding in labels.findings],
    }


def _split_of(official: Splits, chosen: Splits) -> dict[str, dict[str, dict[str, str]]]:
    splits: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for (track_id, task), split in official.items():
        splits[track_id][task.value] = {"official": split.value, "used": chosen[track_id, task].value}
    return splits


def _tables(labels: Labels, video_ids: Mapping[str, str], splits: Splits, edition: Edition) -> Iterator[pa.Table]:
    """The rows of all tracks, by track and frame, a row group or more at a time."""
    tables: list[pa.Table] = []
    for track_id, tasks in sorted(labels.tracks.items()):
        tables.append(_track_table(track_id, video_ids[track_id], tasks, splits, edition))
        if sum(table.num_rows for table in tables) >= ROWS_PER_GROUP:
            yield pa.concat_tables(tables)
            tables = []
    if tables:
        yield pa.concat_tables(tables)


def _track_table(
    track_id: str, video_id: str, tasks: Mapping[Task, TaskLabels], splits: Splits, edition: Edition
) -> pa.Table:
    frame_index_N = np.unique(np.concatenate([rows.frame_index_N for rows in tasks.values()]))
    num_rows = len(frame_index_N)
    names = {"track_id": track_id, "video_id": video_id, "edition": edition.value}
    columns: dict[str, Any] = {name: pa.repeat(pa.scalar(value), num_rows) for name, value in names.items()}
    columns["frame_index"] = pa.array(frame_index_N)
    for task, rows in tasks.items():
        # of each row of the table the row of this task, or none
        row_N = np.full(num_rows, -1)
        row_N[np.searchsorted(frame_index_N, rows.frame_index_N)] = np.arange(len(rows.frame_index_N))
        absent_N = row_N < 0
        for name, values_N in zip(task_columns(edition)[task], rows.values_NC.T, strict=True):
            columns[name] = _nullable(values_N[row_N], absent_N, LABELS.field(name).type)
        columns[f"split_{task}"] = pa.array(np.full(num_rows, splits[track_id, task].value), pa.string(), mask=absent_N)
    arrays = [columns.get(field.name, pa.nulls(num_rows, field.type)) for field in LABELS]
    return pa.table(arrays, schema=LABELS)


def _nullable(values_N: Floats, absent_N: NDArray[np.bool_], of: pa.DataType) -> pa.Array:
    missing_N = absent_N | np.isnan(values_N)
    return pa.array(np.where(missing_N, 0, values_N).astype(np.float32), mask=missing_N).cast(of)

"""Aff-Wild2 as it lies on a user's disk: which videos and annotation files there are, and what their rows say.

The sentinels of the files (-5 for valence and arousal, -1 for expressions and action units) end here: a missing
value is NaN from the parser on. Row n of a file, counted from 1 after the header, belongs to frame n - 1; no row moves.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.labels import ACTION_UNITS, EXPRESSIONS, Edition, Split, Task

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
MISSING = {Task.VA: -5.0, Task.EXPR: -1.0, Task.AU: -1.0}
_SPLIT_FOLDERS = {"trainingset": Split.TRAIN, "trainset": Split.TRAIN, "validationset": Split.VALIDATION}
_TASK_FOLDER = re.compile(
    r"(va|expr|au)(set|estimationchallenge|classificationchallenge|recognitionchallenge|detectionchallenge)$"
)


@dataclass(frozen=True)
class AnnotationFile:
    """The labels of one task for one track."""

    path: Path
    task: Task
    split: Split
    track_id: str


@dataclass(frozen=True)
class AffWild2:
    """What was found under a root."""

    root: Path
    edition: Edition
    videos: Mapping[str, Path]
    annotations: tuple[AnnotationFile, ...]

    def video_id(self, track_id: str) -> str:
        """The video that shows the track's person."""
        return video_of(track_id, self.videos)

    def tracks(self, video_id: str) -> list[str]:
        """The annotated tracks of a video, by name."""
        return sorted({file.track_id for file in self.annotations if self.video_id(file.track_id) == video_id})


def discover_videos(root: Path) -> dict[str, Path]:
    """All videos under a folder, at any depth, by their id (the file name without its ending).

    Raises:
        ValueError: There is no such folder, no video in it, or two videos of one name.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; give the folder that holds the videos")
    found = defaultdict(list)
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            found[path.stem].append(path)
    if not found:
        raise ValueError(f"{root}: no videos in it or below; expected files ending in {', '.join(VIDEO_SUFFIXES)}")
    for video_id, paths in found.items():
        if len(paths) > 1:
            raise ValueError(f"video {video_id} is there {len(paths)} times: {', '.join(map(str, paths))}; keep one")
    return {video_id: paths[0] for video_id, paths in sorted(found.items())}


def discover(root: Path, edition: Edition | None = None) -> AffWild2:
    """The videos and annotation files under a root, whatever the case, spaces and underscores of its folders.

    Raises:
        ValueError: No videos, no annotations, an annotation without its video, or an edition that cannot be told.
    """
    videos = discover_videos(root)
    annotations = tuple(_annotation_files(root))
    if not annotations:
        raise ValueError(
            f"{root}: no annotation files; expected <task folder>/<split folder>/<track>.txt, a task folder being "
            "VA_Set, EXPR_Set or AU_Set and a split folder Training_Set or Validation_Set"
        )
    for file in annotations:
        if video_of(file.track_id, videos) not in videos:
            raise ValueError(
                f"{file.path}: annotates a video that is not under {root}; add the video or remove the file"
            )
    return AffWild2(root, edition or _recognise(annotations), videos, annotations)


def video_of(track_id: str, videos: Mapping[str, Path]) -> str:
    """Only a last `_left` or `_right` is a person; `_1`, `_2` and the like are part of a video's name."""
    return track_id if track_id in videos else re.sub(r"_(left|right)$", "", track_id)


def _annotation_files(root: Path) -> list[AnnotationFile]:
    files = []
    for path in sorted(root.rglob("*.txt")):
        folders = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in path.relative_to(root).parts[:-1]]
        tasks = [match[1] for folder in folders if (match := _TASK_FOLDER.search(folder))]
        splits = [_SPLIT_FOLDERS[folder] for folder in folders if folder in _SPLIT_FOLDERS]
        if tasks and splits:
            files.append(AnnotationFile(path, Task(tasks[-1]), splits[-1], path.stem))
    return files


def _recognise(annotations: tuple[AnnotationFile, ...]) -> Edition:
    """The edition whose headers the files have: editions differ in their expressions and action units."""
    headers = defaultdict(set)
    for file in annotations:
        with file.path.open(encoding="utf-8-sig") as lines:
            headers[file.task].add(lines.readline().strip().lower().count(",") + 1)
    seen = {task.value: sorted(counts) for task, counts in headers.items()}
    fitting = [
        edition
        for edition in Edition
        if headers[Task.EXPR] <= {len(EXPRESSIONS[edition])} and headers[Task.AU] <= {len(ACTION_UNITS[edition])}
    ]
    if len(fitting) != 1:
        raise ValueError(
            f"the edition cannot be told: names per header, by task, are {seen}, which fits "
            f"{', '.join(fitting) or 'no edition'}; say it with ingest.edition"
        )
    return fitting[0]


def read_annotation(file: AnnotationFile, edition: Edition) -> NDArray[np.float32]:
    """The values of a file, (rows, columns), NaN where one is missing: 2 columns for VA, 1 for EXPR, one a unit for AU.

    Raises:
        ValueError: A row is too short or too long, or a value is not a number or not one that the task knows.
    """
    lines = file.path.read_text(encoding="utf-8-sig").splitlines()[1:]
    while lines and not lines[-1].strip():
        lines.pop()
    num_columns = {Task.VA: 2, Task.EXPR: 1, Task.AU: len(ACTION_UNITS[edition])}[file.task]
    rows = [line.split(",") for line in lines]
    for number, row in enumerate(rows, start=2):
        if len(row) != num_columns:
            raise ValueError(f"{file.path}, line {number}: expected {num_columns} values, found {','.join(row)!r}")
    try:
        values = np.array(rows, dtype=np.float32).reshape(-1, num_columns)
    except ValueError as error:
        raise _not_a_number(file, rows) from error
    missing = values == MISSING[file.task]
    valid = _is_valid(values, file.task, edition)
    if not (valid | missing).all():
        row, column = np.argwhere(~(valid | missing))[0]
        raise ValueError(
            f"{file.path}, line {row + 2}: {rows[row][column]!r} is no {_expected(file.task, edition)}; mend the file"
        )
    values[missing] = np.nan
    return values


def _is_valid(values: NDArray[np.float32], task: Task, edition: Edition) -> NDArray[np.bool_]:
    if task is Task.VA:
        return np.abs(values) <= 1
    return np.isin(values, range(len(EXPRESSIONS[edition]) if task is Task.EXPR else 2))


def _expected(task: Task, edition: Edition) -> str:
    kinds = {
        Task.VA: "valence or arousal in [-1, 1] (or -5)",
        Task.EXPR: f"expression from 0 to {len(EXPRESSIONS[edition]) - 1} (or -1)",
        Task.AU: "action unit, 0 or 1 (or -1)",
    }
    return kinds[task]


def _not_a_number(file: AnnotationFile, rows: list[list[str]]) -> ValueError:
    for number, row in enumerate(rows, start=2):
        for value in row:
            try:
                float(value)
            except ValueError:
                return ValueError(f"{file.path}, line {number}: {value!r} is not a number; correct the file")
    raise AssertionError(f"{file.path}: refused as a whole, though every value is a number")

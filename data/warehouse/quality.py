"""Compares labels and faces of each track, and counts the findings. Rows for the table `quality`.

Letters: F frames of a track, N rows of labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.annotations.alignment import read_findings
from data.annotations.findings import Finding, Kind
from data.batches.labelled_frames import WITH_FACE
from data.extraction.cropped import SOURCE
from data.labels import ALL_ACTION_UNITS, Task, action_unit_column
from data.schema import Status
from data.store.shards import read_manifest, read_table

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

COLUMNS = {
    Task.VA: ("valence", "arousal"),
    Task.EXPR: ("expression",),
    Task.AU: tuple(map(action_unit_column, ALL_ACTION_UNITS)),
}
"""Columns of the labels shard."""
RATE_TOLERANCE_HZ = 0.5
"""The whole number of frames per second in a name may be rounded: 30 for 29.97, 24 for 23.976."""
INTERVAL_TOLERANCE = 0.25
"""An interval is irregular if it differs by more than this share of the median: containers round times to 1 ms."""


@dataclass(frozen=True)
class TrackFrames:
    """The frames of a track, in order."""

    status_F: NDArray[np.str_]
    time_s_F: Floats
    """NaN where the file has no time."""
    is_video: bool = True
    """Whether all frames of the video are known. With crops, frames after the last crop are unknown."""


@dataclass(frozen=True)
class TaskRows:
    """The rows of a task for a track, in order."""

    frame_index_N: Integers
    is_labelled_N: Booleans
    """Whether at least one value is present."""
    is_per_frame: bool = True
    """Whether the source has a row for every frame, as multi-task files have not."""


def dataset_findings(faces_files: Sequence[Path], labels: Path | None) -> list[Finding]:
    """All findings about the tracks of a data set.

    Args:
        faces_files: One file per track, in folders with a manifest.
        labels: The labels folder.
    """
    findings = read_findings(labels) if labels else []
    rows = dict(read_task_rows(labels)) if labels else {}
    for file in faces_files:
        video_id, frames = read_track_frames(file)
        findings += face_findings(file.stem, frames) + time_findings(file.stem, video_id, frames)
        for task, task_rows in rows.get(file.stem, {}).items():
            findings += label_findings(file.stem, task, frames, task_rows)
    return findings


def read_track_frames(faces_file: Path) -> tuple[str, TrackFrames]:
    """The video of a faces file, and its frames."""
    table = read_table([faces_file], ["status", "time_s"])
    manifest = read_manifest(faces_file.parent)
    time_s_F = table["time_s"].to_numpy().astype(np.float64)
    status_F = np.array(table["status"].to_pylist(), dtype=np.str_)
    return manifest["video_id"], TrackFrames(status_F, time_s_F, is_video=manifest.get("source") != SOURCE)


def read_task_rows(labels: Path) -> Iterator[tuple[str, dict[Task, TaskRows]]]:
    """The rows of each track, by task."""
    is_per_frame = read_manifest(labels)["annotations"] == "per_task"
    names = ["track_id", "frame_index", *(f"split_{task}" for task in Task), *sum(COLUMNS.values(), ())]
    table = read_table([labels / "labels.parquet"], names)
    tracks = table["track_id"].combine_chunks().dictionary_encode()
    code_N, track_ids = tracks.indices.to_numpy(), tracks.dictionary.to_pylist()
    frame_index_N = table["frame_index"].to_numpy().astype(np.int64)
    is_row = {task: table[f"split_{task}"].is_valid().to_numpy() for task in Task}
    is_labelled = {
        task: np.any([table[name].is_valid().to_numpy() for name in columns], axis=0)
        for task, columns in COLUMNS.items()
    }
    starts = np.searchsorted(code_N, np.arange(len(track_ids) + 1))  # rows of a track are contiguous
    for track_id, first, end in zip(track_ids, starts[:-1], starts[1:], strict=True):
        own = {task: np.flatnonzero(is_row[task][first:end]) + first for task in Task}
        yield (
            track_id,
            {
                task: TaskRows(frame_index_N[rows], is_labelled[task][rows], is_per_frame)
                for task, rows in own.items()
                if len(rows)
            },
        )


def face_findings(track_id: str, frames: TrackFrames) -> list[Finding]:
    """Number of frames, with and without a face, and of gaps between faces."""
    has_face_F = _has_face(frames)
    starts, ends = _runs_without(has_face_F)
    counts = {
        Kind.FRAMES: len(has_face_F),
        Kind.FACES: int(has_face_F.sum()),
        Kind.NO_FACE: int((frames.status_F == Status.NO_FACE.value).sum()),
        Kind.INTERPOLATED: int((frames.status_F == Status.INTERPOLATED.value).sum()),
        Kind.DECODE_ERROR: int((frames.status_F == Status.DECODE_ERROR.value).sum()),
        Kind.GAPS: len(starts),
        Kind.LONGEST_GAP_FRAMES: int((ends - starts).max(initial=0)),
    }
    return _findings(track_id, None, counts)


def label_findings(track_id: str, task: Task, frames: TrackFrames, rows: TaskRows) -> list[Finding]:
    """Labels without a face, faces without a label, and rows and frames without a counterpart."""
    num_frames = len(frames.status_F)
    is_inside_N = rows.frame_index_N < num_frames
    has_face_F, has_label_F = _has_face(frames), np.zeros(num_frames, dtype=bool)
    has_label_F[rows.frame_index_N[is_inside_N & rows.is_labelled_N]] = True
    num_beyond = int((~is_inside_N).sum())
    num_labels_beyond = int((rows.is_labelled_N & ~is_inside_N).sum())
    counts = {
        Kind.LABEL_WITHOUT_FACE: int((has_label_F & ~has_face_F).sum()),
        Kind.FACE_WITHOUT_LABEL: int((has_face_F & ~has_label_F).sum()),
    }
    if frames.is_video:
        counts |= {
            Kind.LABEL_BEYOND_VIDEO: num_labels_beyond,
            Kind.ONE_ROW_MORE: int(num_beyond == 1),
            Kind.ROWS_BEYOND_VIDEO: num_beyond if num_beyond > 1 else 0,
        }
    else:
        counts[Kind.LABEL_WITHOUT_FACE] += num_labels_beyond
        counts[Kind.ROWS_BEYOND_LAST_CROP] = num_beyond
    if rows.is_per_frame:
        counts[Kind.FRAMES_BEYOND_ROWS] = max(0, num_frames - len(rows.frame_index_N))
    return _findings(track_id, task, counts)


def time_findings(track_id: str, video_id: str, frames: TrackFrames) -> list[Finding]:
    """Whether the frame rate in the video's name is right, and whether it is constant. Crops have no times."""
    if not frames.is_video:
        return []
    named_hz, real_hz = named_rate_hz(video_id), rate_hz(frames.time_s_F)
    is_wrong = named_hz is not None and real_hz is not None and abs(named_hz - real_hz) > RATE_TOLERANCE_HZ
    counts = {
        Kind.WRONG_RATE_IN_NAME: int(is_wrong),
        Kind.VARIABLE_RATE: num_irregular_intervals(frames.time_s_F),
        Kind.FRAMES_WITHOUT_TIME: int(np.isnan(frames.time_s_F).sum()),
    }
    return _findings(track_id, None, counts)


def named_rate_hz(video_id: str) -> int | None:
    """The frames per second in a name such as `10-60-1280x720`, if it has any."""
    match = re.match(r"\d+-(\d+)-\d+x\d+", video_id)
    return int(match[1]) if match else None


def rate_hz(time_s_F: Floats) -> float | None:
    """Frames per second from the first to the last frame with a time; None if unknown."""
    timed = np.flatnonzero(~np.isnan(time_s_F))
    if len(timed) < 2 or time_s_F[timed[-1]] <= time_s_F[timed[0]]:
        return None
    return float((timed[-1] - timed[0]) / (time_s_F[timed[-1]] - time_s_F[timed[0]]))


def num_irregular_intervals(time_s_F: Floats) -> int:
    """How many times between consecutive frames differ from the median by more than `INTERVAL_TOLERANCE`."""
    interval_s = np.diff(time_s_F)
    interval_s = interval_s[~np.isnan(interval_s)]
    if not len(interval_s):
        return 0
    usual_s = np.median(interval_s)
    return int((np.abs(interval_s - usual_s) > INTERVAL_TOLERANCE * usual_s).sum())


def _has_face(frames: TrackFrames) -> Booleans:
    return np.isin(frames.status_F, [status.value for status in WITH_FACE])


def _runs_without(has_face_F: Booleans) -> tuple[Integers, Integers]:
    """Starts and ends of the runs of frames without a face between two faces."""
    faces = np.flatnonzero(has_face_F)
    is_before_gap = np.diff(faces) > 1
    return faces[:-1][is_before_gap] + 1, faces[1:][is_before_gap]


def _findings(track_id: str, task: Task | None, counts: Mapping[Kind, int]) -> list[Finding]:
    return [Finding(track_id, task, kind, count) for kind, count in counts.items() if count]

"""The SQL that lists what a finding counts, one row each, with its track."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from data.annotations.findings import Kind
from data.batches.labelled_frames import WITH_FACE
from data.labels import Edition, Task, task_columns
from data.schema import Status
from data.warehouse.quality import INTERVAL_TOLERANCE, RATE_TOLERANCE_HZ
from data.warehouse.quality_rows import VideoKind

FILE_KINDS = frozenset(
    {
        Kind.BYTE_ORDER_MARK,
        Kind.OTHER_LINE_ENDS,
        Kind.NO_LAST_NEWLINE,
        Kind.HEADER_SPELLING,
        Kind.HEADER_OF_ANOTHER_EDITION,
    }
)
"""A row of `quality` is a file."""
_FACE = "({})".format(", ".join(f"'{status.value}'" for status in WITH_FACE))
_FRAMES = "FROM frames JOIN videos USING (video_id)\nWHERE dataset = {dataset}"
_LABELS = "FROM labels JOIN videos USING (video_id)\nWHERE dataset = {dataset} AND split_{task} IS NOT NULL"
_BEYOND = (
    "SELECT track_id, frame_index, {values}\nFROM labels JOIN videos USING (video_id)"
    " ANTI JOIN frames USING (track_id, frame_index)\n"
    "WHERE dataset = {dataset} AND failure IS NULL AND split_{task} IS NOT NULL"
)
_WITH_ROWS = "track_id IN (SELECT track_id FROM labels WHERE split_{task} IS NOT NULL)"
_GAPS = (
    "SELECT track_id, before + 1 AS first_frame, frame_index - 1 AS last_frame, frame_index - before - 1 AS num_frames"
    "\nFROM (SELECT track_id, frame_index, lag(frame_index) OVER (PARTITION BY track_id ORDER BY frame_index) AS before"
    f"\n{_FRAMES} AND status IN {_FACE})\nWHERE frame_index - before > 1 ORDER BY num_frames DESC, track_id, 2"
)
_STATUS = f"SELECT track_id, frame_index, time_s\n{_FRAMES} AND status = '{{status}}'"
_RECORD = "SELECT track_id, task, count, file, note FROM quality\nWHERE dataset = {dataset} AND kind = '{kind}'"

_QUERIES: dict[str, str] = {
    VideoKind.ROWS_WITHOUT_VIDEO: f"SELECT track_id, frame_index, {{values}}\n{_LABELS} AND failure IS NOT NULL",
    Kind.FRAMES: f"SELECT track_id, frame_index, time_s, status\n{_FRAMES}",
    Kind.FACES: f"SELECT track_id, frame_index, time_s, status\n{_FRAMES} AND status IN {_FACE}",
    Kind.NO_FACE: _STATUS.replace("{status}", Status.NO_FACE),
    Kind.INTERPOLATED: _STATUS.replace("{status}", Status.INTERPOLATED),
    Kind.DECODE_ERROR: _STATUS.replace("{status}", Status.DECODE_ERROR),
    Kind.GAPS: _GAPS,
    Kind.LONGEST_GAP_FRAMES: (
        f"SELECT track_id, unnest(range(first_frame, last_frame + 1)) AS frame_index FROM (\n{_GAPS} LIMIT 1)"
    ),
    Kind.ROWS: f"SELECT track_id, frame_index, {{values}}\n{_LABELS}",
    Kind.LABELLED: f"SELECT track_id, frame_index, {{values}}\n{_LABELS} AND ({{is_labelled}})",
    Kind.MISSING_VALUES: (
        "SELECT * FROM (SELECT track_id, frame_index, unnest([{missing}]) AS missing\n"
        f"{_LABELS})\nWHERE missing IS NOT NULL"
    ),
    Kind.LABEL_WITHOUT_FACE: (
        "SELECT track_id, frame_index, status\n"
        "FROM labels JOIN videos USING (video_id) {join} frames USING (track_id, frame_index)\n"
        "WHERE dataset = {dataset} AND failure IS NULL\n"
        f"AND coalesce(status, 'none') NOT IN {_FACE} AND ({{is_labelled}})"
    ),
    Kind.FACE_WITHOUT_LABEL: (
        "SELECT track_id, frame_index, time_s\n"
        "FROM frames JOIN videos USING (video_id) LEFT JOIN labels USING (track_id, frame_index)\n"
        f"WHERE dataset = {{dataset}} AND status IN {_FACE} AND NOT ({{is_labelled}})\nAND {_WITH_ROWS}"
    ),
    Kind.LABEL_BEYOND_VIDEO: f"{_BEYOND} AND ({{is_labelled}})",
    Kind.ONE_ROW_MORE: f"{_BEYOND}\nQUALIFY count(*) OVER (PARTITION BY track_id) = 1",
    Kind.ROWS_BEYOND_VIDEO: f"{_BEYOND}\nQUALIFY count(*) OVER (PARTITION BY track_id) > 1",
    Kind.ROWS_BEYOND_LAST_CROP: _BEYOND,
    Kind.FRAMES_BEYOND_ROWS: (
        "SELECT track_id, frame_index, time_s\nFROM frames JOIN videos USING (video_id)"
        " ANTI JOIN (FROM labels WHERE split_{task} IS NOT NULL) USING (track_id, frame_index)\n"
        f"WHERE dataset = {{dataset}}\nAND {_WITH_ROWS}"
    ),
    Kind.WRONG_RATE_IN_NAME: (
        "SELECT track_id, try_cast(regexp_extract(video_id, '^[0-9]+-([0-9]+)-[0-9]+x', 1) AS INTEGER) AS named_hz,"
        "\n(max(frame_index) - min(frame_index)) / (max(time_s) - min(time_s)) AS real_hz\n"
        f"{_FRAMES} AND time_s IS NOT NULL\n"
        f"GROUP BY track_id, video_id HAVING abs(named_hz - real_hz) > {RATE_TOLERANCE_HZ}"
    ),
    Kind.VARIABLE_RATE: (
        "SELECT track_id, frame_index, interval_s FROM (SELECT track_id, frame_index,\n"
        "time_s - lag(time_s) OVER (PARTITION BY track_id ORDER BY frame_index) AS interval_s\n"
        f"{_FRAMES})\nQUALIFY abs(interval_s - median(interval_s) OVER (PARTITION BY track_id))\n"
        f"> {INTERVAL_TOLERANCE} * median(interval_s) OVER (PARTITION BY track_id)"
    ),
    Kind.FRAMES_WITHOUT_TIME: f"SELECT track_id, frame_index\n{_FRAMES} AND time_s IS NULL",
}


@dataclass(frozen=True)
class Scope:
    """The data set that the queries are about."""

    dataset: str
    edition: Edition | None
    is_crops: bool = False
    """Whether the faces come from the data set's own crops, so that rows after the last one may have a frame."""


def is_listable(kind: str) -> bool:
    """Whether the query returns one row for each counted item; otherwise, one row for each count in `quality`."""
    one_each = (VideoKind.DOUBTFUL_PERSON, VideoKind.FAILED_VIDEO, VideoKind.COPIES)
    return kind in _QUERIES or kind in FILE_KINDS or kind in one_each


def query_of(kind: str, task: Task | None, scope: Scope) -> str:
    """One SELECT over the warehouse."""
    query = _QUERIES.get(kind, _RECORD)
    if query is _RECORD and task is not None:
        query = f"{_RECORD} AND task = '{{task}}'"
    values = task_columns(scope.edition)[task] if task and scope.edition else ()
    return query.format(
        kind=kind,
        task=task,
        dataset="'" + scope.dataset.replace("'", "''") + "'",
        join="LEFT JOIN" if scope.is_crops else "JOIN",
        values=", ".join(values),
        is_labelled=" OR ".join(f"{name} IS NOT NULL" for name in values),
        missing=", ".join(f"CASE WHEN {name} IS NULL THEN '{name}' END" for name in values),
    )


def command_of(query: str) -> str:
    """The command that runs a query, ready for a shell. It names no store, because a store may move."""
    quoted = f'"{query}"' if not set(query) & set('"\\$`!') else shlex.quote(query)
    return f"mtanet sql {quoted}"


SECTIONS: dict[str, dict[str, str]] = {
    "Videos": {
        VideoKind.FAILED_VIDEO: (
            "Videos that could not be read; they are not in the data set. Fix or remove them, "
            "then run the command again: the others are not redone."
        ),
        VideoKind.COPIES: "Further files with the same name and content as a video; each video is read once. Harmless.",
        VideoKind.ROWS_WITHOUT_VIDEO: "Label rows of tracks whose video could not be read; not used for training.",
    },
    "Frames and faces": {
        Kind.FRAMES: "Frames of all tracks; those of a video with two tracks count twice.",
        Kind.FACES: "Frames with a face, interpolated ones included.",
        Kind.NO_FACE: "Frames in which the track's person was not found.",
        Kind.INTERPOLATED: (
            "Frames in a short gap; the face was interpolated between its neighbours and cut from the frame."
        ),
        Kind.DECODE_ERROR: "Frames that could not be decoded.",
        VideoKind.DAMAGED_PACKETS: "Damaged packets of video files; the frames that need them did not decode.",
        VideoKind.PROMISED_FRAMES_MISSING: (
            "Frames that a file's header promises but that do not exist: "
            "an edit list cuts them, or the file was cut short."
        ),
        Kind.GAPS: "Runs of frames without a face, between two frames with one.",
        Kind.LONGEST_GAP_FRAMES: "Frames in the longest of these runs; the total is the longest of all tracks.",
    },
    "Labels": {
        Kind.ROWS: "Rows of the annotation files.",
        Kind.LABELLED: "Rows with at least one value.",
        Kind.MISSING_VALUES: "Values that a file marks as missing (-5 or -1); they are NULL.",
    },
    "Labels beside faces": {
        Kind.LABEL_WITHOUT_FACE: "Labelled rows whose frame has no face; not used for training.",
        Kind.FACE_WITHOUT_LABEL: "Frames with a face and no value of the task, in tracks that have its file.",
        Kind.LABEL_BEYOND_VIDEO: "Labelled rows after the last frame; not used for training.",
        Kind.ONE_ROW_MORE: "Tracks with one more row than frames, like most of the data set. Harmless.",
        Kind.ROWS_BEYOND_VIDEO: "Rows after the last frame, if two or more. Is it the right video?",
        Kind.ROWS_BEYOND_LAST_CROP: (
            "Rows after the last crop; without the video it is unknown whether the frames exist."
        ),
        Kind.FRAMES_BEYOND_ROWS: "Frames after the last row. Is it the right video?",
    },
    "People": {
        VideoKind.DOUBTFUL_PERSON: "Reasons to check the person of a track; correct it with --track-hints.",
    },
    "Time": {
        Kind.WRONG_RATE_IN_NAME: "Tracks whose video's name has a different frame rate than its timestamps.",
        Kind.VARIABLE_RATE: "Intervals between frames that differ by more than a quarter from the median.",
        Kind.FRAMES_WITHOUT_TIME: "Frames without a timestamp.",
    },
    "Annotation files": {
        Kind.BYTE_ORDER_MARK: "Files that begin with a byte order mark. Harmless.",
        Kind.OTHER_LINE_ENDS: "Files whose lines end in CRLF or CR. Harmless.",
        Kind.NO_LAST_NEWLINE: "Files without a final newline. Harmless.",
        Kind.HEADER_SPELLING: "Files whose header differs in case, spaces or quotes. Harmless.",
        Kind.HEADER_OF_ANOTHER_EDITION: "Files whose header names the expressions of another edition.",
        Kind.TRAILING_BLANK_LINES: "Blank lines at the end of files. Harmless.",
        Kind.TRAILING_COMMAS: "Rows that end in a comma. Harmless.",
        Kind.SPACES: "Rows with spaces around a value. Harmless.",
        Kind.FLOATS: "Classes or units written as 1.0. Harmless.",
        Kind.REPEATED_ROWS: "Rows of multi-task files that repeat an earlier one; skipped.",
        Kind.CONTRADICTORY_ROWS: "Conflicting rows of multi-task files; all are skipped.",
        Kind.TEST_TRACKS_WITHOUT_VIDEO: "Names in test lists without a video.",
    },
}
"""Every kind, in the order in which it is shown, with its meaning."""

MEANINGS = {kind: meaning for kinds in SECTIONS.values() for kind, meaning in kinds.items()}

WORTH_A_LOOK = frozenset(
    {
        VideoKind.FAILED_VIDEO,
        VideoKind.ROWS_WITHOUT_VIDEO,
        Kind.DECODE_ERROR,
        VideoKind.DAMAGED_PACKETS,
        VideoKind.PROMISED_FRAMES_MISSING,
        Kind.ROWS_BEYOND_VIDEO,
        Kind.FRAMES_BEYOND_ROWS,
        VideoKind.DOUBTFUL_PERSON,
        Kind.WRONG_RATE_IN_NAME,
        Kind.VARIABLE_RATE,
        Kind.FRAMES_WITHOUT_TIME,
        Kind.HEADER_OF_ANOTHER_EDITION,
        Kind.CONTRADICTORY_ROWS,
        Kind.TEST_TRACKS_WITHOUT_VIDEO,
    }
)
"""Findings that a user may want to fix or know about; the others are normal for the data set."""


def in_words(kind: str) -> str:
    return kind.replace("_", " ")

"""Kinds of findings about labels and faces, how they are counted, and how problems are reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from data.labels import Task

SHOWN_PROBLEMS = 20


class Kind(StrEnum):
    """A kind of finding. For a file, a count of 1 means yes; rows, values, frames and lines are counted one by one."""

    ROWS = "rows"
    """Label rows of a task for a track, without repeated rows."""
    LABELLED = "labelled"
    """Rows with at least one value."""
    MISSING_VALUES = "missing_values"
    """Values that the file marks as missing."""

    BYTE_ORDER_MARK = "byte_order_mark"
    OTHER_LINE_ENDS = "other_line_ends"
    """The file's lines end in CRLF or CR."""
    NO_LAST_NEWLINE = "no_last_newline"
    HEADER_SPELLING = "header_spelling"
    """The header's names are correct except for case, spaces or quotes."""
    HEADER_OF_ANOTHER_EDITION = "header_of_another_edition"
    """The header names the expressions of an edition other than `ingest.edition`."""
    TRAILING_BLANK_LINES = "trailing_blank_lines"
    """Lines."""
    TRAILING_COMMAS = "trailing_commas"
    """Rows that end in a comma."""
    SPACES = "spaces"
    """Rows with spaces around a value."""
    FLOATS = "floats"
    """Classes or units written with a point (`1.0`)."""
    REPEATED_ROWS = "repeated_rows"
    """Rows of a multi-task file that repeat an earlier row; skipped."""
    CONTRADICTORY_ROWS = "contradictory_rows"
    """Rows of a multi-task file that disagree about one frame; all are skipped."""
    TEST_TRACKS_WITHOUT_VIDEO = "test_tracks_without_video"
    """Names in a test list without a video."""

    FRAMES = "frames"
    FACES = "faces"
    """Frames with a face, interpolated ones included."""
    NO_FACE = "no_face"
    INTERPOLATED = "interpolated"
    DECODE_ERROR = "decode_error"
    GAPS = "gaps"
    """Runs of frames without a face, between two that have one."""
    LONGEST_GAP_FRAMES = "longest_gap_frames"
    LABEL_WITHOUT_FACE = "label_without_face"
    """Labelled rows whose frame has no face."""
    FACE_WITHOUT_LABEL = "face_without_label"
    """Frames with a face and no value of the task."""
    LABEL_BEYOND_VIDEO = "label_beyond_video"
    """Labelled rows after the last frame."""
    ONE_ROW_MORE = "one_row_more"
    """One row more than frames, as most files of the data set have."""
    ROWS_BEYOND_VIDEO = "rows_beyond_video"
    """Two rows or more after the last frame."""
    ROWS_BEYOND_LAST_CROP = "rows_beyond_last_crop"
    """Rows after the last crop. Without a video it is unknown whether their frames exist."""
    FRAMES_BEYOND_ROWS = "frames_beyond_rows"
    """Frames after the last row."""
    WRONG_RATE_IN_NAME = "wrong_rate_in_name"
    """The frame rate in the name differs from that of the timestamps."""
    VARIABLE_RATE = "variable_rate"
    """Intervals between frames that differ from the usual one."""
    FRAMES_WITHOUT_TIME = "frames_without_time"


@dataclass(frozen=True, order=True)
class Finding:
    """A row of the table `quality`. Without `track_id` it is about a file; without `task`, about the track's frames."""

    track_id: str | None
    task: Task | None
    kind: Kind
    count: int
    file: str | None = None
    """The annotation file, below the root; None where the finding comes from comparing."""

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """The finding that `as_row` gave the row of."""
        task = row["task"]
        return cls(row["track_id"], task and Task(task), Kind(row["kind"]), row["count"], row["file"])

    def as_row(self) -> dict[str, Any]:
        return asdict(self)


def refuse(problems: Sequence[str], where: str, *, total: int | None = None) -> None:
    """Raises if there are problems: the first ones in full, and how many there are (`total`, if not all are given).

    Raises:
        ValueError: There is a problem.
    """
    if not problems:
        return
    if len(problems) == 1:
        raise ValueError(problems[0])
    shown = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    rest = len(problems) - len(shown)
    raise ValueError(
        "\n".join(
            [f"{where}: {total or len(problems)} problems", *shown, *([f"  ... and {rest} more"] if rest else [])]
        )
    )

"""What each kind of finding is called in plain words, and which ones are worth a look."""

from __future__ import annotations

from data.annotations.findings import Kind
from data.warehouse.quality_rows import VideoKind

SECTIONS: dict[str, dict[str, str]] = {
    "Videos": {
        VideoKind.FAILED_VIDEO: "Videos that could not be read; they are not in the data set. Mend or remove them and "
        "run the same once more: the others are not done again.",
        VideoKind.ROWS_WITHOUT_VIDEO: "Rows of tracks whose video could not be read; they train nothing.",
    },
    "Frames and faces": {
        Kind.FRAMES: "Frames of all tracks; those of a video with two tracks count twice.",
        Kind.FACES: "Frames with a face, interpolated ones included.",
        Kind.NO_FACE: "Frames in which the track's person was not found.",
        Kind.INTERPOLATED: "Frames in a short gap; the face was cut where it must be, between its neighbours.",
        Kind.DECODE_ERROR: "Frames that could not be decoded.",
        VideoKind.DAMAGED_PACKETS: "Damaged packets of video files; the frames that need them did not decode.",
        VideoKind.PROMISED_FRAMES_MISSING: "Frames that a file's header promises and that are not shown: "
        "an edit list cuts them, or the file was cut short.",
        Kind.GAPS: "Runs of frames without a face, between two frames with one.",
        Kind.LONGEST_GAP_FRAMES: "Frames in the longest of these runs; the total is the longest of all tracks.",
    },
    "Labels": {
        Kind.ROWS: "Rows of the annotation files.",
        Kind.LABELLED: "Rows with at least one value.",
        Kind.MISSING_VALUES: "Values that a file marks as missing (-5 or -1); they are NULL and train nothing.",
    },
    "Labels beside faces": {
        Kind.LABEL_WITHOUT_FACE: "Labelled rows whose frame has no face; they train nothing.",
        Kind.FACE_WITHOUT_LABEL: "Frames with a face and no value of the task, in tracks that have its file.",
        Kind.LABEL_BEYOND_VIDEO: "Labelled rows after the last frame; they train nothing.",
        Kind.ONE_ROW_MORE: "Tracks with one row more than frames, as most of the data set has. Harmless.",
        Kind.ROWS_BEYOND_VIDEO: "Rows after the last frame, where there are two or more: is it the right video?",
        Kind.ROWS_BEYOND_LAST_CROP: "Rows after the last crop; without a video nobody knows whether the frames exist.",
        Kind.FRAMES_BEYOND_ROWS: "Frames after the last row: is it the right video?",
    },
    "People": {
        VideoKind.DOUBTFUL_PERSON: "Reasons to look at whose a track is; the option --track-hints settles it.",
    },
    "Time": {
        Kind.WRONG_RATE_IN_NAME: "Tracks whose video's name tells another frame rate than its timestamps.",
        Kind.VARIABLE_RATE: "Intervals between frames that differ by more than a quarter from the usual one.",
        Kind.FRAMES_WITHOUT_TIME: "Frames without a timestamp.",
    },
    "Annotation files": {
        Kind.BYTE_ORDER_MARK: "Files that begin with a byte order mark. Harmless.",
        Kind.OTHER_LINE_ENDS: "Files whose lines end in CRLF or CR. Harmless.",
        Kind.NO_LAST_NEWLINE: "Files whose last line has no end. Harmless.",
        Kind.HEADER_SPELLING: "Files whose header differs in case, spaces or quotes. Harmless.",
        Kind.HEADER_OF_ANOTHER_EDITION: "Files whose header names another edition's expressions than was asked for.",
        Kind.TRAILING_BLANK_LINES: "Blank lines at the end of files. Harmless.",
        Kind.TRAILING_COMMAS: "Rows that end in a comma. Harmless.",
        Kind.SPACES: "Rows with spaces around a value. Harmless.",
        Kind.FLOATS: "Classes or units written with a point, such as 1.0. Harmless.",
        Kind.REPEATED_ROWS: "Rows of multi-task files that repeat an earlier one; left out.",
        Kind.CONTRADICTORY_ROWS: "Rows of multi-task files that contradict each other; all are left out.",
        Kind.TEST_TRACKS_WITHOUT_VIDEO: "Names in test lists whose video is not there.",
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
"""What a user may want to mend or to know; the others are how the data set is."""


def in_words(kind: str) -> str:
    return kind.replace("_", " ")

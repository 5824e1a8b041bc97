"""Multi-task label files: a row per picture, `<track>/00001.jpg` and fifteen values, in any order and some repeated.

Letters: N rows, C columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.annotations.editions import MTL_EDITION, MTL_NAMES, first_line, header_names, plain
from data.annotations.findings import Kind
from data.annotations.parsing import Floats, Rows, Text, open_text, read_rows
from data.labels import ACTION_UNITS, Edition, Split, Task

TASKS_C = (Task.VA, Task.VA, Task.EXPR, *(Task.AU for _ in ACTION_UNITS[MTL_EDITION]))
"""The task of each value in a row."""

Conflicts = Literal["error", "drop"]

_PICTURE = r"(?i)^(?P<track>[^/]+)/(?P<number>[0-9]{1,9})\.jpe?g$"
_NAME = {"trainset": Split.TRAIN, "trainingset": Split.TRAIN, "validationset": Split.VALIDATION}


@dataclass(frozen=True)
class TrackRows:
    """A track's rows of a multi-task file, by frame; each frame once."""

    frame_index_N: NDArray[np.int32]
    values_NC: Floats


@dataclass
class MtlLabels:
    tracks: dict[str, TrackRows]
    text: Text
    """The file, with its oddities and errors."""
    left_out: dict[tuple[str, Kind], int]
    """Number of skipped rows per track: repeated ones and, if requested, conflicting ones."""


def split_of(path: Path) -> Split | None:
    """The split of a multi-task file, from its name (`train_set.txt`, `validation_set_annotations_22.txt`) or its
    header.

    None for other files. The name counts only if the file is not inside a task folder.
    """
    name = plain(path.stem).rstrip("0123456789").removesuffix("annotations").removeprefix("mtl")
    if name in _NAME:
        return _NAME[name]
    if header_names(first_line(path)) != MTL_NAMES:
        return None
    return Split.VALIDATION if "val" in name else Split.TRAIN if "train" in name else None


def tracks_in(path: Path) -> tuple[str, ...]:
    """The tracks that a list of pictures names."""
    lines = path.read_bytes().splitlines()[1:]
    return tuple(sorted({line.partition(b"/")[0].decode("utf-8", "replace").strip() for line in lines if b"/" in line}))


def parse_mtl(content: bytes, edition: Edition, conflicts: Conflicts) -> MtlLabels:
    """The labels in a multi-task file.

    A frame that several rows label identically counts once. If they differ, that is an error or, with `drop`, the frame
    gets no labels, since no row is more trustworthy than the others.
    """
    text = open_text(content, "mtl", edition)
    rows = read_rows(text, TASKS_C, edition, named=True)
    track_N, frame_index_N = _pictures(rows, text)
    if text.problems:
        return MtlLabels({}, text, {})
    track_ids, track_N = track_N.dictionary.to_pylist(), track_N.indices.to_numpy()
    order_N = np.lexsort((rows.lines_N, frame_index_N, track_N))
    ordered = replace(rows, values_NC=rows.values_NC[order_N], lines_N=rows.lines_N[order_N])
    track_N, frame_index_N = track_N[order_N], frame_index_N[order_N]
    is_first_N = np.diff(track_N, prepend=-1).astype(bool) | np.diff(frame_index_N, prepend=-1).astype(bool)
    is_contradictory_N = _contradictory(ordered.values_NC, is_first_N)
    if conflicts == "error":
        starts = np.flatnonzero(is_first_N & is_contradictory_N)
        for start in starts.tolist():
            picture = f"{track_ids[track_N[start]]}/{frame_index_N[start] + 1:05d}.jpg"
            text.problems.append(_contradiction(picture, start, ordered.lines_N, is_first_N))
    labels = MtlLabels({}, text, {})
    for code, track_id in enumerate(track_ids):
        own_N = track_N == code
        kept_N = own_N & is_first_N & ~is_contradictory_N
        labels.tracks[track_id] = TrackRows(frame_index_N[kept_N], ordered.values_NC[kept_N])
        repeated_N = own_N & ~is_first_N & ~is_contradictory_N
        labels.left_out[track_id, Kind.REPEATED_ROWS] = int(repeated_N.sum())
        labels.left_out[track_id, Kind.CONTRADICTORY_ROWS] = int((own_N & is_contradictory_N).sum())
    return labels


def _pictures(rows: Rows, text: Text) -> tuple[pa.DictionaryArray, NDArray[np.int32]]:
    """The track and frame of each row; names that are not a picture's are added to the problems."""
    found = pc.extract_regex(rows.names, _PICTURE)
    assert rows.names is not None, "the rows of multi-task files are read with their names"
    numbers = pc.cast(pc.struct_field(found, "number"), pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(numbers < 1).tolist():
        expected = "expected a picture such as 'video59_right/00001.jpg'"
        text.problems.append(f"line {rows.lines_N[row]}: {expected}, found {rows.names[row].as_py()[:80]!r}")
    return pc.struct_field(found, "track").dictionary_encode(), (numbers - 1).astype(np.int32)


def _contradictory(values_NC: Floats, is_first_N: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a row's frame has rows with different labels, itself included."""
    if not len(values_NC):
        return is_first_N
    group_N = np.cumsum(is_first_N) - 1
    of_first_NC = values_NC[np.flatnonzero(is_first_N)[group_N]]
    differs_N = ~((values_NC == of_first_NC) | (np.isnan(values_NC) & np.isnan(of_first_NC))).all(axis=1)
    is_group_contradictory = np.bincount(group_N, weights=differs_N) > 0
    found: NDArray[np.bool_] = is_group_contradictory[group_N]
    return found


def _contradiction(picture: str, start: int, lines_N: NDArray[np.int64], is_first_N: NDArray[np.bool_]) -> str:
    later = np.flatnonzero(is_first_N[start + 1 :])
    end = start + 1 + int(later[0]) if len(later) else len(lines_N)
    lines: Sequence[int] = lines_N[start:end].tolist()
    others = " and ".join(map(str, lines[1:]))
    return (
        f"line {lines[0]}: {picture} has different labels in line {others}; correct them, or skip such frames with"
        ' ingest.mtl_conflicts = "drop"'
    )

"""The frames, labels and predictions of one video as columns with one value per frame.

Shapes: F frames of the video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.labels import ALL_ACTION_UNITS, ALL_EXPRESSIONS, action_unit_column
from data.schema import Status
from data.warehouse.answers import literal, query

Column = NDArray[np.float32]
NUM_LANDMARK_VALUES = 10
STATUSES = tuple(Status)
"""A status is stored as its index; `STATUSES[0]` is `ok`."""
_BOX = ("x", "y", "w", "h")
_UNITS = tuple(action_unit_column(unit) for unit in ALL_ACTION_UNITS)
_ANSWERS = ("valence", "arousal", "expression", *_UNITS)
_PREDICTED = (
    *_ANSWERS,
    *(f"p_{name}" for name in ALL_EXPRESSIONS),
    "smoothed_valence",
    "smoothed_arousal",
    "decided_expression",
    *(f"decided_{unit}" for unit in _UNITS),
)


@dataclass(frozen=True)
class Track:
    """A person; columns without any value are left out, NaN is a missing value."""

    track_id: str
    status_F: NDArray[np.uint8]
    columns_F: Mapping[str, Column]
    """`x`, `y`, `w`, `h` and `landmark_0` to `landmark_9` in px; the predictions by their names in SQL; the labels
    with `label_` and the second model's predictions with `other_` in front."""


@dataclass(frozen=True)
class VideoColumns:
    times_s_F: NDArray[np.float64]
    """Strictly increasing, from the first frame; NaN where the file does not give a time."""
    tracks: Sequence[Track]


def predicting_versions(store: Path, video_id: str) -> dict[int, str]:
    """The model versions that predicted a video, in order, with their systems."""
    sql = f"SELECT model_version, any_value(system) AS system FROM predictions WHERE video_id = {literal(video_id)}"
    rows = query(store, f"{sql} GROUP BY 1 ORDER BY 1").to_pylist()
    return {row["model_version"]: row["system"] for row in rows}


def read_columns(store: Path, video_id: str, version: int | None, other: int | None = None) -> VideoColumns:
    """All columns of a video: its faces and labels, and the predictions of one or two model versions.

    Raises:
        ValueError: The video has no frames, or the warehouse cannot be read.
    """
    of_video = f"WHERE video_id = {literal(video_id)}"
    box = [f"box.{name} AS {name}" for name in _BOX]
    points = [f"landmarks[{number + 1}] AS landmark_{number}" for number in range(NUM_LANDMARK_VALUES)]
    codes = " ".join(f"WHEN {literal(status)} THEN {code}" for code, status in enumerate(STATUSES))
    found = _read(store, "frames", [*box, *points], of_video, [f"CASE status {codes} END AS status", "time_s"])
    if not found:
        raise ValueError(f"video {video_id}: no frames in {store}; ingest or predict it again")
    num_frames = 1 + max(int(rows["frame_index"].max()) for rows in found.values())
    parts = [("", found), ("label_", _read(store, "labels", _ANSWERS, of_video))]
    for prefix, number in (("", version), ("other_", other)):
        if number is not None:
            where = f"{of_video} AND model_version = {number}"
            parts.append((prefix, _read(store, "predictions", _PREDICTED, where)))
    times_s_F = np.full(num_frames, np.nan)
    for rows in found.values():
        times_s_F[rows["frame_index"]] = rows.pop("time_s")
    tracks = []
    for track_id, rows in found.items():
        status_F = np.full(num_frames, STATUSES.index(Status.NO_FACE), np.uint8)
        status_F[rows["frame_index"]] = rows.pop("status").astype(np.uint8)
        columns_F: dict[str, Column] = {}
        for prefix, part in parts:
            columns_F |= _placed(part.get(track_id, {}), prefix, num_frames)
        tracks.append(Track(track_id, status_F, columns_F))
    return VideoColumns(times_s_F, tracks)


def _read(
    store: Path, view: str, names: Sequence[str], where: str, exact: Sequence[str] = ()
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The rows of a view by track: `frame_index`, the columns of `names` as floats, and those of `exact`."""
    floats = [f"({name.split(' AS ')[0]})::FLOAT AS {name.split(' AS ')[-1]}" for name in names]
    columns = ", ".join(["track_id", "frame_index", *floats, *exact])
    table = query(store, f"SELECT {columns} FROM {view} {where} ORDER BY track_id, frame_index")
    track_N = table["track_id"].to_numpy()
    values_N = {name: table[name].to_numpy() for name in table.column_names if name != "track_id"}
    starts = [0, *(np.flatnonzero(track_N[1:] != track_N[:-1]) + 1), len(track_N)] if len(track_N) else [0]
    return {track_N[start]: {name: of[start:end] for name, of in values_N.items()} for start, end in pairwise(starts)}


def _placed(rows: Mapping[str, NDArray[np.float64]], prefix: str, num_frames: int) -> dict[str, Column]:
    """Rows at their frames; frames of labels beyond the last frame of the video are left out."""
    if not rows:
        return {}
    is_inside_N = rows["frame_index"] < num_frames
    placed = {}
    for name, values_N in rows.items():
        if name != "frame_index" and not np.isnan(values_N).all():
            column_F = np.full(num_frames, np.nan, np.float32)
            column_F[rows["frame_index"][is_inside_N]] = values_N[is_inside_N]
            placed[prefix + name] = column_F
    return placed

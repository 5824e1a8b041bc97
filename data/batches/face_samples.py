"""A few faces of a track, to show to people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.schema import Status
from data.store.damage import open_parquet, read_parquet
from data.store.shards import is_whole, parquet_files, read_table


@dataclass(frozen=True)
class SampleFace:
    frame_index: int
    face_jpeg: bytes


def sample_faces(faces_file: Path, number: int) -> list[SampleFace]:
    """At most `num` `ok` faces of a track, evenly spaced from first to last; reads only their row groups."""
    is_ok_F = pc.equal(read_table([faces_file], ["status"])["status"], Status.OK.value).to_numpy()
    ok = np.flatnonzero(is_ok_F)
    chosen = ok[np.linspace(0, len(ok) - 1, min(number, len(ok))).round().astype(int)] if len(ok) else ok
    return _read(faces_file, chosen)


def faces_at(faces_file: Path, frame_indices: list[int]) -> list[SampleFace]:
    """The faces of some frames of a track, in file order; frames without a face are skipped."""
    frame_index_F = read_table([faces_file], ["frame_index"])["frame_index"].to_numpy()
    found = _read(faces_file, np.flatnonzero(np.isin(frame_index_F, frame_indices)))
    return [face for face in found if face.face_jpeg is not None]


def faces_in(detections: Path, places: Sequence[Mapping[str, float]]) -> list[SampleFace]:
    """The faces that are nearest to these places: `frame_index`, `x_px` and `y_px` of their middle.

    None if the detections were deleted.
    """
    if not is_whole(detections):
        return []
    wanted = pc.field("frame_index").isin([int(place["frame_index"]) for place in places])
    rows = [
        row
        for file in parquet_files(detections)
        for row in read_parquet(file, ["frame_index", "box", "face_jpeg"], wanted).to_pylist()
    ]
    faces = []
    for place in places:
        there = [row for row in rows if row["frame_index"] == place["frame_index"] and row["box"]]
        nearest = min(there, key=lambda row: _distance_px(row["box"], place), default=None)
        if nearest is not None:
            faces.append(SampleFace(nearest["frame_index"], nearest["face_jpeg"]))
    return faces


def _distance_px(box: Mapping[str, float], place: Mapping[str, float]) -> float:
    return math.hypot(box["x"] + box["w"] / 2 - place["x_px"], box["y"] + box["h"] / 2 - place["y_px"])


def _read(faces_file: Path, row_N: NDArray[np.int64]) -> list[SampleFace]:
    """The requested rows, ascending; reads only their row groups."""
    samples = []
    with open_parquet(faces_file) as file:
        rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        starts = np.cumsum([0, *rows])
        groups = np.searchsorted(starts, row_N, side="right") - 1
        for group in np.unique(groups):
            table = file.read_row_group(int(group), columns=["frame_index", "face_jpeg"])
            for row in table.take(row_N[groups == group] - starts[group]).to_pylist():
                samples.append(SampleFace(row["frame_index"], row["face_jpeg"]))
    return samples

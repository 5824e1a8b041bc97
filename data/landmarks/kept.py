"""The points of each face of a track, stored on disk.

Letters: N rows of a faces file, B faces, P points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.batches.labelled_frames import Floats, Integers, LabelledFrames, frame_indices
from data.batches.loader import face_batches
from data.landmarks.mesh import WEIGHTS_SHA256, find_points
from data.landmarks.points import INDICES
from data.store.access import hold
from data.store.damage import names_damage, read_parquet
from data.store.shards import digest, is_whole, write_folder, write_manifest, write_parquet

VERSION = 1
"""Increase it when the same faces give other points, or other points are kept."""

_BATCH_SIZE = 80
_SCHEMA = pa.schema(
    [
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("face_score", pa.float32()),
        pa.field("points", pa.list_(pa.float32())),
    ]
)
"""A row of the faces file; `points` are x, y and depth of each of `data.landmarks.points.INDICES`, null without a face.
"""


@dataclass(frozen=True, eq=False)
class TrackPoints:
    """The points of a track, as `data.landmarks.mesh` describes them; NaN where there is no face."""

    frame_index_N: Integers
    points_NP3: Floats
    """Those of `data.landmarks.points.INDICES`."""
    score_N: Floats


def landmarks_folder(store: Path, faces: str) -> Path:
    """The folder with the points of a video, by the digest of its faces."""
    return store / "landmarks" / digest("landmarks", VERSION, WEIGHTS_SHA256, faces)


def track_points(faces_file: Path, *, threads: int = 1) -> TrackPoints:
    """Finds the points of every face of a faces file.

    Args:
        faces_file: The track's faces.
        threads: Threads that decode crops. The points are found by this one alone.

    Raises:
        ValueError: A crop cannot be read; names track and frame.
        ModuleNotFoundError: What finds the points is not installed.
    """
    frame_index_N = frame_indices(faces_file)
    points_NP3 = np.full((len(frame_index_N), len(INDICES), 3), np.nan, np.float32)
    score_N = np.full(len(frame_index_N), np.nan, np.float32)
    for frame_index_B, faces_BCHW in face_batches(faces_file, batch_size=_BATCH_SIZE, threads=threads):
        found, rows_B = find_points(faces_BCHW.numpy()), np.searchsorted(frame_index_N, frame_index_B)
        points_NP3[rows_B], score_N[rows_B] = found.points_BP3[:, INDICES], found.score_B
    return TrackPoints(frame_index_N, points_NP3, score_N)


def keep_landmarks(folder: Path, faces_files: Sequence[Path], *, store: Path, threads: int = 1) -> int:
    """Writes the points of a video's tracks as `<track_id>.parquet`; returns the number of new rows.

    Returns 0 if the folder is complete: its name is the digest of the faces (`landmarks_folder`).

    Raises:
        ValueError, ModuleNotFoundError: See `track_points`.
    """
    num_rows = 0
    with hold(store, f"landmarks-{folder.name}", what=f"the landmarks {folder.name}"):
        if is_whole(folder):
            return num_rows
        with write_folder(folder) as partial:
            for faces_file in faces_files:
                found = track_points(faces_file, threads=threads)
                write_parquet(_table(found), partial / faces_file.name)
                num_rows += len(found.frame_index_N)
            write_manifest(partial, {"version": VERSION, "rows": num_rows})
    return num_rows


def read_landmarks(folder: Path, track_id: str) -> TrackPoints:
    """The points of a track that `keep_landmarks` wrote.

    Raises:
        DamagedError: The file is damaged.
    """
    path = folder / f"{track_id}.parquet"
    table = read_parquet(path)
    with names_damage(path):
        score_N = table["face_score"].to_numpy().astype(np.float32)
        points_NP3 = np.full((len(score_N), len(INDICES), 3), np.nan, np.float32)
        flat = table["points"].combine_chunks().flatten().to_numpy()
        points_NP3[~np.isnan(score_N)] = flat.reshape(-1, len(INDICES), 3)
        return TrackPoints(table["frame_index"].to_numpy().astype(np.int64), points_NP3, score_N)


def points_of_frames(frames: LabelledFrames, folders: Mapping[str, Path]) -> Floats:
    """The points of labelled frames, in their order, as `points_NP3`.

    Args:
        frames: The frames; each has a face.
        folders: For each track id, the folder that `keep_landmarks` wrote.

    Raises:
        DamagedError: See `read_landmarks`.
    """
    points_NP3 = np.empty((len(frames), len(INDICES), 3), np.float32)
    for track_index in np.unique(frames.track_index_N):
        track_id, is_of_track_N = frames.track_ids[track_index], frames.track_index_N == track_index
        found = read_landmarks(folders[track_id], track_id)
        rows = np.searchsorted(found.frame_index_N, frames.frame_index_N[is_of_track_N])
        points_NP3[is_of_track_N] = found.points_NP3[rows]
    return points_NP3


def _table(found: TrackPoints) -> pa.Table:
    is_missing_N = np.isnan(found.score_N)
    length = found.points_NP3[0].size if len(found.points_NP3) else 0
    flat = pa.array(found.points_NP3[~is_missing_N].ravel())
    ends_N = np.concatenate([[0], np.cumsum(np.where(is_missing_N, 0, length))])
    offsets = pa.array(ends_N.astype(np.int32), mask=np.append(is_missing_N, False))
    columns = {
        "frame_index": pa.array(found.frame_index_N.astype(np.int32)),
        "face_score": pa.array(found.score_N, mask=is_missing_N),
        "points": pa.ListArray.from_arrays(offsets, flat),
    }
    return pa.table(columns, schema=_SCHEMA)

"""Reads the JPEGs of faces from the shards in the requested order, with at most a pool of them in memory; and where
their landmarks are.

Letters: P frames, K frames of a row group, S batches of a pool, B frames of a batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from data.batches.augment import LANDMARKS
from data.batches.labelled_frames import WITH_FACE, Integers, LabelledFrames
from data.faces.crops import in_crop
from data.store.damage import open_parquet, read_parquet

RowGroup = Callable[[Path, int], Any]
"""Reads the column of crops of a row group."""


@dataclass(frozen=True)
class Crops:
    """JPEGs with their positions: in the labelled frames for training, the frame index for prediction."""

    position_B: Integers
    jpegs: list[bytes]


def mixed_crops(frames: LabelledFrames, pools: Iterator[Integers]) -> Iterator[Crops]:
    """The batches of pools (S, B). The next pool is read while one is returned, so about one pool is in memory."""
    # A lane often continues in the row group in which the previous lane ends.
    row_group = lru_cache(maxsize=1)(_row_group)
    pool_SB = next(pools, None)
    lanes = [_read_crops(frames, lane_S, row_group) for lane_S in pool_SB.T] if pool_SB is not None else []
    while pool_SB is not None:
        next_SB = next(pools, None)
        coming = iter(next_SB.T) if next_SB is not None else iter(())
        read = list[deque[bytes]]()
        for number, position_B in enumerate(pool_SB, start=1):
            yield Crops(position_B, [lane.popleft() for lane in lanes])
            due = -(-number * len(lanes) // len(pool_SB))
            read += [_read_crops(frames, lane_S, row_group) for lane_S in islice(coming, due - len(read))]
        pool_SB, lanes = next_SB, read


def crops_in_order(frames: LabelledFrames, chosen_P: Integers) -> Iterator[Crops]:
    for position_K in _by_row_group(frames, chosen_P):
        yield Crops(position_K, list(_read_crops(frames, position_K, _row_group)))


def _by_row_group(frames: LabelledFrames, position_P: Integers) -> list[Integers]:
    """Splits ascending positions by row group."""
    where_2P = np.stack([frames.track_index_N[position_P], frames.group_N[position_P]])
    return np.split(position_P, np.flatnonzero(np.diff(where_2P).any(axis=0)) + 1)


def _read_crops(frames: LabelledFrames, position_P: Integers, row_group: RowGroup) -> deque[bytes]:
    """The JPEGs of frames, in the order given; each row group is read once."""
    jpegs: dict[int, bytes] = {}
    for position_K in _by_row_group(frames, np.unique(position_P)):
        first = position_K[0]
        column = row_group(frames.faces_files[frames.track_index_N[first]], int(frames.group_N[first]))
        found: list[bytes | None] = column.take(frames.row_N[position_K]).to_pylist()
        jpegs.update(zip(position_K.tolist(), _present(found, position_K, frames.name), strict=True))
    return deque(jpegs[position] for position in position_P.tolist())


def _row_group(faces_file: Path, group: int) -> Any:
    """The column of crops."""
    with open_parquet(faces_file) as file:
        return file.read_row_group(group, columns=["face_jpeg"], use_threads=False)["face_jpeg"]


def track_crops(faces_file: Path, name: Callable[[int], str]) -> Iterator[Crops]:
    with open_parquet(faces_file) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["frame_index", "status", "face_jpeg"])
            rows = [row for row, status in enumerate(table["status"].to_pylist()) if status in WITH_FACE]
            frame_index_P = table["frame_index"].to_numpy().astype(np.int64)[rows]
            jpegs = table["face_jpeg"].take(rows).to_pylist() if rows else []
            yield Crops(frame_index_P, _present(jpegs, frame_index_P, name))


def _present(jpegs: list[bytes | None], position_P: Integers, name: Callable[[int], str]) -> list[bytes]:
    for position, jpeg in zip(position_P, jpegs, strict=True):
        if jpeg is None:
            raise ValueError(f"{name(int(position))}: a row with a face has no crop; ingest again")
    return [jpeg for jpeg in jpegs if jpeg is not None]


def batched(pools: Iterator[Crops], batch_size: int) -> Iterator[Crops]:
    """Cuts pools into batches; the rest of a pool goes into the next, and the last batch may be short."""
    position_P, jpegs = np.empty(0, dtype=np.int64), list[bytes]()
    for pool in pools:
        position_P, jpegs = np.concatenate([position_P, pool.position_B]), jpegs + pool.jpegs
        whole = len(jpegs) - len(jpegs) % batch_size
        for start in range(0, whole, batch_size):
            yield Crops(position_P[start : start + batch_size], jpegs[start : start + batch_size])
        position_P, jpegs = position_P[whole:], jpegs[whole:]
    if jpegs:
        yield Crops(position_P, jpegs)


def with_landmarks(frames: LabelledFrames) -> LabelledFrames:
    """The frames with the extra `landmarks`: the five of each face (N, 5, 2), in px of its crop.

    NaN for a face without landmarks, such as one from crops that the data set brought.
    """
    landmarks_N52 = np.full((len(frames), 5, 2), np.nan, dtype=np.float32)
    for track_index in np.unique(frames.track_index_N):
        row_N = np.flatnonzero(frames.track_index_N == track_index)
        table = read_parquet(frames.faces_files[track_index], ["frame_index", "landmarks"])
        at_N = np.searchsorted(table["frame_index"].to_numpy(), frames.frame_index_N[row_N])
        found = table["landmarks"].take(at_N)
        has_N = found.is_valid().to_numpy()
        in_frame_N52 = found.drop_null().combine_chunks().flatten().to_numpy().reshape(-1, 5, 2)
        landmarks_N52[row_N[has_N]] = in_crop(in_frame_N52)
    return replace(frames, extras={**frames.extras, LANDMARKS: landmarks_N52})

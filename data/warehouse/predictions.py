"""The predictions of a model for a track, as a shard with a row for every row of its faces file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.schema import PREDICTIONS
from data.store.damage import read_parquet
from data.store.shards import write_parquet

IDENTITY = ["track_id", "video_id", "frame_index", "time_s", "status"]


def write_predictions(path: Path, faces_file: Path, columns: Mapping[str, NDArray[Any]], *, model_version: int) -> None:
    """Writes the predictions of all rows of a faces file, in its order; NaN becomes null.

    Raises:
        ValueError: There are more or fewer predictions than rows.
    """
    faces = read_parquet(faces_file, IDENTITY)
    for name, values_N in columns.items():
        if len(values_N) != len(faces):
            raise ValueError(f"{faces_file}: {len(faces)} rows, but {len(values_N)} predictions of {name}")
    predicted = {name: pa.array(values_N, mask=np.isnan(values_N)) for name, values_N in columns.items()}
    given = {
        **{name: faces[name] for name in IDENTITY},
        "model_version": pa.array(np.full(len(faces), model_version, np.int32)),
        **predicted,
    }
    arrays = [
        given[field.name].cast(field.type) if field.name in given else pa.nulls(len(faces), field.type)
        for field in PREDICTIONS
    ]
    write_parquet(pa.table(arrays, schema=PREDICTIONS), path)


def read_predictions(path: Path, names: list[str], frame_index_N: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Columns of a track's predictions at the given frames; NaN where there is no prediction.

    Raises:
        ValueError: A frame has no row.
    """
    table = read_parquet(path, ["frame_index", *names])
    known_N = table["frame_index"].to_numpy()
    row_N = np.searchsorted(known_N, frame_index_N)
    absent_N = (row_N == len(known_N)) | (known_N[np.minimum(row_N, len(known_N) - 1)] != frame_index_N)
    if absent_N.any():
        raise ValueError(
            f"{path}: no prediction for frame {frame_index_N[absent_N][0]}; delete the folder and predict again"
        )
    return {name: table[name].cast(pa.float32()).to_numpy()[row_N] for name in names}

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.little_store import write_track

from data.schema import PREDICTIONS, Status
from data.store.shards import read_table
from data.warehouse.predictions import read_predictions, write_predictions

NAN = float("nan")


def test_every_row_of_the_faces_gets_a_row_and_no_face_gives_null(tmp_path: Path) -> None:
    faces = write_track(tmp_path, "107", 3, status={1: Status.NO_FACE})
    path = tmp_path / "predicted.parquet"
    columns = {
        "valence": np.array([0.5, NAN, -0.5], np.float32),
        "expression": np.array([2, NAN, 0], np.float32),
        "decided_au4": np.array([1, NAN, 0]),
    }
    write_predictions(path, faces, columns, model_version=3)
    table = read_table([path])
    assert table.schema == PREDICTIONS
    assert table["frame_index"].to_pylist() == [0, 1, 2]
    assert table["status"].to_pylist() == ["ok", "no_face", "ok"]
    assert table["valence"].to_pylist() == [0.5, None, -0.5]
    assert table["expression"].to_pylist() == [2, None, 0]
    assert table["decided_au4"].to_pylist() == [True, None, False]
    assert table["au12"].to_pylist() == [None, None, None]
    assert table["model_version"].to_pylist() == [3, 3, 3]
    read = read_predictions(path, ["valence", "expression"], np.array([0, 1]))
    np.testing.assert_array_equal(read["valence"], np.array([0.5, NAN], np.float32))
    np.testing.assert_array_equal(read["expression"], np.array([2, NAN], np.float32))
    with pytest.raises(ValueError, match="no prediction for frame 3"):
        read_predictions(path, ["valence"], np.array([2, 3]))


def test_as_many_predictions_as_rows(tmp_path: Path) -> None:
    faces = write_track(tmp_path, "107", 3)
    with pytest.raises(ValueError, match="3 rows, but 2 predictions of valence"):
        write_predictions(tmp_path / "p.parquet", faces, {"valence": np.zeros(2, np.float32)}, model_version=1)

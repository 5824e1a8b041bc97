from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import MakeTree

from data.affwild2 import discover
from data.annotations import official_splits, read_counts, write_labels
from data.labels import Edition, Split, Task
from data.shards import read_manifest
from data.splits import guarded, overlap

AU_ROW = "1,0,0,0,1,0,0,1"


def test_tasks_of_a_track_stand_side_by_side_and_missing_is_null(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree(
        {
            "VA_Set/Training_Set/107": ["0.5,-5", "-1,0", "0,0"],
            "EXPR_Set/Training_Set/107": ["4", "-1"],
            "AU_Set/Training_Set/video59_right": ["-1,0,0,0,1,0,0,1"],
        }
    )
    folder = write_labels(discover(root), tmp_path / "store", splits="guarded")
    rows = pq.read_table(folder / "labels.parquet").to_pylist()
    assert [(row["track_id"], row["video_id"], row["frame_index"]) for row in rows] == [
        ("107", "107", 0),
        ("107", "107", 1),
        ("107", "107", 2),
        ("video59_right", "video59", 0),
    ]
    assert [row["valence"] for row in rows] == [0.5, -1, 0, None]
    assert [row["arousal"] for row in rows] == [None, 0, 0, None]
    assert [row["expression"] for row in rows] == [4, None, None, None]
    assert [row["split_expr"] for row in rows] == ["train", "train", None, None]
    assert (rows[3]["au1"], rows[3]["au2"], rows[3]["au12"], rows[3]["au26"]) == (None, False, True, None)
    assert read_counts(folder)["107"] == {
        "va": {"rows": 3, "labelled": 3, "missing_values": 1},
        "expr": {"rows": 2, "labelled": 1, "missing_values": 1},
    }


def test_labels_are_written_once(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"EXPR_Set/Training_Set/107": ["4"], "AU_Set/Training_Set/107": [AU_ROW]})
    first = write_labels(discover(root), tmp_path / "store", splits="guarded")
    before = (first / "labels.parquet").stat().st_mtime_ns
    assert write_labels(discover(root), tmp_path / "store", splits="guarded") == first
    assert (first / "labels.parquet").stat().st_mtime_ns == before
    assert write_labels(discover(root), tmp_path / "store", splits="official") != first


def test_the_guard_holds_out_for_all_tasks_what_one_task_holds_out(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree(
        {
            "VA_Set/Training_Set/107": ["0,0"],
            "EXPR_Set/Validation_Set/107": ["4"],
            "VA_Set/Training_Set/video59": ["0,0"],
            "VA_Set/Validation_Set/video59_right": ["0,0"],
        }
    )
    tree = discover(root, Edition.ABAW_2020)
    official = official_splits(tree)
    videos = {"107": "107", "video59": "video59", "video59_right": "video59"}
    assert set(overlap(official, videos)) == {(Task.VA, Task.EXPR, 1), (Task.VA, Task.VA, 1)}
    assert guarded(official, videos) == {
        ("107", Task.VA): Split.HELD_OUT,
        ("107", Task.EXPR): Split.VALIDATION,
        ("video59", Task.VA): Split.HELD_OUT,
        ("video59_right", Task.VA): Split.VALIDATION,
    }
    leaky = pq.read_table(write_labels(tree, tmp_path, splits="official") / "labels.parquet").to_pylist()
    assert (leaky[0]["split_va"], leaky[0]["split_expr"]) == ("train", "validation")
    folder = write_labels(tree, tmp_path, splits="guarded")
    safe = pq.read_table(folder / "labels.parquet").to_pylist()
    assert (safe[0]["split_va"], safe[0]["split_expr"]) == ("held_out", "validation")
    assert ["va", "expr", 1] in read_manifest(folder)["overlap"]


def test_a_track_annotated_twice_for_a_task_is_refused(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"EXPR_Set/Training_Set/107": ["4"], "EXPR_Set/Validation_Set/107": ["4"]})
    with pytest.raises(ValueError, match="track 107 has two files for expr"):
        write_labels(discover(root, Edition.ABAW_2020), tmp_path, splits="guarded")

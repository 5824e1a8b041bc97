from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.hostile import (
    LAYOUTS,
    MTL_GENERATIONS,
    REFUSED,
    Hostile,
    Layout,
    Row,
    harmless_tree,
    mtl_tree,
    num_values,
    refused_tree,
)
from support.trees import MakeTree

from data.annotations.alignment import read_counts, read_findings, read_overlap, write_labels
from data.annotations.discovery import discover
from data.annotations.splits import SplitSettings
from data.labels import Edition, Task, task_columns
from data.store.shards import read_manifest

AU_ROW = "1,0,0,0,1,0,0,1"


def test_tasks_of_a_track_stand_side_by_side_and_missing_is_null(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree(
        {
            "VA_Set/Training_Set/107": ["0.5,-5", "-1,0", "0,0"],
            "EXPR_Set/Training_Set/107": ["4", "-1"],
            "AU_Set/Training_Set/video59_right": ["-1,0,0,0,1,0,0,1"],
        }
    )
    folder = write_labels(discover(root), tmp_path / "store", SplitSettings())
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
    first = write_labels(discover(root), tmp_path / "store", SplitSettings())
    before = (first / "labels.parquet").stat().st_mtime_ns
    assert write_labels(discover(root), tmp_path / "store", SplitSettings()) == first
    assert (first / "labels.parquet").stat().st_mtime_ns == before
    assert write_labels(discover(root), tmp_path / "store", SplitSettings(splits="official")) != first


def labels_in(folder: Path, edition: Edition) -> dict[tuple[str, Task], dict[int, Row]]:
    """What a shard says of each track and task: the values of each frame that has a row."""
    labels: dict[tuple[str, Task], dict[int, Row]] = {}
    for row in pq.read_table(folder / "labels.parquet").to_pylist():
        for task in Task:
            if row[f"split_{task}"] is not None:
                values = [row[name] for name in task_columns(edition)[task]]
                frames = labels.setdefault((row["track_id"], task), {})
                frames[row["frame_index"]] = tuple(None if value is None else float(value) for value in values)
    return labels


def check(tree: Hostile, folder: Path) -> None:
    assert labels_in(folder, tree.edition) == tree.labels
    found = {finding for finding in read_findings(folder) if finding.file is not None}
    assert found == tree.findings


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.root)
def test_every_harmless_quirk_is_tolerated_and_counted(tmp_path: Path, layout: Layout) -> None:
    tree = harmless_tree(tmp_path / "root", layout)
    check(tree, write_labels(discover(tree.root), tmp_path / "store", SplitSettings()))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.root)
def test_every_other_damage_is_refused_and_reported_together(tmp_path: Path, layout: Layout) -> None:
    tree = refused_tree(tmp_path / "root", layout)
    with pytest.raises(ValueError, match=f"root: {len(REFUSED)} problems") as raised:
        write_labels(discover(tree.root, tree.edition), tmp_path / "store", SplitSettings())
    lines = str(raised.value).splitlines()
    for name, (_, _, message) in REFUSED.items():
        (line,) = [line for line in lines if f"/{name}.txt" in line]
        assert re.search(rf"{name}\.txt, {message}", line)
    assert not list((tmp_path / "store").glob("labels/*/manifest.json"))


@pytest.mark.parametrize("names", MTL_GENERATIONS)
def test_multi_task_files_give_the_same_labels_as_any(tmp_path: Path, names: tuple[str, str]) -> None:
    tree = mtl_tree(tmp_path / "root", names)
    check(tree, write_labels(discover(tree.root), tmp_path / "store", SplitSettings()))


def test_contradictions_in_multi_task_files_are_refused_or_dropped(tmp_path: Path) -> None:
    tree = mtl_tree(tmp_path / "root", MTL_GENERATIONS[0], conflict=True)
    message = (
        r"root: 2 problems\n.*train_set\.txt, line 5: 10-60-1280x720/00001\.jpg has different labels in line \d+;"
        r" correct "
        r'them, or skip such frames with ingest\.mtl_conflicts = "drop"\n.*validation_set\.txt, line \d+: video5'
    )
    with pytest.raises(ValueError, match=message):
        write_labels(discover(tree.root), tmp_path / "store", SplitSettings())
    folder = write_labels(discover(tree.root), tmp_path / "store", SplitSettings(), mtl_conflicts="drop")
    check(tree, folder)
    assert read_manifest(folder)["annotations"] == "mtl"


def test_what_is_no_picture_in_a_multi_task_file_is_refused(tmp_path: Path) -> None:
    tree = mtl_tree(tmp_path / "root", MTL_GENERATIONS[0])
    path = tree.root / "train_set.txt"
    row = ",0,0,0" + ",0" * num_values(Task.AU, tree.edition)
    path.write_text(path.read_text() + "".join(f"video45_1/{name}{row}\n" for name in ("00000.jpg", "1.png", "x.jpg")))
    with pytest.raises(ValueError, match=r"3 problems\n.* expected a picture such as .*, found 'video45_1/00000\.jpg'"):
        write_labels(discover(tree.root), tmp_path / "store", SplitSettings())


def test_a_short_row_of_a_multi_task_file_is_refused(tmp_path: Path) -> None:
    tree = mtl_tree(tmp_path / "root", MTL_GENERATIONS[0])
    path = tree.root / "train_set.txt"
    path.write_text(path.read_text() + "video45_1/00001.jpg,0,0,0,1\n")
    with pytest.raises(
        ValueError, match=r"train_set\.txt, line \d+: expected 16 values, found 'video45_1/00001\.jpg,0"
    ):
        write_labels(discover(tree.root), tmp_path / "store", SplitSettings())


def test_only_the_official_splits_leak_and_the_leak_is_reported(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["0,0"], "EXPR_Set/Validation_Set/107": ["4"]})
    tree = discover(root, Edition.ABAW_2020)
    leaky = write_labels(tree, tmp_path, SplitSettings(splits="official"))
    (row,) = pq.read_table(leaky / "labels.parquet").to_pylist()
    assert (row["split_va"], row["split_expr"]) == ("train", "validation")
    safe = write_labels(tree, tmp_path, SplitSettings())
    (row,) = pq.read_table(safe / "labels.parquet").to_pylist()
    assert (row["split_va"], row["split_expr"]) == ("held_out", "validation")
    for folder in (leaky, safe):
        (overlap,) = read_overlap(folder)
        assert (str(overlap), overlap.is_leak) == ("1 video: va train, expr validation", True)
    assert read_manifest(safe)["split_of"]["107"] == {
        "va": {"official": "train", "used": "held_out"},
        "expr": {"official": "validation", "used": "validation"},
    }


def test_test_tracks_have_a_split_and_no_labels(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"EXPR_Set/Training_Set/107": ["4"], "AU_Set/Training_Set/video59": [AU_ROW]})
    (root / "va_test_set.txt").write_text("header\n107\nvideo59_right\nvideo1\n")
    folder = write_labels(discover(root), tmp_path, SplitSettings())
    rows = pq.read_table(folder / "labels.parquet").to_pylist()
    assert [(row["track_id"], row["split_va"], row["split_expr"]) for row in rows] == [
        ("107", None, "held_out"),
        ("video59", None, None),
    ]
    split_of = read_manifest(folder)["split_of"]
    assert split_of["107"]["va"] == {"official": "test", "used": "test"}
    assert split_of["video59_right"] == {"va": {"official": "test", "used": "test"}}
    assert [finding.as_row() for finding in read_findings(folder) if finding.file] == [
        {
            "track_id": None,
            "task": None,
            "kind": "test_tracks_without_video",
            "count": 1,
            "file": "va_test_set.txt",
        }
    ]


def test_labels_that_change_make_another_folder(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"EXPR_Set/Training_Set/107": ["4"], "AU_Set/Training_Set/107": [AU_ROW]})
    first = write_labels(discover(root), tmp_path / "store", SplitSettings())
    path = root / "annotations" / "EXPR_Set" / "Training_Set" / "107.txt"
    path.write_text(path.read_text() + "5\n")
    second = write_labels(discover(root), tmp_path / "store", SplitSettings())
    assert second != first
    assert read_counts(second)["107"]["expr"]["rows"] == 2


def test_each_seed_of_a_drawn_split_has_its_folder(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"EXPR_Set/Training_Set/107": ["4"], "AU_Set/Training_Set/video59": [AU_ROW]})
    tree = discover(root)
    folders = [
        write_labels(tree, tmp_path, SplitSettings(splits="subject_disjoint", split_seed=seed, validation_share=share))
        for seed, share in ((0, 0.5), (1, 0.5), (0, 0.25))
    ]
    assert len(set(folders)) == 3
    assert read_manifest(folders[1])["splits"] == {"rule": "subject_disjoint", "seed": 1, "validation_share": 0.5}
    for folder in folders:
        splits = {split["used"] for of in read_manifest(folder)["split_of"].values() for split in of.values()}
        assert splits == {"train", "validation"}


def test_of_a_file_with_many_errors_five_are_shown(make_tree: MakeTree) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["x,y"] * 24, "VA_Set/Training_Set/video59": ["0,0", "7,0"]})
    with pytest.raises(ValueError, match="25 problems") as refused:
        write_labels(discover(root, Edition.ABAW_2020), root.parent / "store", SplitSettings())
    first, *lines = str(refused.value).splitlines()
    assert first == f"{root}: 25 problems"
    assert [line.split(",")[1].split(":")[0] for line in lines[:5]] == [f" line {number}" for number in range(2, 7)]
    assert lines[5].endswith("107.txt: and 19 more")
    assert "video59.txt, line 3: expected valence" in lines[6]

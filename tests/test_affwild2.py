from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import MakeTree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.affwild2 import AnnotationFile, discover, discover_videos, read_annotation, video_of
from data.labels import Edition, Split, Task

AU_ROW = "1,0,0,0,1,0,0,1"


def annotation(path: Path, task: Task, text: str) -> AnnotationFile:
    path.write_text(text)
    return AnnotationFile(path, task, Split.TRAIN, path.stem)


def test_videos_and_annotations_are_found_by_their_names(make_tree: MakeTree) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["0,0"], "AU_Set/Validation_Set/video59_right": [AU_ROW]})
    tree = discover(root)
    assert list(tree.videos) == ["107", "video59"]
    assert [(file.track_id, file.task, file.split) for file in tree.annotations] == [
        ("video59_right", Task.AU, Split.VALIDATION),
        ("107", Task.VA, Split.TRAIN),
    ]
    assert tree.edition is Edition.ABAW_2020
    assert tree.tracks("video59") == ["video59_right"]


@pytest.mark.parametrize(
    "folder", ["VA_Set/Training_Set", "va set/TRAIN_SET", "VA_Estimation_Challenge/Train_Set", "1 VA-Set/Training Set"]
)
def test_folders_are_found_whatever_their_case_and_spaces(tmp_path: Path, folder: str) -> None:
    (tmp_path / "107.mp4").touch()
    path = tmp_path / "5th_ABAW_Annotations" / folder / "107.txt"
    path.parent.mkdir(parents=True)
    path.write_text("valence,arousal\n0,0\n")
    (file,) = discover(tmp_path, Edition.ABAW_2022).annotations
    assert (file.task, file.split) == (Task.VA, Split.TRAIN)


@pytest.mark.parametrize(
    ("track_id", "video_id"),
    [("video59_right", "video59"), ("video10_1_left", "video10_1"), ("video45_1", "video45_1"), ("a_left", "a_left")],
)
def test_only_a_last_left_or_right_is_a_person(track_id: str, video_id: str) -> None:
    assert video_of(track_id, {"video59": Path(), "a_left": Path()}) == video_id


def test_a_root_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no videos in it or below"):
        discover(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        discover_videos(tmp_path / "nowhere")


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a/107.mp4", "b/107.avi"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="video 107 is there 2 times"):
        discover_videos(tmp_path)


def test_a_root_without_annotations_is_refused(make_tree: MakeTree) -> None:
    with pytest.raises(ValueError, match="no annotation files"):
        discover(make_tree({}))


def test_an_annotation_without_its_video_is_refused(make_tree: MakeTree) -> None:
    with pytest.raises(ValueError, match=r"999\.txt: annotates a video that is not under"):
        discover(make_tree({"VA_Set/Training_Set/999": ["0,0"]}))


def test_an_edition_that_cannot_be_told_is_asked_for(make_tree: MakeTree) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["0,0"]})
    with pytest.raises(ValueError, match=r"edition cannot be told.*fits 2020, 2021, 2022"):
        discover(root)
    assert discover(root, Edition.ABAW_2021).edition is Edition.ABAW_2021


def test_sentinels_become_missing_value_by_value(tmp_path: Path) -> None:
    va = read_annotation(annotation(tmp_path / "v.txt", Task.VA, "h\n0.5,-5\n-5,-1\n"), Edition.ABAW_2020)
    np.testing.assert_array_equal(va, [[0.5, np.nan], [np.nan, -1]])
    expr = read_annotation(annotation(tmp_path / "e.txt", Task.EXPR, "h\n-1\n6\n"), Edition.ABAW_2020)
    np.testing.assert_array_equal(expr, [[np.nan], [6]])
    au = read_annotation(annotation(tmp_path / "a.txt", Task.AU, "h\n1,0,-1,0,1.0,0,0,-1\n"), Edition.ABAW_2020)
    np.testing.assert_array_equal(au, [[1, 0, np.nan, 0, 1, 0, 0, np.nan]])


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(b"\xef\xbb\xbfvalence,arousal\r\n0.5,0.25\r\n\r\n")
    values = read_annotation(AnnotationFile(path, Task.VA, Split.TRAIN, "v"), Edition.ABAW_2020)
    np.testing.assert_array_equal(values, [[0.5, 0.25]])


@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        (Task.VA, "0,0\n0", r"v\.txt, line 3: expected 2 values, found '0'"),
        (Task.VA, "0,0\n1.3,0", r"line 3: '1\.3' is no valence or arousal in \[-1, 1\]"),
        (Task.VA, "nan,0", "line 2: 'nan' is no valence"),
        (Task.VA, "0,x", "line 2: 'x' is not a number"),
        (Task.EXPR, "7", "line 2: '7' is no expression from 0 to 6"),
        (Task.AU, "0.5,0,0,0,0,0,0,0", r"line 2: '0\.5' is no action unit"),
        (Task.VA, "0,0\n\n0,0", "line 3: expected 2 values, found ''"),
    ],
)
def test_a_wrong_value_is_refused_with_its_file_and_line(tmp_path: Path, task: Task, rows: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_annotation(annotation(tmp_path / "v.txt", task, f"h\n{rows}\n"), Edition.ABAW_2020)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([-5.0, -1.0, -0.25, 0.0, 0.5, 1.0])] * 2)))
def test_reading_gives_what_was_written(tmp_path: Path, rows: list[tuple[float, float]]) -> None:
    text = "valence,arousal\n" + "".join(f"{valence},{arousal}\n" for valence, arousal in rows)
    values = read_annotation(annotation(tmp_path / "v.txt", Task.VA, text), Edition.ABAW_2020)
    assert np.nan_to_num(values, nan=-5).tolist() == [list(row) for row in rows]

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile import LAYOUTS, harmless_tree
from support.little_store import write_track
from support.trees import MakeTree

from data.annotations.alignment import write_labels
from data.annotations.discovery import discover
from data.annotations.findings import Finding, Kind, refuse
from data.annotations.splits import SplitSettings
from data.labels import Task
from data.schema import QUALITY, Status
from data.store.shards import write_manifest
from data.warehouse.quality import (
    TaskRows,
    TrackFrames,
    dataset_findings,
    face_findings,
    label_findings,
    named_rate_hz,
    num_irregular_intervals,
    rate_hz,
    time_findings,
)

STATUS = {".": Status.OK, "-": Status.NO_FACE, "i": Status.INTERPOLATED, "x": Status.DECODE_ERROR}


def frames(pattern: str, time_s: list[float] | None = None, *, is_video: bool = True) -> TrackFrames:
    """A letter a frame: `.` a face, `-` none, `i` an interpolated one, `x` damage."""
    times = [index / 25 for index in range(len(pattern))] if time_s is None else time_s
    return TrackFrames(np.array([STATUS[letter].value for letter in pattern]), np.array(times), is_video)


def rows(labelled: str, first: int = 0, *, is_per_frame: bool = True) -> TaskRows:
    """A letter a row: `l` labelled, `-` not."""
    index_N = np.arange(first, first + len(labelled), dtype=np.int64)
    return TaskRows(index_N, np.array([letter == "l" for letter in labelled], dtype=bool), is_per_frame)


def counts(findings: list[Finding]) -> dict[str, int]:
    return {finding.kind.value: finding.count for finding in findings}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("....", {"frames": 4, "faces": 4}),
        (
            "-..--.x.i-",
            {
                "frames": 10,
                "faces": 5,
                "no_face": 4,
                "interpolated": 1,
                "decode_error": 1,
                "gaps": 2,
                "longest_gap_frames": 2,
            },
        ),
        ("---", {"frames": 3, "no_face": 3}),
        ("", {}),
    ],
)
def test_faces_and_gaps_are_counted(pattern: str, expected: dict[str, int]) -> None:
    assert counts(face_findings("107", frames(pattern))) == expected


@pytest.mark.parametrize(
    ("pattern", "labelled", "expected"),
    [
        ("....", "llll", {}),
        ("....", "lllll", {"one_row_more": 1, "label_beyond_video": 1}),
        ("....", "llll-", {"one_row_more": 1}),
        ("....", "lllll-l", {"rows_beyond_video": 3, "label_beyond_video": 2}),
        ("....", "ll", {"frames_beyond_rows": 2, "face_without_label": 2}),
        (".-x.", "ll-l", {"label_without_face": 1}),
        (".-..", "l--l", {"face_without_label": 1}),
    ],
)
def test_labels_are_compared_with_faces(pattern: str, labelled: str, expected: dict[str, int]) -> None:
    assert counts(label_findings("107", Task.VA, frames(pattern), rows(labelled))) == expected


def test_files_with_some_frames_only_lack_no_rows() -> None:
    found = label_findings("107", Task.VA, frames("......"), rows("ll", 2, is_per_frame=False))
    assert counts(found) == {"face_without_label": 4}


def test_rows_after_the_last_crop_may_have_a_frame() -> None:
    found = label_findings("107", Task.EXPR, frames("..", is_video=False), rows("ll-l"))
    assert counts(found) == {"label_without_face": 1, "rows_beyond_last_crop": 2}


@given(
    st.lists(st.sampled_from(".-ix"), max_size=12),
    st.lists(st.sampled_from("l-"), max_size=14),
    st.booleans(),
)
def test_every_label_and_every_face_is_counted_once(pattern: list[str], labelled: list[str], is_video: bool) -> None:
    of = counts(label_findings("107", Task.VA, frames("".join(pattern), is_video=is_video), rows("".join(labelled))))
    both = sum(a in ".i" and b == "l" for a, b in zip(pattern, labelled, strict=False))
    beyond = of.get("label_beyond_video", 0)
    assert labelled.count("l") == both + of.get("label_without_face", 0) + beyond
    assert pattern.count(".") + pattern.count("i") == both + of.get("face_without_label", 0)
    surplus = len(labelled) - len(pattern)
    found = of.get("one_row_more", 0) + of.get("rows_beyond_video", 0) + of.get("rows_beyond_last_crop", 0)
    assert found == max(0, surplus)
    assert of.get("frames_beyond_rows", 0) == max(0, -surplus)


@pytest.mark.parametrize(
    ("video_id", "named_hz"),
    [("10-60-1280x720", 60), ("130-25-1280x720-2", 25), ("video59", None), ("107", None), ("video10_1", None)],
)
def test_the_rate_in_a_name(video_id: str, named_hz: int | None) -> None:
    assert named_rate_hz(video_id) == named_hz


def test_the_real_rate_is_that_of_the_timestamps() -> None:
    assert rate_hz(np.array([0, 0.04, np.nan, 0.12])) == pytest.approx(25)
    assert rate_hz(np.array([np.nan, 1.0])) is None
    assert rate_hz(np.array([1.0, 1.0])) is None


@pytest.mark.parametrize(
    ("video_id", "real_hz", "is_wrong"),
    [("1-30-2x2", 30000 / 1001, False), ("1-24-2x2", 23.976, False), ("1-60-2x2", 30.0, True), ("1-24-2x2", 25, True)],
)
def test_a_wrong_rate_in_a_name_is_found(video_id: str, real_hz: float, is_wrong: bool) -> None:
    timed = frames("." * 50, [index / real_hz for index in range(50)])
    assert counts(time_findings(video_id, video_id, timed)) == ({"wrong_rate_in_name": 1} if is_wrong else {})


def test_a_rate_that_varies_is_found_and_rounded_times_are_none() -> None:
    rounded_s = np.round(np.arange(100) / 30, 3)
    assert num_irregular_intervals(rounded_s) == 0
    assert num_irregular_intervals(np.delete(rounded_s, [10, 50])) == 2
    assert num_irregular_intervals(np.array([np.nan, np.nan])) == 0
    found = time_findings("107", "107", frames("....", [0, 0.04, 0.2, float("nan")]))
    assert counts(found) == {"variable_rate": 2, "frames_without_time": 1}


def write_faces(folder: Path, video_id: str, tracks: dict[str, int]) -> list[Path]:
    folder.mkdir()
    files = [write_track(folder, track_id, number) for track_id, number in tracks.items()]
    write_manifest(folder, {"video_id": video_id})
    return files


def test_a_data_set_has_the_findings_of_files_and_of_comparing(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree(
        {
            "VA_Set/Training_Set/107": ["0,0", "-5,-5", "0,0", "0,0"],
            "EXPR_Set/Training_Set/107": ["4", "-1"],
            "AU_Set/Training_Set/video59_right": ["-1,0,0,0,1,0,0,1."] * 2,
        }
    )
    labels = write_labels(discover(root), tmp_path / "store", SplitSettings())
    files = write_faces(tmp_path / "a", "107", {"107": 3}) + write_faces(
        tmp_path / "b", "video59", {"video59_right": 2}
    )
    found = {(of.track_id, of.task, of.kind.value): of.count for of in dataset_findings(files, labels)}
    assert found == {
        ("107", "va", "rows"): 4,
        ("107", "va", "labelled"): 3,
        ("107", "va", "missing_values"): 2,
        ("107", "va", "face_without_label"): 1,
        ("107", "va", "label_beyond_video"): 1,
        ("107", "va", "one_row_more"): 1,
        ("107", "expr", "rows"): 2,
        ("107", "expr", "labelled"): 1,
        ("107", "expr", "missing_values"): 1,
        ("107", "expr", "face_without_label"): 2,
        ("107", "expr", "frames_beyond_rows"): 1,
        ("107", None, "frames"): 3,
        ("107", None, "faces"): 3,
        ("video59_right", "au", "rows"): 2,
        ("video59_right", "au", "labelled"): 2,
        ("video59_right", "au", "missing_values"): 2,
        ("video59_right", "au", "floats"): 2,
        ("video59_right", None, "frames"): 2,
        ("video59_right", None, "faces"): 2,
    }
    unlabelled = dataset_findings(files, None)
    sums = Counter[Kind]()
    for finding in unlabelled:
        sums[finding.kind] += finding.count
    assert sums == {Kind.FRAMES: 5, Kind.FACES: 5}


def test_findings_are_rows_of_a_table(tmp_path: Path) -> None:
    tree = harmless_tree(tmp_path / "root", LAYOUTS[0])
    labels = write_labels(discover(tree.root), tmp_path / "store", SplitSettings())
    for finding in dataset_findings([], labels):
        assert Finding.of_row(finding.as_row()) == finding
        assert list(finding.as_row()) == QUALITY.names


def test_problems_are_reported_together_and_many_are_cut() -> None:
    refuse([], "here")
    with pytest.raises(ValueError, match=r"^one$"):
        refuse(["one"], "here")
    with pytest.raises(ValueError, match=r"here: 25 problems\n  0\n(.*\n)*  19\n  \.\.\. and 5 more$"):
        refuse([str(number) for number in range(25)], "here")

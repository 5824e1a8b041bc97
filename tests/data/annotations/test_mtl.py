from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile import DAMAGE, Row, cells, num_values, render

from data.annotations.editions import header_of
from data.annotations.findings import Kind
from data.annotations.mtl import parse_mtl, split_of, tracks_in
from data.labels import EXPRESSIONS, Edition, Split, Task

EDITION = Edition.ABAW_2022
UNITS = num_values(Task.AU, EDITION)

values = st.tuples(
    st.tuples(*[st.none() | st.floats(-1, 1, width=32)] * 2),
    st.tuples(st.none() | st.integers(0, len(EXPRESSIONS[EDITION]) - 1).map(float)),
    st.tuples(*[st.none() | st.sampled_from([0.0, 1.0])] * UNITS),
)
pictures = st.tuples(st.sampled_from(["107", "video59_right", "video10_1"]), st.integers(0, 120))


def row_cells(picture: tuple[str, int], row: tuple[Row, Row, Row], damage: set[Kind]) -> list[str]:
    of_tasks = [cell for task, of in zip(Task, row, strict=True) for cell in cells(task, of, damage)]
    return [f"{picture[0]}/{picture[1] + 1:05d}.jpg", *of_tasks]


@given(
    st.dictionaries(pictures, values, min_size=1, max_size=8),
    st.sets(st.sampled_from(DAMAGE)),
    st.integers(0, 4),
    st.randoms(use_true_random=False),
)
def test_frames_keep_their_labels_in_any_order_repeated_or_damaged(
    labels: dict[tuple[str, int], tuple[Row, Row, Row]], damage: set[Kind], repeated: int, order: random.Random
) -> None:
    rows = [row_cells(picture, row, damage) for picture, row in labels.items()]
    again = rows[:repeated]
    rows += again
    order.shuffle(rows)
    parsed = parse_mtl(render("mtl", EDITION, rows, damage), EDITION, "error")
    assert parsed.text.problems == []
    read = {}
    for track_id, of in parsed.tracks.items():
        assert (np.diff(of.frame_index_N) > 0).all()
        for frame_index, row in zip(of.frame_index_N.tolist(), of.values_NC.tolist(), strict=True):
            read[track_id, frame_index] = [None if np.isnan(value) else value for value in row]
    assert read == {picture: [value for of in row for value in of] for picture, row in labels.items()}
    assert sum(count for (_, kind), count in parsed.left_out.items() if kind is Kind.REPEATED_ROWS) == len(again)
    floats = {Kind.FLOATS: len(rows) * (1 + UNITS), Kind.TRAILING_COMMAS: len(rows), Kind.SPACES: len(rows)}
    expected = {kind: floats.get(kind, 2 if kind is Kind.TRAILING_BLANK_LINES else 1) for kind in damage}
    assert {kind: count for kind, count in parsed.text.oddities.items() if count} == expected


def row(picture: str = "107/00001.jpg", *, va: str = "0,0", expression: str = "0", units: str = "0") -> str:
    return ",".join([picture, va, expression, *[units] * UNITS])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([row(va="1.3,0")], r"line 2: expected valence or arousal in .*, found '1\.3'"),
        ([row(), row(va="0,nan")], "line 3: expected valence or arousal in .*, found 'nan'"),
        ([row(expression="8")], "line 2: expected an expression from 0 to 7, or -1 for missing, found '8'"),
        ([row(units="0.5")], r"line 2: expected an action unit, .*, found '0\.5'"),
        ([row(units="")], "line 2: expected an action unit, .*, found ''"),
        ([row(), "", row()], "line 3: expected 16 values, found ''"),
        ([row()[:-2]], "line 2: expected 16 values"),
        ([row(picture="00001.jpg")], r"line 2: expected a picture such as 'video59_right/00001\.jpg', found '00001"),
        ([row(picture="107/00000.jpg")], "line 2: expected a picture such as"),
        ([row(picture="107/99999999999.jpg")], "line 2: expected a picture such as"),
        ([], "line 2: expected a row per frame, found none"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(lines: list[str], message: str) -> None:
    content = "\n".join([header_of("mtl", EDITION), *lines]).encode() + b"\n"
    (problem,) = parse_mtl(content, EDITION, "error").text.problems
    with pytest.raises(ValueError, match=message):
        raise ValueError(problem)


def test_a_file_without_its_header_is_refused() -> None:
    (problem,) = parse_mtl(row().encode(), EDITION, "error").text.problems
    assert problem.startswith("line 1: expected the header 'image,valence,arousal,expression,aus'")
    (problem,) = parse_mtl(b"", EDITION, "error").text.problems
    assert "the file is empty" in problem


def test_of_three_rows_for_a_frame_that_differ_none_counts() -> None:
    lines = [row(va="0,0"), row("107/00002.jpg"), row(va="0,1"), row(va="0,0")]
    content = "\n".join([header_of("mtl", EDITION), *lines]).encode() + b"\n"
    (problem,) = parse_mtl(content, EDITION, "error").text.problems
    assert problem.startswith("line 2: 107/00001.jpg has different labels in line 4 and 5; correct them")
    parsed = parse_mtl(content, EDITION, "drop")
    assert parsed.tracks["107"].frame_index_N.tolist() == [1]
    assert parsed.left_out["107", Kind.CONTRADICTORY_ROWS] == 3


def test_a_missing_value_beside_a_value_is_a_contradiction() -> None:
    content = "\n".join([header_of("mtl", EDITION), row(va="-5,-5"), row(va="0,0")]).encode()
    assert len(parse_mtl(content, EDITION, "error").text.problems) == 1


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train_set.txt", Split.TRAIN),
        ("Validation_Set.txt", Split.VALIDATION),
        ("training_set_annotations.txt", Split.TRAIN),
        ("validation_set_annotations_22.txt", Split.VALIDATION),
        ("MTL_train_set.txt", Split.TRAIN),
        ("readme.txt", None),
        ("trainers.txt", None),
    ],
)
def test_the_name_says_the_split(tmp_path: Path, name: str, split: Split | None) -> None:
    (tmp_path / name).write_text("")
    assert split_of(tmp_path / name) is split


@pytest.mark.parametrize(
    ("name", "split"), [("my_train_list.txt", Split.TRAIN), ("my_val_list.txt", Split.VALIDATION), ("labels.txt", None)]
)
def test_a_file_with_the_header_has_the_split_of_its_name(tmp_path: Path, name: str, split: Split | None) -> None:
    (tmp_path / name).write_text(header_of("mtl", EDITION) + "\n")
    assert split_of(tmp_path / name) is split


def test_the_tracks_of_a_list_come_after_its_header_and_before_the_first_slash(tmp_path: Path) -> None:
    (tmp_path / "train_set.txt").write_text("a/header\n106/00001.jpg,0\nvideo5/x/00002.jpg\n107/00003.jpg\nnothing\n")
    assert tracks_in(tmp_path / "train_set.txt") == ("106", "107", "video5")

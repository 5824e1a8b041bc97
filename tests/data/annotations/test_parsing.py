from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile import DAMAGE, REFUSED, Row, cells, counted, num_values, render

from data.annotations.editions import first_line, header_names, header_of
from data.annotations.findings import Kind
from data.annotations.parsing import Floats, Text, open_text, read_rows
from data.labels import EXPRESSIONS, Edition, Task


def parse(content: bytes, task: Task, edition: Edition = Edition.ABAW_2020) -> tuple[Floats, Text]:
    text = open_text(content, task, edition)
    return read_rows(text, [task] * num_values(task, edition), edition).values_NC, text


def as_rows(values_NC: Floats) -> list[Row]:
    return [tuple(None if np.isnan(value) else value for value in row) for row in values_NC.tolist()]


@st.composite
def label_files(draw: st.DrawFn) -> tuple[Task, Edition, list[Row]]:
    """A task, an edition and at least one row of labels, any of them missing."""
    task, edition = draw(st.sampled_from(Task)), draw(st.sampled_from(Edition))
    values: dict[Task, st.SearchStrategy[float]] = {
        Task.VA: st.floats(-1, 1, width=32),
        Task.EXPR: st.integers(0, len(EXPRESSIONS[edition]) - 1).map(float),
        Task.AU: st.sampled_from([0.0, 1.0]),
    }
    row = st.tuples(*[st.none() | values[task]] * num_values(task, edition))
    return task, edition, draw(st.lists(row, min_size=1, max_size=8))


@given(label_files(), st.sets(st.sampled_from(DAMAGE)))
def test_harmless_damage_changes_no_value(file: tuple[Task, Edition, list[Row]], damage: set[Kind]) -> None:
    task, edition, rows = file
    content = render(task, edition, [cells(task, row, damage) for row in rows], damage)
    values_NC, text = parse(content, task, edition)
    assert text.problems == []
    assert as_rows(values_NC) == rows
    assert {kind: count for kind, count in text.oddities.items() if count} == counted(task, rows, damage)


@given(label_files(), st.sets(st.sampled_from(DAMAGE)), st.integers(0, 8), st.integers(0, 3))
def test_rows_more_or_less_at_the_end_move_no_label(
    file: tuple[Task, Edition, list[Row]], damage: set[Kind], kept: int, added: int
) -> None:
    task, edition, rows = file
    kept = min(max(1, kept), len(rows))
    changed = rows[:kept] + rows[:added]
    content = render(task, edition, [cells(task, row, damage) for row in changed], damage)
    values_NC, text = parse(content, task, edition)
    assert text.problems == []
    assert as_rows(values_NC)[:kept] == rows[:kept]


@given(label_files(), st.integers(0, 7), st.sets(st.sampled_from(DAMAGE)))
def test_a_blank_line_between_rows_is_refused_with_its_number(
    file: tuple[Task, Edition, list[Row]], place: int, damage: set[Kind]
) -> None:
    task, edition, rows = file
    place %= len(rows)
    lines: list[list[str]] = [cells(task, row) for row in rows]
    content = render(task, edition, [*lines[:place], [""], *lines[place:]], damage - {Kind.TRAILING_COMMAS})
    _, text = parse(content, task, edition)
    assert [problem.split(":")[0] for problem in text.problems] == [f"line {place + 2}"]


@pytest.mark.parametrize("name", [name for name, (task, _, _) in REFUSED.items() if task is Task.VA])
def test_every_bad_line_of_a_file_is_named(name: str) -> None:
    _, content, message = REFUSED[name]
    _, text = parse(content, Task.VA)
    assert len(text.problems) == 1
    with pytest.raises(ValueError, match=message):
        raise ValueError(text.problems[0])


def test_sentinels_become_missing_value_by_value() -> None:
    va, _ = parse(b"valence,arousal\n0.5,-5\n-5.0,-1\n", Task.VA)
    np.testing.assert_array_equal(va, [[0.5, np.nan], [np.nan, -1]])
    header = b"Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n"
    expr, _ = parse(header + b"-1\n6\n", Task.EXPR)
    np.testing.assert_array_equal(expr, [[np.nan], [6]])
    au, _ = parse(b"AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n1,0,-1,0,1.0,0,0,-1\n", Task.AU)
    np.testing.assert_array_equal(au, [[1, 0, np.nan, 0, 1, 0, 0, np.nan]])


def test_old_line_ends_are_line_ends() -> None:
    values_NC, text = parse(b"valence,arousal\r0.5,0.25\r0,1\r", Task.VA)
    assert values_NC.tolist() == [[0.5, 0.25], [0, 1]]
    assert text.oddities[Kind.OTHER_LINE_ENDS] == 1


def test_other_separators_of_lines_are_none() -> None:
    _, text = parse("valence,arousal\n0,0\u2028\n0,0\x0b\n".encode(), Task.VA)
    assert text.oddities[Kind.TRAILING_BLANK_LINES] == 0
    assert [problem.split(":")[0] for problem in text.problems] in ([], ["line 2"], ["line 2", "line 3"])


def test_units_of_another_edition_are_refused_once_and_not_row_by_row() -> None:
    header = b"AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26\n"
    _, text = parse(header + b"0,0,0,0,0,0,0,0,0,0,0,0\n" * 3, Task.AU)
    assert len(text.problems) == 1
    assert "of edition 2020, found 'AU1,AU2,AU4,AU6,AU7" in text.problems[0]


def test_expressions_under_the_header_of_another_edition_are_counted() -> None:
    content = b"Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n4\n"
    values_NC, text = parse(content, Task.EXPR)
    assert (values_NC.tolist(), text.problems) == ([[4]], [])
    assert text.oddities[Kind.HEADER_OF_ANOTHER_EDITION] == 1


def test_all_bad_lines_of_a_file_are_reported_together() -> None:
    _, text = parse(b"valence,arousal\n0,0\n2,0\n0,0\nx,0\n", Task.VA)
    assert [problem.split(":")[0] for problem in text.problems] == ["line 3", "line 5"]


@pytest.mark.parametrize(("task", "cell"), [(Task.VA, "-1.5"), (Task.VA, "1.01"), (Task.AU, "2"), (Task.EXPR, "-2")])
def test_a_value_just_beyond_its_range_is_refused(task: Task, cell: str) -> None:
    row = ",".join([cell, *["0"] * (num_values(task, Edition.ABAW_2020) - 1)])
    _, text = parse(f"{header_of(task, Edition.ABAW_2020)}\n{row}\n".encode(), task)
    assert [problem.rpartition("found ")[2] for problem in text.problems] == [repr(cell)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("valence,arousal\n0,0\n".encode("utf-16"), "expected UTF-8 text, found UTF-16; .* `iconv -f UTF-16 -t UTF-8"),
        ("valence,arousal\n0,0\n".encode("utf-16-le"), "expected UTF-8 text, found UTF-16LE; .* `iconv -f UTF-16LE"),
        ("valence,arousal\n0,0\n".encode("utf-16-be"), "expected UTF-8 text, found UTF-16BE; .* `iconv -f UTF-16BE"),
        ("valence,arousal\n0,0\n".encode("utf-32"), "expected UTF-8 text, found UTF-32; .* `iconv -f UTF-32"),
        (b"valence;arousal\n0;0\n0;0\n", "expected commas between the values, found semicolons; .* `tr ';' ','"),
        (b"valence,arousal\n0;0\n0;0\n", "expected commas between the values, found semicolons"),
        (b"valence,arousal\n0;0\n0,0\n", "expected commas between the values, found semicolons"),
        (b"valence,arousal\n0;0", "expected commas between the values, found semicolons"),
        (b"\xef\xbb\xbfvalence;arousal\n0;0\n", "expected commas between the values, found semicolons"),
        (b"valence\tarousal\n0\t0\n", r"expected commas between the values, found tabs; .* `tr '\\t' ','"),
        (b"valence|arousal\n0|0\n", r"expected commas between the values, found bars"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "expected text, found binary data; copy the file again"),
    ],
)
def test_another_encoding_or_separator_is_one_problem_with_its_remedy(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    text = open_text(content, Task.VA, Edition.ABAW_2020)
    rows = read_rows(text, [Task.VA] * 2, Edition.ABAW_2020)
    (found,) = text.problems
    assert re.match(problem, found)
    assert (text.header, text.body, len(rows.values_NC)) == ("", b"", 0)
    assert text.oddities[Kind.BYTE_ORDER_MARK] == content.startswith(b"\xef\xbb\xbf")
    if "binary" not in found:
        (tmp_path / "107.txt").write_bytes(content)
        assert first_line(tmp_path / "107.txt") == "valence,arousal"


@pytest.mark.parametrize(
    ("content", "task", "lines", "body"),
    [
        (b"\n2,0\n", Task.VA, ["line 1"], b""),
        (b"AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26\n2\n", Task.AU, ["line 1"], b""),
        (b"arousal,valence\n2,0\n", Task.VA, ["line 1", "line 2"], b"2,0\n"),
        (b"4\n9\n", Task.EXPR, ["line 1", "line 2"], b"9\n"),
    ],
)
def test_the_rows_under_a_wrong_header_are_checked_unless_all_would_be_wrong(
    content: bytes, task: Task, lines: list[str], body: bytes
) -> None:
    _, text = parse(content, task)
    assert [problem.split(":")[0] for problem in text.problems] == lines
    assert text.body == body


def test_a_class_file_without_its_header_is_recognised() -> None:
    _, text = parse(b"4\n4\n", Task.EXPR)
    assert re.search("found the row '4'; add the header", text.problems[0])


@pytest.mark.parametrize("space", [" ", "\t"])
def test_spaces_or_tabs_beside_a_comma_are_counted(space: str) -> None:
    values_NC, text = parse(f"valence,arousal\n0,0\n0,{space}1\n".encode(), Task.VA)
    assert (values_NC.tolist(), text.problems) == ([[0, 0], [0, 1]], [])
    assert text.oddities[Kind.SPACES] == 1


def test_points_are_counted_from_the_first_class_on() -> None:
    text = Text("", b"0.5,4.0\n0.25,4\n")
    rows = read_rows(text, [Task.VA, Task.EXPR], Edition.ABAW_2020)
    assert rows.values_NC.tolist() == [[0.5, 4], [0.25, 4]]
    assert text.oddities[Kind.FLOATS] == 1


def test_binary_data_is_recognised_by_the_first_kibibyte() -> None:
    start = b"valence,arousal\n0,0\n".ljust(1023, b"0")
    for content, kind in ((start + b"\0", "binary data"), (start + b"0\0", "'000")):
        _, text = parse(content, Task.VA)
        assert [kind in problem for problem in text.problems] == [True]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("Valence, arousal", ("valence", "arousal")),
        ("'AU_1','AU 2',", ("au1", "au2")),
        ("valence,", ("valence",)),
        ("valence,,arousal", ("valence", "", "arousal")),
        ("valence,,", ("valence", "")),
        ("", ("",)),
    ],
)
def test_a_header_is_read_without_case_spaces_quotes_and_one_trailing_comma(
    header: str, names: tuple[str, ...]
) -> None:
    assert header_names(header) == names


def test_a_first_line_with_commas_stays_as_it_is_up_to_a_kibibyte(tmp_path: Path) -> None:
    (tmp_path / "107.txt").write_text("valence,arousal;x\n0,0\n")
    assert first_line(tmp_path / "107.txt") == "valence,arousal;x"
    (tmp_path / "108.txt").write_text("x" * 2000)
    assert first_line(tmp_path / "108.txt") == "x" * 1024

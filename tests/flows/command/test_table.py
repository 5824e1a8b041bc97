from __future__ import annotations

import io

import pyarrow as pa
import pytest
from rich.console import Console

from flows.command.table import MOST_BLOCKS, SHOWN_ROWS, cell, print_table


def printed(table: pa.Table, width: int) -> list[str]:
    file = io.StringIO()
    print_table(table, Console(file=file, width=width, highlight=False, soft_wrap=True))
    return file.getvalue().splitlines()


def wide(num_columns: int, num_rows: int) -> pa.Table:
    return pa.table({f"column_{index}": [index + row / 7 for row in range(num_rows)] for index in range(num_columns)})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (float("nan"), "NaN"),
        (float("inf"), "inf"),
        (0.123456, "0.1235"),
        (12345678, "12345678"),
        (True, "true"),
        (b"\0" * 3712, "3.7 kB"),
        (b"\0" * 12, "12 bytes"),
        (b"\0", "1 byte"),
        (pa.MonthDayNano([0, 3, 1_500_000_000]), "0 months, 3 days, 1.5 s"),
        ([0.5, None, float("nan")], "[0.5, NULL, NaN]"),
        ([], "[]"),
        ({"x": 1, "of": [b""]}, "{x: 1, of: [0 bytes]}"),
        ("two\nlines\t\x1b[31m", "two\\nlines\\t\\x1b[31m"),
        ("été 日本", "été 日本"),
        ("a" * 100, "a" * 59 + "…"),
    ],
)
def test_a_value_is_written_for_a_person(value: object, text: str) -> None:
    assert cell(value) == text


def test_columns_stand_below_each_other_numbers_to_the_right() -> None:
    table = pa.table({"name": ["a", "日本"], "value": [1.0, 22.5], "none": pa.nulls(2)})
    assert printed(table, 40) == ["name  value  none", "a         1  NULL", "日本   22.5  NULL"]


def test_columns_that_do_not_fit_are_named() -> None:
    lines = printed(wide(10, MOST_BLOCKS + 1), 40)
    assert lines[0].split() == ["column_0", "column_1", "column_2", "column_3"]
    assert len(lines) == MOST_BLOCKS + 3
    assert max(map(len, lines[:-1])) <= 40
    assert lines[-1].startswith("not shown: column_4, column_5, ")
    assert "column_9. Name the columns that you want" in lines[-1]


def test_few_rows_of_many_columns_become_blocks() -> None:
    lines = printed(wide(10, 2), 50)
    assert lines[0] == "row 1"
    assert lines[6] == "row 2"
    assert lines[1].split() == ["column_0", "0", "column_5", "5"]
    assert max(map(len, lines)) <= 50
    assert printed(wide(3, 1), 8)[1:] == ["column_0  0", "column_1  1", "column_2  2"]


def test_columns_of_the_same_name_are_both_shown() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert printed(table, 40) == ["a  a", "1  2"]


def test_one_column_is_shown_however_narrow_the_terminal() -> None:
    assert printed(wide(2, 9), 3)[0] == "column_0"


def test_an_answer_without_rows_shows_its_columns() -> None:
    assert printed(wide(2, 0), 40) == ["column_0  column_1", "no rows"]
    assert printed(wide(9, 0), 20)[0] == "column_0  column_1"


def test_of_many_rows_the_first_are_shown() -> None:
    lines = printed(wide(1, SHOWN_ROWS + 1), 80)
    assert len(lines) == SHOWN_ROWS + 2
    assert lines[-1] == f"... {SHOWN_ROWS + 1} rows in all; use --format csv or parquet to get every one"

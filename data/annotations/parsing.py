"""Reads the text of one label file: rows of numbers, NaN for missing values, and all its errors and oddities.

A strict, fast reader handles files in the expected format. Other files are read again line by line by a tolerant
reader, which accepts harmless oddities and names the line of each error. No row is skipped in between: row n stays
row n. Letters: N rows, C columns.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from data.annotations.editions import BINARY, SEPARATORS, FileKind, editions_of, encoding_of, header_of
from data.annotations.findings import Kind
from data.labels import EXPRESSIONS, Edition, Task

Floats = NDArray[np.float64]


@dataclass
class Text:
    """A label file without its harmless oddities, and notes on them."""

    header: str
    body: bytes
    """The rows, each ended by a line feed."""
    oddities: Counter[Kind] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    """Such as `line 3: ...`."""


@dataclass(frozen=True)
class Rows:
    """The rows of a file, without those that have errors, because a file with errors is refused as a whole."""

    names: pa.StringArray | None
    """The texts in front of the values, if there are any."""
    values_NC: Floats
    lines_N: NDArray[np.int64]
    """The line of each row in the file, counted from 1."""


def open_text(content: bytes, kind: FileKind, edition: Edition) -> Text:
    """The header and rows of a file with any line ends; notes whether the header is the edition's."""
    oddities: Counter[Kind] = Counter()
    if content.startswith(codecs.BOM_UTF8):
        oddities[Kind.BYTE_ORDER_MARK] = 1
        content = content.removeprefix(codecs.BOM_UTF8)
    if problem := _other_kind_of_text(content):
        return Text("", b"", oddities, [problem])
    if b"\r" in content:
        oddities[Kind.OTHER_LINE_ENDS] = 1
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if content and not content.endswith(b"\n"):
        oddities[Kind.NO_LAST_NEWLINE] = 1
        content += b"\n"
    header, _, body = content.partition(b"\n")
    end = body.find(b"\n", len(body.rstrip())) + 1 if body.strip() else 0
    oddities[Kind.TRAILING_BLANK_LINES] = body.count(b"\n", end)
    text = Text(header.decode("utf-8", "replace"), body[:end], oddities)
    _check_header(text, kind, edition)
    return text


def _other_kind_of_text(content: bytes) -> str | None:
    """What is wrong with a file that is no text with commas between values; one sentence for the whole file."""
    start = content[:1024]
    encoding = encoding_of(start)
    if encoding == BINARY:
        return "expected text, found binary data; copy the file again"
    if encoding != "UTF-8":
        command = f"iconv -f {encoding} -t UTF-8 old.txt > new.txt"
        return f"expected UTF-8 text, found {encoding}; save it as UTF-8, such as with `{command}`"
    header, _, rest = start.partition(b"\n")
    row = rest.partition(b"\n")[0] or header
    for separator, name in SEPARATORS.items():
        if separator.encode() in row and b"," not in row:
            shown = separator.replace("\t", "\\t")
            command = f"tr '{shown}' ',' < old.txt > new.txt"
            return f"expected commas between the values, found {name}; replace them, such as with `{command}`"
    return None


def _check_header(text: Text, kind: FileKind, edition: Edition) -> None:
    expected, found = header_of(kind, edition), text.header[:80]
    editions = editions_of(kind, text.header)
    if not text.header.strip():
        what = "found a blank line" if text.body else "the file is empty; copy it again or remove it"
        text.problems.append(f"line 1: expected the header {expected!r}, {what}")
        text.body = b""
    elif not editions and _is_number(text.header.split(",")[0]):
        row = f"found the row {found!r}; add the header, or each label would be one frame early"
        text.problems.append(f"line 1: expected the header {expected!r}, {row}")
    elif not editions or (edition not in editions and kind is not Task.EXPR):
        text.problems.append(f"line 1: expected the header {expected!r} of edition {edition}, found {found!r}")
        text.body = b"" if editions else text.body  # every row would be too short or too long
    elif not text.body:
        text.problems.append("line 2: expected a row per frame, found none; copy the file again or remove it")
    elif edition not in editions:
        text.oddities[Kind.HEADER_OF_ANOTHER_EDITION] = 1
    elif text.header != expected:
        text.oddities[Kind.HEADER_SPELLING] = 1


def read_rows(text: Text, tasks: Sequence[Task], edition: Edition, *, named: bool = False) -> Rows:
    """The rows of a file's body; their oddities and errors are added to the text's notes.

    Args:
        text: The result of `open_text`.
        tasks: For each column, the task that it labels.
        edition: Determines which values are valid.
        named: Whether rows have a name in front of their values.
    """
    allowed = [_allowed(task, edition) for task in tasks]
    rows = _read_strictly(text.body, len(tasks), named)
    if rows is None or not _are_allowed(rows.values_NC, allowed).all():
        rows = _read_line_by_line(text, allowed, named)
    first_class = next((column for column, of in enumerate(allowed) if of.is_whole), None)
    if first_class is not None and not text.problems:
        text.oddities[Kind.FLOATS] += _num_points(text.body, first_class + named)
    rows.values_NC[rows.values_NC == [of.missing for of in allowed]] = np.nan
    return rows


@dataclass(frozen=True)
class _Allowed:
    """The values of a column."""

    lowest: float
    highest: float
    missing: float
    is_whole: bool
    expected: str

    def has(self, value: float) -> bool:
        is_valid = self.lowest <= value <= self.highest and not (self.is_whole and value % 1)
        return is_valid or value == self.missing


def _allowed(task: Task, edition: Edition) -> _Allowed:
    if task is Task.VA:
        return _Allowed(-1, 1, -5, False, "valence or arousal in [-1, 1], or -5 for missing")
    if task is Task.EXPR:
        last = len(EXPRESSIONS[edition]) - 1
        return _Allowed(0, last, -1, True, f"an expression from 0 to {last}, or -1 for missing")
    return _Allowed(0, 1, -1, True, "an action unit, 0 or 1, or -1 for missing")


def _are_allowed(values_NC: Floats, allowed: Sequence[_Allowed]) -> NDArray[np.bool_]:
    """Like `_Allowed.has`, for all values; NaN is not allowed."""
    lowest_C, highest_C, missing_C, is_whole_C = np.array(
        [(of.lowest, of.highest, of.missing, of.is_whole) for of in allowed]
    ).T
    in_range_NC = (values_NC >= lowest_C) & (values_NC <= highest_C)
    is_value_NC = in_range_NC & ((is_whole_C == 0) | (values_NC == np.floor(values_NC)))
    allowed_NC: NDArray[np.bool_] = is_value_NC | (values_NC == missing_C)
    return allowed_NC


def _read_strictly(body: bytes, num_columns: int, named: bool) -> Rows | None:
    """None unless every row has all columns, every value is a number, and there are no other characters."""
    if not body or b" " in body or b"\t" in body:
        return None
    types = {**({"name": pa.string()} if named else {}), **{str(i): pa.float64() for i in range(num_columns)}}
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(body),
            # one block, and blank lines kept: no row may get lost between two
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(body) + 1, column_names=list(types)),
            parse_options=pa.csv.ParseOptions(quote_char=False, double_quote=False, ignore_empty_lines=False),
            convert_options=pa.csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    values_NC = np.stack([table[str(i)].to_numpy() for i in range(num_columns)], axis=1)
    return Rows(table["name"].combine_chunks() if named else None, values_NC, np.arange(2, len(values_NC) + 2))


def _read_line_by_line(text: Text, allowed: Sequence[_Allowed], named: bool) -> Rows:
    names, values, lines = [], [], []
    num_cells = len(allowed) + named
    for number, line in enumerate(text.body.decode("utf-8", "replace").split("\n")[:-1], start=2):
        cells = [cell.strip() for cell in line.split(",")]
        has_comma = len(cells) == num_cells + 1 and not cells[-1]
        cells = cells[:-1] if has_comma else cells
        if problem := _problem_of(cells, allowed, named):
            text.problems.append(f"line {number}: {problem}")
            continue
        text.oddities[Kind.TRAILING_COMMAS] += has_comma
        text.oddities[Kind.SPACES] += any(cell != cell.strip() for cell in line.split(","))
        names += cells[:named]
        values.append([float(cell) for cell in cells[named:]])
        lines.append(number)
    values_NC = np.array(values, np.float64).reshape(-1, len(allowed))
    return Rows(pa.array(names, pa.string()) if named else None, values_NC, np.array(lines, np.int64))


def _problem_of(cells: Sequence[str], allowed: Sequence[_Allowed], named: bool) -> str | None:
    if len(cells) != len(allowed) + named:
        return f"expected {len(allowed) + named} values, found {','.join(cells)[:80]!r}"
    for cell, of in zip(cells[named:], allowed, strict=True):
        if not _is_number(cell) or not of.has(float(cell)):
            return f"expected {of.expected}, found {cell[:80]!r}"
    return None


def _is_number(cell: str) -> bool:
    """Whether it is a number as in label files; Python alone would also accept `1_0` and digits of other scripts."""
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell


def _num_points(body: bytes, first: int) -> int:
    """How many points the rows have from cell `first` on."""
    if first == 0 or b"." not in body:
        return body.count(b".")
    return sum(cell.count(b".") for line in body.split(b"\n") for cell in line.split(b",")[first:])

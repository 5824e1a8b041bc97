"""Prints the answer to a query for a person to read: a table as wide as the terminal, or a block per row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from data.text import counted

SHOWN_ROWS = 40
MOST_BLOCKS = 5
"""Answers with at most this many rows become blocks if their columns do not fit beside each other."""
_MOST_WIDTH = 60
"""Characters of a cell that are shown."""
_GAP = 2
_NUMBERS = ("int", "uint", "float", "double", "decimal")


def print_table(table: Any, console: Console) -> None:
    """Prints the first rows of an Arrow table, and names what is not shown: further rows, columns that do not fit."""
    # Column by column, because two columns may have the same name.
    columns = [[cell(value) for value in column.to_pylist()] for column in table.slice(0, SHOWN_ROWS).columns]
    rows = list(zip(*columns, strict=True))
    names = [_printable(name) for name in table.schema.names]
    widths = [max(cell_len(text) for text in column) for column in zip(names, *rows, strict=True)]
    num_fitting = _num_fitting(widths, console.width)
    if num_fitting < len(names) and 0 < len(table) <= MOST_BLOCKS:
        _print_blocks(names, rows, console)
        return
    num_shown = max(num_fitting, 1)
    is_number = [str(field.type).startswith(_NUMBERS) for field in table.schema]
    _print_line(names[:num_shown], widths, is_number, console, style="bold")
    for row in rows:
        _print_line(row[:num_shown], widths, is_number, console)
    if not len(table):
        console.print("no rows")
    if len(table) > SHOWN_ROWS:
        console.print(f"... {len(table)} rows in all; use --format csv or parquet to get every one")
    if num_shown < len(names):
        console.print(
            f"not shown: {', '.join(names[num_shown:])}. Name the columns that you want in the query, "
            "or use --format csv or parquet",
            markup=False,
        )


def cell(value: object) -> str:
    """A value as text: NULL, NaN, sizes of blobs, lists and structs included."""
    text = _text(value)
    return text if cell_len(text) <= _MOST_WIDTH else f"{text[: _MOST_WIDTH - 1]}…"


def _text(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, bytes):
        return f"{len(value) / 1000:.1f} kB" if len(value) >= 1000 else counted(len(value), "bytes")
    if hasattr(value, "nanoseconds") and isinstance(value, Sequence):  # an interval: months, days, nanoseconds
        return f"{value[0]} months, {value[1]} days, {value[2] / 1e9:g} s"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_text(of)}' for name, of in value.items())}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_text, value))}]"
    return _printable(str(value))


def _printable(text: str) -> str:
    """Without line ends and control characters, which would break the table or the terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _num_fitting(widths: Sequence[int], width: int) -> int:
    total = -_GAP
    for number, of in enumerate(widths):
        total += _GAP + of
        if total > width:
            return number
    return len(widths)


def _print_line(
    texts: Sequence[str], widths: Sequence[int], is_number: Sequence[bool], console: Console, style: str = ""
) -> None:
    padded = [_padded(text, width, right) for text, width, right in zip(texts, widths, is_number, strict=False)]
    console.print(Text((" " * _GAP).join(padded).rstrip(), style=style))


def _padded(text: str, width: int, to_right: bool = False) -> str:
    space = " " * (width - cell_len(text))
    return space + text if to_right else text + space


def _print_blocks(names: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Each row as pairs of name and value, from top to bottom, in as many columns as fit."""
    name_width = max(map(cell_len, names))
    blocks = [[f"{_padded(name, name_width)}  {text}" for name, text in zip(names, row, strict=True)] for row in rows]
    pair_width = max(cell_len(pair) for pairs in blocks for pair in pairs)
    num_columns = max(1, (console.width + _GAP) // (pair_width + _GAP))
    num_lines = math.ceil(len(names) / num_columns)
    for number, pairs in enumerate(blocks, start=1):
        console.print(Text(f"row {number}", style="bold"))
        for line in range(num_lines):
            shown = [_padded(pair, pair_width) for pair in pairs[line::num_lines]]
            console.print(Text((" " * _GAP).join(shown).rstrip()))

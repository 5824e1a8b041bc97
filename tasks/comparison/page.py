"""A comparison as text (Markdown), and as one HTML page with pictures that needs no other file and no network."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from jinja2 import Environment

from data.text import counted, lasting
from model.scores.intervals import OFFICIAL_SUM, Interval
from tasks.comparison.result import SHOWN, Comparison, Row

TEMPLATE = Path(__file__).with_name("page.html")
HEADINGS = ("", *SHOWN.values(), "difference", "parameters", "training", "faces/s", "labels")


def markdown(comparison: Comparison) -> str:
    """The tables, one for each level, with what they mean."""
    return "\n".join(_lines(comparison)) + "\n"


def page(comparison: Comparison, pictures: Mapping[str, bytes]) -> str:
    """The page; `pictures` are PNGs by title."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text()).render(
        title=_title(comparison),
        about=_about(comparison),
        headings=HEADINGS,
        levels=[(level, [cells(row) for row in rows]) for level, rows in by_level(comparison).items()],
        verdicts=list(verdicts(comparison)),
        pictures={title: base64.b64encode(content).decode() for title, content in pictures.items()},
    )


def by_level(comparison: Comparison) -> dict[str, list[Row]]:
    levels: dict[str, list[Row]] = {}
    for row in comparison.rows:
        levels.setdefault(row.level, []).append(row)
    return levels


def cells(row: Row) -> list[str]:
    """A row of the table: name, scores, the difference in the sum or else in the task that both answer, costs."""
    shared = [score for score in reversed(SHOWN) if score in row.differences]
    difference = f"{_signed(row.differences[shared[0]])} {_of(shared[0])}".rstrip() if shared else "-"
    return [
        row.name,
        *(str(row.scores[score]) if score in row.scores else "-" for score in SHOWN),
        difference,
        f"{row.parameters:,}",
        lasting(row.train_s),
        f"{row.faces_per_s:,.0f}",
        ", ".join(f"{number:,} {task}" for task, number in row.labels.items()),
    ]


def verdicts(comparison: Comparison) -> Iterator[str]:
    """A sentence for each difference from a baseline in an official score: better, worse, or not told apart."""
    for level, rows in by_level(comparison).items():
        where = f" at {level}" if level else ""
        for row in rows[1:]:
            for score, words in SHOWN.items():
                if score in row.differences and (score != OFFICIAL_SUM or len(row.labels) > 1):
                    found = row.differences[score]
                    verdict = "better" if found.low > 0 else "worse" if found.high < 0 else "no different beyond chance"
                    yield f"{row.name} is {verdict} than {rows[0].name} in {words}{where}: {_signed(found)}"
    for row in comparison.rows:
        yield from (f"{row.name}: {warning}" for warning in row.warnings)
    if comparison.num_videos < 2:
        yield "One video validates, so there are no intervals, and nothing can be told apart from chance."
    if len(comparison.rows) == len(by_level(comparison)):
        yield "There is one experiment at each level, so nothing was compared within a level."


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"# {_title(comparison)}"
    yield ""
    yield from _about(comparison)
    for level, rows in by_level(comparison).items():
        yield ""
        if level:
            yield f"## {level}"
            yield ""
        yield f"| {' | '.join(HEADINGS)} |"
        yield "|---" * len(HEADINGS) + "|"
        for row in rows:
            yield f"| {' | '.join(cells(row))} |"
    yield ""
    yield from (f"- {verdict}" for verdict in verdicts(comparison))


def _title(comparison: Comparison) -> str:
    synthetic = " (synthetic: rendered people)" if comparison.is_synthetic else ""
    return f"Comparison {comparison.name} on {comparison.dataset}{synthetic}"


def _about(comparison: Comparison) -> list[str]:
    return [
        f"Official validation scores, pooled over all frames of {counted(comparison.num_videos, 'videos')}: the mean "
        f"over {counted(len(comparison.seeds), 'seeds')} with its 95 % interval over videos and seeds. Differences are "
        "from the first row, paired by video and seed, in the sum of the scores or, where a system answers fewer "
        "tasks, in one that both answer. With few videos or seeds, intervals are too narrow.",
        *comparison.notes,
    ]


def _signed(interval: Interval) -> str:
    if math.isnan(interval.low):
        return f"{interval.value:+.3f}"
    return f"{interval.value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _of(score: str) -> str:
    return "" if score == OFFICIAL_SUM else f"({SHOWN[score]})"

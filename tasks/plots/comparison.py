"""Pictures of a comparison: scores with their intervals, side by side and over levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.scores.intervals import Interval
from tasks.plots.figures import GUESS

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Those of Okabe and Ito, told apart by the colour-blind."""
_MARKERS = "os^Dv<>"


class Scored(Protocol):
    """An entry of a comparison."""

    @property
    def name(self) -> str: ...
    @property
    def scores(self) -> Mapping[str, Interval]: ...


Levels = Mapping[str, Sequence[Scored]]


def comparison_pictures(levels: Levels, scores: Mapping[str, str]) -> dict[str, Figure]:
    """By title: the scores with their intervals, and over the levels if there are several."""
    known = {score for rows in levels.values() for row in rows for score in row.scores}
    scores = {score: words for score, words in scores.items() if score in known}
    found = {"Scores": dots(levels, scores)}
    if len(levels) > 1:
        found["Scores by level"] = curves(levels, scores)
    return found


def dots(levels: Levels, scores: Mapping[str, str]) -> Figure:
    """Each entry's scores as dots with intervals, a column for each score; entries of a level stand together."""
    lines = [(level, row) for level, rows in levels.items() for row in rows]
    figure = Figure(figsize=(3.2 + 2.4 * len(scores), 1.2 + 0.34 * len(lines)), layout="constrained")
    all_axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for axes, (score, words) in zip(all_axes, scores.items(), strict=True):
        for place, (_, row) in enumerate(lines):
            if score in row.scores:
                found, colour = row.scores[score], _COLOURS[_number(row, levels) % len(_COLOURS)]
                axes.plot([found.low, found.high], [place, place], color=colour, linewidth=1.5)
                axes.plot(found.value, place, marker="o", color=colour)
        axes.set_title(words, loc="left", fontsize=10)
        axes.grid(axis="x", color=GUESS, linewidth=0.4)
    first: Axes = all_axes[0]
    first.set_yticks(range(len(lines)), [", ".join(filter(None, (row.name, level))) for level, row in lines])
    first.set_ylim(len(lines) - 0.5, -0.5)
    return figure


def curves(levels: Levels, scores: Mapping[str, str]) -> Figure:
    """Each entry's scores over the levels, with its intervals as a band."""
    figure = Figure(figsize=(3.6 * len(scores), 3.8), layout="constrained")
    all_axes = figure.subplots(1, len(scores), squeeze=False)[0]
    names = list(dict.fromkeys(row.name for rows in levels.values() for row in rows))
    for axes, (score, words) in zip(all_axes, scores.items(), strict=True):
        for number, name in enumerate(names):
            found = [
                (place, row.scores[score])
                for place, rows in enumerate(levels.values())
                for row in rows
                if row.name == name and score in row.scores
            ]
            if found:
                places, colour = [place for place, _ in found], _COLOURS[number % len(_COLOURS)]
                values = [interval.value for _, interval in found]
                axes.plot(places, values, color=colour, marker=_MARKERS[number % len(_MARKERS)], label=name)
                low, high = ([getattr(interval, end) for _, interval in found] for end in ("low", "high"))
                axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set_title(words, loc="left", fontsize=10)
        axes.set_xticks(range(len(levels)), list(levels), rotation=20, ha="right", fontsize=8)
        axes.grid(color=GUESS, linewidth=0.4)
    handles, labels = all_axes[0].get_legend_handles_labels()
    for axes in all_axes[1:]:
        more = zip(*axes.get_legend_handles_labels(), strict=True)
        for handle, label in more:
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False, fontsize=9)
    return figure


def _number(row: Scored, levels: Levels) -> int:
    names = list(dict.fromkeys(other.name for rows in levels.values() for other in rows))
    return names.index(row.name)

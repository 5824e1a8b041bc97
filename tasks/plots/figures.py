"""Pictures of labels, and what all pictures share. Letters: V levels of valence and of arousal, U action units."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from data.annotations.counts import LabelCounts

TRUTH, MODEL, GUESS = "#444444", "#1f77b4", "#bbbbbb"


def label_pictures(counts: LabelCounts) -> dict[str, Figure]:
    """Pictures of how labels are distributed, by title; of a task without labels there is none."""
    pictures = {}
    if counts.valence_arousal_VA.any():
        pictures["Valence and arousal"] = _valence_arousal(counts)
    if any(counts.expressions.values()):
        pictures["Expressions"] = _expressions(counts)
    if any(known for _, known in counts.action_units.values()):
        pictures["Action units"] = _action_unit_rates(counts)
        pictures["Action units together"] = _together(counts)
    return pictures


def png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()


def _valence_arousal(counts: LabelCounts) -> Figure:
    figure = Figure(figsize=(4.6, 3.9), layout="constrained")
    axes = figure.subplots()
    shown = np.ma.masked_equal(counts.valence_arousal_VA.T, 0)
    image = axes.imshow(shown, origin="lower", extent=(-1, 1, -1, 1), cmap="viridis", norm=LogNorm(vmin=1))
    axes.axhline(0, color=GUESS, linewidth=0.5)
    axes.axvline(0, color=GUESS, linewidth=0.5)
    axes.set(xlabel="valence", ylabel="arousal")
    figure.colorbar(image, ax=axes, label="labelled rows")
    return figure


def _expressions(counts: LabelCounts) -> Figure:
    return _bars({name: float(count) for name, count in counts.expressions.items()}, "labelled rows", "{:,.0f}")


def _action_unit_rates(counts: LabelCounts) -> Figure:
    shares = {name.upper(): active / known for name, (active, known) in counts.action_units.items() if known}
    return _bars(shares, "share of labelled rows where active", "{:.1%}")


def _bars(values: Mapping[str, float], label: str, style: str) -> Figure:
    """One bar per name, the first on top, with its value beside it."""
    figure = Figure(figsize=(4.6, 3.9), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(values), list(values.values()), color=MODEL)
    axes.bar_label(bars, [style.format(value) for value in values.values()], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.locator_params(axis="x", nbins=5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(xlabel=label)
    return figure


def _together(counts: LabelCounts) -> Figure:
    names = [name.upper() for name in counts.action_units]
    figure = Figure(figsize=(4.9, 3.9), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts.together_UU, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel="... this unit is active too, %", ylabel="where this unit is active ...")
    for (row, column), share in np.ndenumerate(counts.together_UU):
        if not np.isnan(share):
            colour = "white" if share > 0.6 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=7)
    return figure

"""Pictures of labels and of how good a model is: the only file with matplotlib. Letters: N frames."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data.label_counts import LabelCounts
from data.labels import EXPRESSIONS, Edition, action_unit_columns

Columns = Mapping[str, NDArray[np.float32]]
Timeline = tuple[NDArray[np.int64], Columns, Columns]
"""Of one track: frame indices, predictions, labels."""

TRUTH, MODEL, GUESS = "#444444", "#1f77b4", "#bbbbbb"


def confusion(predicted: Columns, truth: Columns, edition: Edition) -> Figure:
    """True against predicted expressions, as shares of each true one, with counts of frames."""
    names = EXPRESSIONS[edition]
    both_N = ~(np.isnan(predicted["expression"]) | np.isnan(truth["expression"]))
    counts = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(counts, (truth["expression"][both_N].astype(int), predicted["expression"][both_N].astype(int)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true", title=f"Expressions, {both_N.sum()} frames")
    for row, column in np.ndindex(counts.shape):
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=8)
    return figure


def action_unit_bars(scores: Mapping[str, float], guess: Mapping[str, float], edition: Edition) -> Figure:
    """F1 of each action unit, beside that of the constant guess."""
    columns = [name for name in action_unit_columns(edition) if f"f1_{name}" in scores]
    position = np.arange(len(columns))
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.bar(position - 0.2, [scores[f"f1_{name}"] for name in columns], 0.4, color=MODEL, label="model")
    axes.bar(position + 0.2, [guess.get(f"f1_{name}", 0) for name in columns], 0.4, color=GUESS, label="constant guess")
    axes.set_xticks(position, [name.upper() for name in columns])
    axes.set(ylim=(0, 1), ylabel="F1")
    axes.set_title("Action units", loc="left")
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def timelines(tracks: Mapping[str, Timeline]) -> Figure:
    """Valence and arousal over the frames of some tracks; frames that are not there are gaps in the lines."""
    figure = Figure(figsize=(10, 2.2 * len(tracks)), layout="constrained")
    axes = figure.subplots(len(tracks), 2, squeeze=False, sharey=True)
    for row, (track_id, (frame_index_N, predicted, truth)) in zip(axes, tracks.items(), strict=True):
        for axis, name in zip(row, ("valence", "arousal"), strict=True):
            axis.plot(_every_frame(frame_index_N, truth[name]), color=TRUTH, linewidth=1.5, label="label")
            axis.plot(_every_frame(frame_index_N, predicted[name]), color=MODEL, linewidth=1, label="model")
            axis.axhline(0, color=GUESS, linewidth=0.5)
            axis.set(ylim=(-1.05, 1.05), title=f"{track_id}: {name}", xlabel="frame")
    axes[0][0].legend(frameon=False, loc="upper right")
    return figure


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
    """A bar a name, the first on top, with its value beside it."""
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


def _every_frame(frame_index_N: NDArray[np.int64], values_N: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values by frame index from 0 on, NaN for frames that are not given: a line over them would be made up."""
    values = np.full(frame_index_N.max() + 1, np.nan, np.float32)
    values[frame_index_N] = values_N
    return values

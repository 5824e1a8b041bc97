"""Pictures of how good a model is: the only file with matplotlib. Letters: N frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

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


def _every_frame(frame_index_N: NDArray[np.int64], values_N: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values by frame index from 0 on, NaN for frames that are not given: a line over them would be made up."""
    values = np.full(frame_index_N.max() + 1, np.nan, np.float32)
    values[frame_index_N] = values_N
    return values

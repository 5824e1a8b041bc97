"""Pictures of how good a model is, over all frames. Letters: N frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data.labels import EXPRESSIONS, Edition, action_unit_columns
from model.scores.diagnostics import Reliability
from model.scores.intervals import Interval
from tasks.plots.figures import GUESS, MODEL, TRUTH

Columns = Mapping[str, NDArray[np.float32]]

SHOWN_FRAMES = 4000
"""Largest number of dots in a scatter plot, evenly sampled."""


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
    axes.set(xlabel="predicted", ylabel="true", title=f"Expressions, {both_N.sum():,} frames")
    for row, column in np.ndindex(counts.shape):
        colour = "white" if shares[row, column] > 0.6 else "black"
        text = f"{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8 if len(text) < 6 else 6)
    return figure


def action_unit_bars(
    scores: Mapping[str, float], intervals: Mapping[str, Interval], guess: Mapping[str, float], edition: Edition
) -> Figure:
    """F1 of each action unit with its interval, and that of a constant guess."""
    columns = [name for name in action_unit_columns(edition) if f"f1_{name}" in scores]
    position = np.arange(len(columns))
    values = [scores[f"f1_{name}"] for name in columns]
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.bar(position - 0.2, values, 0.4, color=MODEL, label="model")
    axes.bar(position + 0.2, [guess.get(f"f1_{name}", 0) for name in columns], 0.4, color=GUESS, label="constant guess")
    known = [(at, intervals[f"f1_{name}"]) for at, name in enumerate(columns) if f"f1_{name}" in intervals]
    for at, interval in known:
        axes.plot([at - 0.2] * 2, [interval.low, interval.high], color=TRUTH, linewidth=1.5, marker="_", markersize=6)
    axes.set_xticks(position, [name.upper() for name in columns])
    axes.set(ylim=(0, 1), ylabel="F1")
    axes.set_title("Action units" + (", with 95 % intervals over videos" if known else ""), loc="left", fontsize=10)
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), fontsize=9)
    return figure


def valence_arousal(predicted: Columns, truth: Columns, scores: Mapping[str, float]) -> Figure:
    """Above, predictions against labels; below, the distribution of both in the plane of valence and arousal."""
    figure = Figure(figsize=(7.6, 7.2), layout="compressed")
    above, below = figure.subplots(2, 2)
    for axes, name in zip(above, ("valence", "arousal"), strict=True):
        both = np.flatnonzero(~np.isnan(predicted[name]) & ~np.isnan(truth[name]))
        shown = both[:: max(1, -(-len(both) // SHOWN_FRAMES))]
        axes.plot([-1, 1], [-1, 1], color=GUESS, linewidth=0.8)
        axes.scatter(truth[name][shown], predicted[name][shown], s=4, color=MODEL, alpha=0.3, linewidths=0)
        ccc = f"{scores[f'ccc_{name}']:.3f}" if f"ccc_{name}" in scores else "not defined"
        axes.set_title(f"{name}: CCC {ccc}", fontsize=10)
        axes.set(xlabel="label", ylabel="model", xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
    counted_N = ~np.isnan(sum(side[name] for side in (predicted, truth) for name in ("valence", "arousal")))
    places = {title: _places(side, counted_N) for title, side in (("labels", truth), ("model", predicted))}
    norm = LogNorm(1, max(2, *(counts.max() for counts in places.values())))
    for axes, (title, counts) in zip(below, places.items(), strict=True):
        shown = np.ma.masked_equal(counts, 0)
        image = axes.imshow(shown, origin="lower", extent=(-1, 1, -1, 1), cmap="viridis", norm=norm)
        axes.axhline(0, color=GUESS, linewidth=0.5)
        axes.axvline(0, color=GUESS, linewidth=0.5)
        axes.set(xlabel="valence", ylabel="arousal")
        axes.set_title(f"{title}: {counted_N.sum():,} frames", fontsize=10)
    figure.colorbar(image, ax=below, shrink=0.8, label="frames")
    return figure


def reliability_diagrams(curves: Mapping[str, Reliability]) -> Figure:
    """Calibration: how often predictions of some probability are right. On the diagonal, probabilities are reliable."""
    num_columns = min(4, len(curves))
    num_rows = -(-len(curves) // num_columns)
    figure = Figure(figsize=(2.5 * num_columns, 2.5 * num_rows + 0.5), layout="constrained")
    panels = figure.subplots(num_rows, num_columns, squeeze=False, sharex=True, sharey=True)
    for axes, (name, curve) in zip(panels.flat, curves.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=GUESS, linewidth=0.8)
        axes.plot(curve.probability_B, curve.frequency_B, color=MODEL, linewidth=1)
        share_B = curve.count_B / max(curve.count_B.sum(), 1)
        axes.scatter(curve.probability_B, curve.frequency_B, s=8 + 120 * share_B, color=MODEL, zorder=3)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_title(f"{name}: ECE {curve.error:.3f}", fontsize=9)
    for empty in range(len(curves), panels.size):
        panels.flat[empty].axis("off")
        panels.flat[empty - num_columns].tick_params(labelbottom=True)
    figure.supxlabel("probability that the model gives", fontsize=9)
    figure.supylabel("how often it is so", fontsize=9)
    figure.suptitle("Reliability; larger dots hold more frames", fontsize=10)
    return figure


def _places(side: Columns, counted_N: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Number of frames in each cell of the plane; rows are arousal."""
    valence_N, arousal_N = side["valence"][counted_N], side["arousal"][counted_N]
    return np.histogram2d(arousal_N, valence_N, bins=40, range=[[-1, 1], [-1, 1]])[0]

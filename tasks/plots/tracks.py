"""Pictures of single tracks: a model's answers over time, and its worst frames. Letters: N frames."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from tasks.plots.figures import GUESS, MODEL, TRUTH

Columns = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Timeline:
    """Predictions and labels of some frames of a track; `usual_error` is half the width of the band around each."""

    frame_index_N: NDArray[np.int64]
    predicted: Columns
    truth: Columns
    usual_error: Mapping[str, float]


@dataclass(frozen=True)
class ShownFace:
    """A face with the text above and below it."""

    title: str
    text: str
    face_jpeg: bytes


def timelines(tracks: Mapping[str, Timeline]) -> Figure:
    """Valence and arousal over the frames of some tracks; missing frames are gaps in the lines."""
    figure = Figure(figsize=(10, 2.2 * len(tracks) + 0.5), layout="constrained")
    panels = figure.subplots(len(tracks), 2, squeeze=False, sharey=True)
    for row, (track_id, line) in zip(panels, tracks.items(), strict=True):
        for axes, name in zip(row, ("valence", "arousal"), strict=True):
            said_N = _every_frame(line.frame_index_N, line.predicted[name])
            off = line.usual_error.get(name, np.nan)
            axes.plot(_every_frame(line.frame_index_N, line.truth[name]), color=TRUTH, linewidth=1.5, label="label")
            axes.plot(said_N, color=MODEL, linewidth=1, label="model")
            band = "9 in 10 errors in other videos"
            if np.isfinite(off):
                frame_N = np.arange(len(said_N))
                axes.fill_between(frame_N, said_N - off, said_N + off, color=MODEL, alpha=0.15, linewidth=0, label=band)
            axes.axhline(0, color=GUESS, linewidth=0.5)
            axes.set(ylim=(-1.05, 1.05), xlabel="frame")
            axes.set_title(f"{track_id}: {name}", fontsize=10)
    lines, names = panels[0][0].get_legend_handles_labels()
    figure.legend(lines, names, frameon=False, loc="outside upper center", ncols=3, fontsize=9)
    return figure


def contact_sheet(rows: Mapping[str, Sequence[ShownFace]]) -> Figure:
    """Faces in rows, each row with its heading; a row may be shorter than the longest."""
    num_columns = max(len(faces) for faces in rows.values())
    figure = Figure(figsize=(1.75 * num_columns, 2.9 * len(rows)), layout="constrained")
    bands = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for band, (heading, faces) in zip(bands, rows.items(), strict=True):
        band.suptitle(heading, fontsize=10, x=0.01, ha="left")
        for column, axes in enumerate(band.subplots(1, num_columns, squeeze=False).flat):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if column < len(faces):
                axes.imshow(imread(io.BytesIO(faces[column].face_jpeg), format="jpeg"))
                axes.set_title(faces[column].title, fontsize=8)
                axes.set_xlabel(faces[column].text, fontsize=7)
    return figure


def _every_frame(frame_index_N: NDArray[np.int64], values_N: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values by frame index from 0 on, NaN for missing frames, so that no line is drawn across them."""
    values = np.full(frame_index_N.max() + 1, np.nan, np.float32)
    values[frame_index_N] = values_N
    return values

"""Draws the pictures of an evaluation and logs them to the model's run. Letters: N frames, T tracks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.batches.face_samples import faces_at
from data.batches.labelled_frames import LabelledFrames
from data.labels import EXPRESSIONS, Edition, action_unit_columns
from model.inference import Predictions
from model.scores.diagnostics import Reliability, expression_reliability, frame_errors, reliability, usual_error, worst
from tasks.plots.scores import action_unit_bars, confusion, reliability_diagrams, valence_arousal
from tasks.plots.tracks import ShownFace, Timeline, contact_sheet, timelines
from tasks.scoring.result import Evaluation
from tasks.tracking import runs

SHOWN_TRACKS = 4
"""Number of timelines, and of rows of faces."""
SHOWN_FACES = 6
"""Number of frames shown per track, at least `APART` frames from each other."""
APART = 12

Truth = dict[str, NDArray[np.float32]]


def log_pictures(
    evaluation: Evaluation, frames: LabelledFrames, predicted: Predictions, video_N: NDArray[np.int64], store: Path
) -> None:
    """Logs the pictures of the tasks that have labels."""
    folder = f"plots/{evaluation.dataset}-{evaluation.split}"
    for name, figure in pictures(evaluation, frames, predicted, video_N).items():
        runs.log_figure(store, evaluation.model.run_id, f"{folder}/{name}.png", figure)


def pictures(
    evaluation: Evaluation, frames: LabelledFrames, predicted: Predictions, video_N: NDArray[np.int64]
) -> dict[str, Any]:
    """The pictures of the tasks that have labels, by name."""
    truth, edition, scores = frames.truth(), frames.edition, evaluation.scores
    found: dict[str, Any] = {"worst_tracks": contact_sheet(_worst_tracks(frames, predicted, truth))}
    if "expression" in scores:
        found["confusion"] = confusion(predicted, truth, edition)
    if "action_units" in scores:
        guess = evaluation.constant_guess
        found["action_units"] = action_unit_bars(scores, evaluation.intervals, guess, edition)
    if "ccc" in scores:
        found["valence_arousal"] = valence_arousal(predicted, truth, scores)
        found["timelines"] = timelines(_timelines(frames, predicted, truth, video_N))
    curves = _curves(predicted, truth, edition)
    if curves:
        found["reliability"] = reliability_diagrams(curves)
    return found


def _curves(predicted: Predictions, truth: Truth, edition: Edition) -> dict[str, Reliability]:
    curves = {"expression": expression_reliability(predicted, truth, edition)}
    curves |= {name.upper(): reliability(predicted[name], truth[name]) for name in action_unit_columns(edition)}
    return {name: curve for name, curve in curves.items() if curve.count_B.any()}


def _timelines(
    frames: LabelledFrames, predicted: Predictions, truth: Truth, video_N: NDArray[np.int64]
) -> dict[str, Timeline]:
    """The timelines of the first `SHOWN_TRACKS` tracks with valence labels."""
    shown: dict[str, Timeline] = {}
    for track_index in np.unique(frames.track_index_N):
        row_N = np.flatnonzero(frames.track_index_N == track_index)
        if len(shown) < SHOWN_TRACKS and not np.isnan(truth["valence"][row_N]).all():
            said, labelled = ({name: column[row_N] for name, column in side.items()} for side in (predicted, truth))
            usual = {
                name: usual_error(predicted[name] - truth[name], video_N, int(video_N[row_N[0]]))
                for name in ("valence", "arousal")
            }
            shown[frames.track_ids[track_index]] = Timeline(frames.frame_index_N[row_N], said, labelled, usual)
    return shown


def _worst_tracks(frames: LabelledFrames, predicted: Predictions, truth: Truth) -> dict[str, list[ShownFace]]:
    """The tracks with the highest mean error, each with its worst frames."""
    error_N = frame_errors(predicted, truth, frames.edition)
    tracks = np.unique(frames.track_index_N)
    mean_T = np.array([np.nanmean(error_N[frames.track_index_N == track]) for track in tracks])
    rows = {}
    for position in np.argsort(-mean_T, kind="stable")[:SHOWN_TRACKS]:
        row_N = np.flatnonzero(frames.track_index_N == tracks[position])
        chosen = row_N[worst(error_N[row_N], frames.frame_index_N[row_N], SHOWN_FACES, APART)]
        heading = f"{frames.track_ids[tracks[position]]}: mean error {mean_T[position]:.3f}, {len(row_N):,} frames"
        rows[heading] = _faces(frames, sorted(chosen), error_N, predicted, truth)
    return rows


def _faces(
    frames: LabelledFrames, chosen: list[Any], error_N: NDArray[np.float64], predicted: Predictions, truth: Truth
) -> list[ShownFace]:
    row_of = {int(frames.frame_index_N[row]): int(row) for row in chosen}
    file = frames.faces_files[frames.track_index_N[chosen[0]]]
    return [
        ShownFace(
            f"frame {face.frame_index}, error {error_N[row_of[face.frame_index]]:.2f}",
            "\n".join(
                f"{who}: {_in_words(side, row_of[face.frame_index], frames.edition)}"
                for who, side in (("label", truth), ("model", predicted))
            ),
            face.face_jpeg,
        )
        for face in faces_at(file, sorted(row_of))
    ]


def _in_words(side: Truth, row: int, edition: Edition) -> str:
    """Text such as `happiness, +0.5 +0.2, AU 6 12`; a dash for missing values."""
    expression, valence, arousal = (side[name][row] for name in ("expression", "valence", "arousal"))
    name = "-" if np.isnan(expression) else EXPRESSIONS[edition][int(expression)]
    place = "-" if np.isnan(valence) or np.isnan(arousal) else f"{valence:+.2f} {arousal:+.2f}"
    units = {unit.removeprefix("au"): side[unit][row] for unit in action_unit_columns(edition)}
    active = " ".join(unit for unit, value in units.items() if value > 0.5) or "none"
    return f"{name}, {place}\nAU {'-' if np.isnan(list(units.values())).all() else active}"

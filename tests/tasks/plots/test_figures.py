"""What pictures show, read back from the figures."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from support.little_store import face, jpeg

from data.labels import EXPRESSIONS, Edition, action_unit_columns
from model.scores.diagnostics import reliability
from model.scores.intervals import Interval
from tasks.plots.figures import png
from tasks.plots.scores import action_unit_bars, confusion, reliability_diagrams, valence_arousal
from tasks.plots.tracks import ShownFace, Timeline, contact_sheet, timelines

EDITION = Edition.ABAW_2020


def test_frames_that_are_not_there_are_gaps_in_a_timeline() -> None:
    columns = {name: np.array([0.1, 0.2, 0.3], np.float32) for name in ("valence", "arousal")}
    line = Timeline(np.array([0, 1, 4]), columns, columns, {"valence": 0.25})
    figure = timelines({"107": line})
    label = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(np.isnan(np.asarray(label, float)), [False, False, True, True, False])
    (band,) = figure.axes[0].collections
    assert band.get_datalim(figure.axes[0].transData).intervaly == pytest.approx([0.1 - 0.25, 0.3 + 0.25])
    assert not figure.axes[1].collections
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["label", "model", "9 in 10 errors in other videos"]


def test_the_confusion_counts_frames_with_both_a_label_and_a_prediction() -> None:
    truth = {"expression": np.array([4, 4, np.nan, 0], np.float32)}
    predicted = {"expression": np.array([4, 0, 4, np.nan], np.float32)}
    axes = confusion(predicted, truth, EDITION).axes[0]
    counts = np.array([int(text.get_text()) for text in axes.texts]).reshape(7, 7)
    assert (counts[4, 4], counts[4, 0], counts.sum()) == (1, 1, 2)


def test_only_units_with_a_score_have_a_bar_and_their_interval() -> None:
    scores, guess = {"f1_au12": 0.8, "f1_au25": 0.5}, {"f1_au12": 0.2}
    axes = action_unit_bars(scores, {"f1_au12": Interval(0.8, 0.7, 0.85)}, guess, EDITION).axes[0]
    assert [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)] == [0.8, 0.5, 0.2, 0]
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [[0.7, 0.85]]
    assert "95 %" not in action_unit_bars(scores, {}, guess, EDITION).axes[0].get_title(loc="left")


def test_valence_and_arousal_are_shown_where_label_and_prediction_both_are() -> None:
    truth = {"valence": np.array([0.11, np.nan, -0.5]), "arousal": np.array([0.21, 0.3, np.nan])}
    predicted = {"valence": np.array([0.31, 0.4, -0.4]), "arousal": np.array([0.01, 0.1, 0.2])}
    figure = valence_arousal(predicted, truth, {"ccc_valence": 0.9})
    assert np.asarray(figure.axes[0].collections[0].get_offsets()).tolist() == [[0.11, 0.31], [-0.5, -0.4]]
    assert figure.axes[0].get_title() == "valence: CCC 0.900"
    assert figure.axes[1].get_title() == "arousal: CCC not defined"
    labels, model = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[2:4])
    assert (labels.sum(), model.sum()) == (1, 1)
    # rows are arousal, columns valence, each 0.05 wide
    assert (labels[24, 22], model[20, 26]) == (1, 1)


def test_every_curve_says_its_calibration_error() -> None:
    curve = reliability(np.array([0.25, 0.25, 0.75]), np.array([0, 1, 1]))
    figure = reliability_diagrams(dict.fromkeys(("expression", "AU1", "AU2", "AU4", "AU6"), curve))
    assert figure.axes[0].get_title() == f"expression: ECE {curve.error:.3f}"
    drawn = np.asarray(figure.axes[0].lines[1].get_xydata())
    assert drawn[~np.isnan(drawn).any(axis=1)].tolist() == [[0.25, 0.5], [0.75, 1]]
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False] * 3


def test_faces_stand_in_rows_with_their_words() -> None:
    crop = jpeg(face(200))
    rows = {"107: mean error 0.5": [ShownFace("frame 3", "label: fear", crop)] * 2, "108": [ShownFace("f", "t", crop)]}
    figure = contact_sheet(rows)
    panels = [axes for band in figure.subfigs for axes in band.axes]
    assert [len(axes.images) for axes in panels] == [1, 1, 1, 0]
    assert (panels[0].get_title(), panels[0].get_xlabel()) == ("frame 3", "label: fear")
    assert np.asarray(panels[0].images[0].get_array()).shape == (112, 112, 3)
    assert png(figure).startswith(b"\x89PNG")


def test_units_and_expressions_of_every_edition_fit() -> None:
    for edition in Edition:
        nothing = {"expression": np.array([np.nan], np.float32)}
        assert len(confusion(nothing, nothing, edition).axes[0].texts) == len(EXPRESSIONS[edition]) ** 2
        scores = {f"f1_{name}": 0.5 for name in action_unit_columns(edition)}
        assert len(action_unit_bars(scores, {}, {}, edition).axes[0].patches) == 2 * len(scores)

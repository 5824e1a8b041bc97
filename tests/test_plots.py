from __future__ import annotations

import numpy as np

from data.labels import Edition
from tasks.plots import action_unit_bars, confusion, timelines


def test_frames_that_are_not_there_are_gaps_in_a_timeline() -> None:
    columns = {name: np.array([0.1, 0.2, 0.3], np.float32) for name in ("valence", "arousal")}
    figure = timelines({"107": (np.array([0, 1, 4]), columns, columns)})
    label = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(np.isnan(np.asarray(label, float)), [False, False, True, True, False])


def test_the_confusion_counts_frames_with_both_a_label_and_a_prediction() -> None:
    truth = {"expression": np.array([4, 4, np.nan, 0], np.float32)}
    predicted = {"expression": np.array([4, 0, 4, np.nan], np.float32)}
    axes = confusion(predicted, truth, Edition.ABAW_2020).axes[0]
    counts = np.array([int(text.get_text()) for text in axes.texts]).reshape(7, 7)
    assert (counts[4, 4], counts[4, 0], counts.sum()) == (1, 1, 2)


def test_only_units_with_a_score_have_a_bar() -> None:
    axes = action_unit_bars({"f1_au12": 0.8, "f1_au25": 0.5}, {"f1_au12": 0.2}, Edition.ABAW_2020).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [0.8, 0.5, 0.2, 0]

"""Tallies come back from JSON as they were."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from data.labels import EXPRESSIONS, Edition, Task, action_unit_columns
from model.scores.intervals import intervals
from model.scores.kept import from_json, to_json
from model.scores.tallies import Tallies, tally

EDITION = Edition.ABAW_2021


def _tallies(*tasks: Task) -> Tallies:
    rng = np.random.default_rng(0)
    truth = {name: rng.uniform(-1, 1, 60) for name in ("valence", "arousal")}
    truth["expression"] = rng.integers(0, len(EXPRESSIONS[EDITION]), 60).astype(float)
    truth |= {name: (rng.random(60) < 0.4).astype(float) for name in action_unit_columns(EDITION)}
    predicted = {name: np.roll(column, 1) for name, column in truth.items()}
    groups = ("a", "b", "c")
    return tally(predicted, truth, EDITION, group_N=np.arange(60) // 20, groups=groups, people=groups, tasks=tasks)


@pytest.mark.parametrize("tasks", [tuple(Task), (Task.EXPR,), (Task.VA,), (Task.AU,)])
def test_tallies_survive_json(tasks: tuple[Task, ...]) -> None:
    tallies = _tallies(*tasks)
    read = from_json(json.loads(json.dumps(to_json(tallies))))
    assert intervals(read) == intervals(tallies)
    assert replace(read, moments={}, expressions=None, units=None) != tallies
    assert (read.edition, read.groups, read.people) == (tallies.edition, tallies.groups, tallies.people)

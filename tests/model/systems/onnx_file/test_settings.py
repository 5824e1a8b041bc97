"""Descriptions of foreign networks: what is wrong with one is said, and those of the project are right."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from data.labels import ACTION_UNITS, Edition, Task
from model.systems.onnx_file.settings import OnnxSettings
from tasks.training.elsewhere import SPECS, read_spec

EXPRESSION = {"columns": [0, 1], "names": ["neutral", "anger"]}


@pytest.mark.parametrize("name", [path.stem for path in sorted(SPECS.glob("*.toml"))])
def test_the_descriptions_of_the_project_can_be_read(name: str) -> None:
    settings = read_spec(name)
    assert Task.EXPR in settings.tasks
    assert settings.input.colours == "rgb"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"expected at least one of \[valence_arousal\], \[expression\] and \[action_units\]"),
        ({"valence_arousal": {"columns": [0]}}, "valence_arousal.columns: expected two, found 1"),
        (
            {"expression": {"columns": [0, 1], "names": ["neutral"]}},
            "expected one for each of 2 columns, found 1",
        ),
        ({"expression": {"columns": [0, 1], "names": ["anger", "anger"]}}, "names: one is given twice: anger, anger"),
        ({"expression": {"columns": [0, 1], "names": ["neutral", "contempt"]}}, "or -, found contempt"),
        ({"edition": "2020", "expression": {"columns": [0], "names": ["other"]}}, "or -, found other"),
        (
            {"edition": "2020", "action_units": {"columns": [0], "names": ["au1"]}},
            "action_units.names: expected au1, au2, au4, au6, au12, au15, au20, au25 of edition 2020, found au1",
        ),
        ({"expression": EXPRESSION, "input": {"mean": [1, 2]}}, "mean: expected 1 or 3 numbers for rgb"),
        ({"expression": EXPRESSION, "input": {"scale": [0]}}, "scale: expected numbers other than 0"),
        (
            {"expression": EXPRESSION, "input": {"colours": "grey", "mean": [1, 2, 3]}},
            "1 or 1 numbers for grey",
        ),
    ],
)
def test_a_wrong_description_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OnnxSettings.model_validate(values)


def test_the_tasks_are_those_with_columns() -> None:
    assert OnnxSettings.model_validate({"expression": EXPRESSION}).tasks == (Task.EXPR,)
    names = [f"au{unit}" for unit in ACTION_UNITS[Edition.ABAW_2022]]
    both = {"valence_arousal": {"columns": [1, 0]}, "action_units": {"columns": list(range(12)), "names": names}}
    assert OnnxSettings.model_validate(both).tasks == (Task.VA, Task.AU)

"""The vocabulary of Aff-Wild2: editions, tasks, splits, expressions and action units, as data."""

from __future__ import annotations

from enum import StrEnum


class Edition(StrEnum):
    """A release of the annotations. Labels changed between releases, so it is stored with every label."""

    ABAW_2020 = "2020"
    ABAW_2021 = "2021"
    ABAW_2022 = "2022"


class Task(StrEnum):
    VA = "va"
    EXPR = "expr"
    AU = "au"


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    """In a list of the challenge's test set: has faces and predictions, but no labels."""
    HELD_OUT = "held_out"
    """In the official training split, but trains nothing here, because another task holds out the same video."""


_SEVEN = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")

ALL_EXPRESSIONS = (*_SEVEN, "other")
"""Every expression of any edition; an expression's index is its class number in the files."""

EXPRESSIONS: dict[Edition, tuple[str, ...]] = {
    Edition.ABAW_2020: _SEVEN,
    Edition.ABAW_2021: _SEVEN,
    Edition.ABAW_2022: ALL_EXPRESSIONS,
}

ACTION_UNITS: dict[Edition, tuple[int, ...]] = {
    Edition.ABAW_2020: (1, 2, 4, 6, 12, 15, 20, 25),
    Edition.ABAW_2021: (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26),
    Edition.ABAW_2022: (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26),
}
"""FACS numbers in the order of the annotation files' columns."""

ACTION_UNIT_NAMES = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    6: "cheek raiser",
    7: "lid tightener",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
}
"""The names of all units in FACS."""

ALL_ACTION_UNITS = tuple(sorted({unit for units in ACTION_UNITS.values() for unit in units}))


def action_unit_column(unit: int) -> str:
    """The name of a unit everywhere: in Parquet, SQL and metrics (`au12`)."""
    return f"au{unit}"


def action_unit_columns(edition: Edition) -> tuple[str, ...]:
    """The columns of an edition's action units, in the order of its files."""
    return tuple(action_unit_column(unit) for unit in ACTION_UNITS[edition])


def task_columns(edition: Edition) -> dict[Task, tuple[str, ...]]:
    """The columns of each task's labels, in the order of its files."""
    return {Task.VA: ("valence", "arousal"), Task.EXPR: ("expression",), Task.AU: action_unit_columns(edition)}

"""Writes a track's annotations in the format of Aff-Wild2's edition 2020, and the ground truth they are made from.

Letters: F frames, N rows of a file, U action units of the edition.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.labels import ACTION_UNITS, Split, Task
from data.sample.acting import EDITION, EXPRESSION_NAMES, Performance
from data.sample.curves import Floats
from data.sample.head import UNITS
from data.sample.plan import ClipPlan, Scarcity

_TASK_FOLDERS = {Task.VA: "VA_Set", Task.EXPR: "EXPR_Set", Task.AU: "AU_Set"}
_SPLIT_FOLDERS = {Split.TRAIN: "Training_Set", Split.VALIDATION: "Validation_Set"}
_NO_VALENCE_AROUSAL = "-5"
_NO_CLASS = "-1"


@dataclass(frozen=True, eq=False)
class TrackTruth:
    """The labels of one person in every frame, with `box_F4` (x, y, w, h in px, may extend beyond the picture) and
    whether enough of the face is in the picture to count as visible.
    """

    track_id: str
    performance: Performance
    box_F4: Floats
    visible_F: NDArray[np.bool_]


def write_annotations(root: Path, plan: ClipPlan, truth: TrackTruth, rng: np.random.Generator) -> None:
    """Writes the files of all tasks that the plan assigns to a track.

    Rows without a visible face, and some others at random, have the data set's marks for missing labels: -5 for valence
    and arousal, -1 for expression and action units.
    """
    tables = {Task.VA: _valence_arousal, Task.EXPR: _expression, Task.AU: _action_units}
    for task, table in tables.items():
        header, cells_FK, missing = table(truth)
        cells_FK[~truth.visible_F] = missing
        _lose_some(cells_FK, missing, rng)
        if plan.split is Split.TRAIN:
            # a separate generator, so that the other random numbers are the same with and without it
            withhold(cells_FK, missing, task, plan.scarcity, rng.spawn(1)[0])
        if task is not plan.without:
            rows = [",".join(cells) for cells in [*cells_FK, *cells_FK[-1:].repeat(plan.extra_rows, 0)]]
            folder = root / _TASK_FOLDERS[task] / _SPLIT_FOLDERS[plan.split]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{truth.track_id}.txt").write_text("\n".join([header, *rows]) + "\n")


_Table = tuple[str, NDArray[np.str_], str]
"""A header, the cells, and the mark of a missing one."""


def _valence_arousal(truth: TrackTruth) -> _Table:
    cells = np.array([[f"{value:.3f}" for value in row] for row in truth.performance.valence_arousal.tolist()])
    return "valence,arousal", cells, _NO_VALENCE_AROUSAL


def _expression(truth: TrackTruth) -> _Table:
    names = ",".join(name.capitalize() for name in EXPRESSION_NAMES)
    return names, truth.performance.expression.astype(str)[:, None], _NO_CLASS


def _action_units(truth: TrackTruth) -> _Table:
    units = ACTION_UNITS[EDITION]
    cells = np.stack([truth.performance.present(unit).astype(int).astype("U2") for unit in units], 1)
    return ",".join(f"AU{unit}" for unit in units), cells, _NO_CLASS


def _lose_some(cells_FK: NDArray[np.str_], missing: str, rng: np.random.Generator) -> None:
    """In half of the files one column lacks its label for a short while, as annotators sometimes left it."""
    num_frames, num_columns = cells_FK.shape
    start, column = int(rng.integers(num_frames)), int(rng.integers(num_columns))
    if rng.random() < 0.5:
        cells_FK[start : start + max(1, num_frames // 20), column] = missing


def withhold(
    cells_FK: NDArray[np.str_], missing: str, task: Task, scarcity: Scarcity, rng: np.random.Generator
) -> None:
    """Removes labels of a task from its cells, as specified by `Scarcity`."""
    if scarcity.imbalance > 1 and task is not Task.VA:
        classes = [str(number) for number in range(len(EXPRESSION_NAMES))] if task is Task.EXPR else ["1"]
        ranks = len(classes) * cells_FK.shape[1]
        kept_R = (scarcity.imbalance ** -(np.arange(ranks) / (ranks - 1))).reshape(len(classes), -1)
        for name, kept_K in zip(classes, kept_R, strict=True):
            cells_FK[(cells_FK == name) & (rng.random(cells_FK.shape) > kept_K)] = missing
    if scarcity.missing:
        cells_FK[rng.random(len(cells_FK)) < scarcity.missing] = missing


def write_truth(folder: Path, truth: TrackTruth) -> None:
    """Writes `<track_id>.csv`: for every frame the true box and the values before any threshold or missing label."""
    act = truth.performance
    names = ["frame_index", "visible", "x", "y", "w", "h", "valence", "arousal", "expression"]
    columns = [
        np.arange(len(truth.visible_F)),
        truth.visible_F,
        *truth.box_F4.T,
        *act.valence_arousal.T,
        act.expression,
        *act.units_FU.T,
    ]
    formats = ["%d", "%d", *["%.1f"] * 4, *["%.3f"] * 2, "%d", *["%.3f"] * len(UNITS)]
    header = ",".join([*names, *(f"au{unit}" for unit in UNITS)])
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / f"{truth.track_id}.csv", np.stack(columns, 1), formats, ",", header=header, comments="")

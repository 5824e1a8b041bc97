"""Labels that are missing or very unequal: how the sample withholds them, and that training copes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.little_store import face, jpeg, label, write_labels, write_track

from data.batches.labelled_frames import LabelledFrames, labelled_frames
from data.labels import Edition, Split, Task
from data.sample.acting import EXPRESSION_NAMES, Performance
from data.sample.annotations import TrackTruth, withhold, write_annotations
from data.sample.curves import floats
from data.sample.head import UNITS
from data.sample.plan import Scarcity, plan_clip
from model.scores.metrics import constant_guess
from model.systems.mtanet.method import METHOD
from model.systems.mtanet.settings import Architecture
from model.training.learning import ExpressionBalance, Learning
from model.training.loop import train

pytestmark = pytest.mark.slow

NAN = math.nan
HUNDREDFOLD = Scarcity(missing=0.6, imbalance=100.0)


def _cells(values: NDArray[np.int64]) -> NDArray[np.str_]:
    return values.astype("U2")


def test_each_expression_keeps_its_share_of_labels_down_to_a_hundredth() -> None:
    cells = _cells(np.repeat(np.arange(7), 20_000)[:, None])
    withhold(cells, "-1", Task.EXPR, Scarcity(imbalance=100), np.random.default_rng(1))
    kept = np.array([(cells == str(number)).sum() for number in range(7)]) / 20_000
    assert kept == pytest.approx(100.0 ** (-np.arange(7) / 6), rel=0.25)
    assert (cells == "-1").sum() == 140_000 - round(kept.sum() * 20_000)


def test_each_unit_keeps_its_share_of_yes_and_every_no() -> None:
    cells = _cells(np.tile([[0], [1]], (20_000, 8)))
    withhold(cells, "-1", Task.AU, Scarcity(imbalance=100), np.random.default_rng(1))
    assert (cells == "0").sum(0).tolist() == [20_000] * 8
    assert (cells == "1").sum(0) / 20_000 == pytest.approx(100.0 ** (-np.arange(8) / 7), rel=0.25)


@pytest.mark.parametrize("task", list(Task))
def test_a_missing_label_takes_its_whole_row(task: Task) -> None:
    cells = _cells(np.ones((20_000, 8), dtype=np.int64))
    withhold(cells, "-1", task, Scarcity(missing=0.6), np.random.default_rng(1))
    rows_missing = (cells == "-1").all(1)
    assert rows_missing.mean() == pytest.approx(0.6, abs=0.05)
    assert (cells[~rows_missing] == "1").all()


def _annotations(root: Path, index: int, scarcity: Scarcity) -> dict[str, list[str]]:
    """Of one clip in which everybody is seen all the time and smiles."""
    plan = plan_clip(index, seconds=4, seed=3, scarcity=scarcity)
    num_frames = plan.num_frames
    units_FU = np.zeros((num_frames, len(UNITS)), np.float32)
    units_FU[:, UNITS.index(25)] = 1
    smile_FE = np.zeros((num_frames, len(EXPRESSION_NAMES)), np.float32)
    smile_FE[:, EXPRESSION_NAMES.index("happiness")] = 1
    acted = Performance(units_FU, smile_FE, *[floats(np.zeros(num_frames))] * 5)
    truth = TrackTruth(plan.track_ids[0], acted, floats(np.zeros((num_frames, 4))), np.ones(num_frames, dtype=bool))
    write_annotations(root, plan, truth, np.random.default_rng(9))
    return {path.parent.parent.name: path.read_text().splitlines() for path in root.rglob("*.txt")}


def test_training_lacks_labels_validation_does_not_and_the_rest_is_as_without(tmp_path: Path) -> None:
    training, validation = 0, 2
    full, scarce = (
        _annotations(tmp_path / name, training, scarcity)
        for name, scarcity in (("full", Scarcity()), ("scarce", HUNDREDFOLD))
    )
    for folder, lines in scarce.items():
        assert len(lines) == len(full[folder])
        changed = [(line, was) for line, was in zip(lines, full[folder], strict=True) if line != was]
        assert len(changed) > 0.5 * len(lines)
        for line, was in changed:
            pairs = zip(line.split(","), was.split(","), strict=True)
            assert all(cell in (before, "-1", "-5") for cell, before in pairs)
    assert _annotations(tmp_path / "v1", validation, Scarcity()) == _annotations(
        tmp_path / "v2", validation, HUNDREDFOLD
    )


def _scarce_store(folder: Path) -> tuple[LabelledFrames, LabelledFrames]:
    """Labels follow the brightness, as in `learnable_store`; the brighter, the rarer; six in ten are missing."""
    rng = np.random.default_rng(4)
    files, rows = [], []
    for track, split in enumerate((Split.TRAIN, Split.TRAIN, Split.TRAIN, Split.VALIDATION)):
        levels = rng.permutation(np.arange(140) * 245 // 140)
        files.append(write_track(folder, f"video{track}", 140, crops={i: jpeg(face(v)) for i, v in enumerate(levels)}))
        affect = np.stack([levels / 125 - 1, 1 - levels / 125], axis=1).astype("U6")
        expression = _cells(levels[:, None] // 35)
        units = _cells((levels[:, None] > 125).repeat(8, 1).astype(np.int64))
        if split is Split.TRAIN:
            for task, cells in ((Task.VA, affect), (Task.EXPR, expression), (Task.AU, units)):
                withhold(cells, "-9", task, HUNDREDFOLD, rng)
        rows += [
            label(
                f"video{track}",
                frame,
                split=split.value,
                **_known(valence=affect[frame, 0], arousal=affect[frame, 1], expression=expression[frame, 0]),
                **_known(
                    **dict(zip((f"au{unit}" for unit in (1, 2, 4, 6, 12, 15, 20, 25)), units[frame], strict=True))
                ),
            )
            for frame in range(140)
        ]
    labels = write_labels(folder / "labels.parquet", rows)
    training, validation = (
        labelled_frames(files, labels, split=split, edition=Edition.ABAW_2020)
        for split in (Split.TRAIN, Split.VALIDATION)
    )
    return training, validation


def _known(**cells: str) -> dict[str, float | bool]:
    values = {name: float(cell) for name, cell in cells.items() if cell != "-9"}
    return {name: bool(value) if name.startswith("au") else value for name, value in values.items()}


@pytest.mark.parametrize("expression_balance", ["none", "logit_adjustment"])
def test_training_on_scarce_labels_is_finite_and_better_than_a_guess(
    tmp_path: Path, expression_balance: ExpressionBalance
) -> None:
    torch.set_num_threads(1)
    training, validation = _scarce_store(tmp_path)
    recipe = Learning(epochs=10, batch_size=16, optimiser="adamw", learning_rate=3e-3, seed=1)
    if expression_balance != "none":
        recipe = recipe.but(balance=0.5, action_unit_weight=10.0, label_smoothing=0.05, gradient_clip=1.0)
        recipe = recipe.but(expression_balance=expression_balance)
    tiny = Architecture(layers=(1, 1, 1, 1), width=8, neck=8, dropout=0.1)
    records = list(train(tmp_path / "model", training, validation, method=METHOD, architecture=tiny, learning=recipe))
    assert all(math.isfinite(value) for record in records for value in record.values())
    guess = constant_guess(training.truth(), validation.truth(), Edition.ABAW_2020)
    last = records[-1]
    assert last["validation/ccc"] > 0.6
    assert last["validation/expression_macro_f1"] > 2 * guess["expression_macro_f1"]
    assert last["validation/action_units_accuracy"] > 0.7

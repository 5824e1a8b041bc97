"""What is compared, from what a user types."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.comparison.entries import entries_of
from tasks.experiments import mtanet_experiment


def test_experiments_have_settings_for_all_and_settings_of_their_own() -> None:
    entries = entries_of(["sample", "sample:train.width=8:train.neck=16"], settings=["train.epochs=2"])
    assert [entry.name for entry in entries] == ["sample", "sample:train.width=8:train.neck=16"]
    first, second = (mtanet_experiment(entry.experiment).train for entry in entries)
    assert (first.width, first.epochs) == (16, 2)
    assert (second.width, second.neck, second.epochs) == (8, 16, 2)


def test_a_setting_that_varies_gives_a_level_for_each_value_at_which_all_are_compared() -> None:
    entries = entries_of(["sample", "sample_expr_cnn"], "train.corruption.wrong_expressions=0,0.4")
    assert [(entry.level, entry.name) for entry in entries] == [
        ("wrong_expressions 0", "sample"),
        ("wrong_expressions 0", "sample_expr_cnn"),
        ("wrong_expressions 0.4", "sample"),
        ("wrong_expressions 0.4", "sample_expr_cnn"),
    ]
    assert [entry.experiment.train.corruption.wrong_expressions for entry in entries] == [0, 0, 0.4, 0.4]


@pytest.mark.parametrize(
    ("experiments", "vary", "message"),
    [
        (["sample"], "", "expected at least two experiments, or one and several values"),
        (["sample", "sample"], "", "sample: given twice"),
        (["sample", "smaple"], "", "no experiment 'smaple'"),
        (["sample", "sample:train.epohcs=3"], "", "did you mean train.epochs"),
        (["sample"], "train.epochs", "--vary train.epochs: expected <setting>=<value>,<value>"),
        (["sample", "sample_expr_cnn"], "train.width=8,16", "train.width: no such setting"),
        (["sample", "paper"], "", r"paper and sample have different data \(\[sample\] or \[ingest\]\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(experiments: list[str], vary: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        entries_of(experiments, vary)


def test_an_experiment_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[sample]\n[train]\nepochs = 2\n")
    found = entries_of([str(path), f"{path}:train.epochs=3"])
    assert [mtanet_experiment(entry.experiment).train.epochs for entry in found] == [2, 3]

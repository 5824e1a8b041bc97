"""A comparison trains what is missing, once, and its table, page and rows agree."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.little_store import little_dataset

from data.store.catalogue import Dataset
from data.warehouse.answers import query
from data.warehouse.views import publish
from tasks.comparison.engine import run_comparison
from tasks.comparison.entries import Entry
from tasks.comparison.result import read_comparison
from tasks.config import SYSTEM_EXPERIMENTS, Experiment, MachineConfig
from tasks.experiments import with_settings
from tasks.tracking import runs

pytestmark = pytest.mark.slow
SMALL = ("train.epochs=1", "train.batch_size=24")


@pytest.fixture
def dataset(mlflow_store: Path) -> Dataset:
    return little_dataset(mlflow_store)


def _entries(*, noise: str = "") -> list[Entry]:
    small = ["train.layers=[1, 1, 1, 1]", "train.width=8", "train.neck=8", *SMALL]
    plain = with_settings(Experiment(name="plain"), small)
    cnn = SYSTEM_EXPERIMENTS["expr_cnn"].model_validate({"name": "cnn", "system": "expr_cnn"})
    cnn = with_settings(cnn, ["train.filters=[4, 4, 4, 4]", "train.dense=[8, 8]", *SMALL])
    return [Entry("plain", plain, noise), Entry("cnn", cnn, noise)]


def _runs(store: Path) -> list[Any]:
    return runs._search(runs.connect(store), "")


def test_trainings_lie_below_one_run_and_are_done_once_also_when_seeds_are_added(
    mlflow_store: Path, dataset: Dataset
) -> None:
    torch.set_num_threads(1)
    machine = MachineConfig(store=mlflow_store, device="cpu")
    path = run_comparison("mine", _entries(), dataset, 1, machine)
    assert path == mlflow_store / "reports" / "comparison-mine.html"
    found = _runs(mlflow_store)
    (parent,) = (run for run in found if run.info.run_name == "comparison mine")
    children = [run for run in found if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert sorted(run.data.tags["variant"] for run in children) == ["cnn", "plain"]
    assert sorted(run.data.tags["system"] for run in children) == ["expr_cnn", "mtanet"]
    assert {artifact.path for artifact in runs.connect(mlflow_store).list_artifacts(parent.info.run_id)} == {
        "comparison-mine.html",
        "Scores.png",
    }
    plain = next(run for run in children if run.data.tags["variant"] == "plain").data.metrics
    comparison = read_comparison(mlflow_store)
    rows = {row.name: row for row in comparison.rows}
    # There is one video, so there are scores but no intervals.
    assert comparison.num_videos == 1
    assert rows["plain"].scores["ccc"].value == pytest.approx(plain["validation/ccc"], abs=1e-6)
    assert math.isnan(rows["plain"].scores["ccc"].low)
    assert rows["cnn"].differences["expression"].value == pytest.approx(
        rows["cnn"].scores["expression"].value - rows["plain"].scores["expression"].value
    )
    assert "official" not in rows["cnn"].differences
    assert "ccc" not in rows["cnn"].scores
    assert plain["final/total"] == plain["validation/total"]
    assert rows["plain"].labels == {"va": 48, "expr": 48, "au": 48 * 8}
    assert rows["cnn"].labels == {"expr": 48}
    assert rows["cnn"].parameters < rows["plain"].parameters
    assert all(row.train_s > 0 and row.faces_per_s > 0 for row in rows.values())

    run_comparison("mine", _entries(), dataset, 2, machine)
    ended = {run.info.run_id: run.info.end_time for run in _runs(mlflow_store) if run.info.run_id != parent.info.run_id}
    assert len(ended) == 4
    assert ended.items() >= {run.info.run_id: run.info.end_time for run in children}.items()
    assert read_comparison(mlflow_store, "mine").seeds == [0, 1]


def test_a_comparison_that_does_not_exist_is_an_error_that_names_those_that_do(
    mlflow_store: Path, dataset: Dataset
) -> None:
    with pytest.raises(ValueError, match=r"no comparison; found none\. Make one with mtanet compare"):
        read_comparison(mlflow_store)
    torch.set_num_threads(1)
    run_comparison("mine", _entries(), dataset, 1, MachineConfig(store=mlflow_store, device="cpu"))
    with pytest.raises(ValueError, match="no comparison yours; found mine"):
        read_comparison(mlflow_store, "yours")
    (mlflow_store / "comparisons" / "mine.json").write_text("{}")
    with pytest.raises(ValueError, match=r"mine\.json.*compare again to make it anew"):
        read_comparison(mlflow_store, "mine")
    publish(mlflow_store)
    answer = query(mlflow_store, "SELECT name, value FROM leaderboard WHERE metric = 'expression' ORDER BY name")
    assert answer["name"].to_pylist() == ["cnn", "plain"]
    assert re.search("Comparison mine on tiny", (mlflow_store / "reports" / "comparison-mine.md").read_text())


def test_names_may_have_letters_that_mlflow_refuses_in_metrics(mlflow_store: Path, dataset: Dataset) -> None:
    torch.set_num_threads(1)
    plain, cnn = _entries(noise="noise=0.4")
    entries = [replace(plain, name="the paper's recipe, at 50 %"), replace(cnn, name="cnn:train.dropout=0.5")]
    run_comparison("mine", entries, dataset, 1, MachineConfig(store=mlflow_store, device="cpu"))
    (parent,) = (run for run in _runs(mlflow_store) if run.info.run_name == "comparison mine")
    assert {name for name in parent.data.metrics if name.startswith("expression/")} == {
        "expression/noise 0.4 the paper s recipe at 50",
        "expression/noise 0.4 cnn train.dropout 0.5",
    }

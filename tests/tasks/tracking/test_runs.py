from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from model.scores.tallies import OFFICIAL
from tasks.config import Experiment
from tasks.tracking import runs
from tasks.tracking.views import PAGES


@pytest.fixture
def store(mlflow_store: Path) -> Path:
    return mlflow_store


def open_run(store: Path, digest: str = "d1", **params: object) -> AbstractContextManager[str]:
    return runs.open_run(
        store,
        experiment="synthetic-2020",
        training_digest=digest,
        run_name="tiny",
        params=params,
        tags={"experiment": "tiny"},
    )


def start(store: Path, digest: str = "d1", width: int = 8) -> str:
    with open_run(store, digest, name="tiny", train={"width": width, "layers": [1, 1]}) as run_id:
        runs.log_epoch(store, run_id, 0, {"train/loss": 2.0})
    return run_id


def test_nested_settings_become_one_level() -> None:
    assert runs.flatten({"a": {"b": 1, "c": {"d": 2}}, "e": None}) == {"a.b": 1, "a.c.d": 2, "e": None}


def test_a_killed_run_is_found_again_and_says_which_epochs_it_has(store: Path) -> None:
    run_id = start(store)
    with open_run(store) as again:
        assert runs.logged_steps(store, again, "train/loss") == {0}
        runs.log_epoch(store, again, 1, {"train/loss": 1.0})
    assert again == run_id
    assert runs.logged_steps(store, run_id, "train/loss") == {0, 1}
    run = runs.connect(store).get_run(run_id)
    assert run.data.params == {"name": "tiny", "train.width": "8", "train.layers": "[1, 1]"}
    assert run.info.status == "FINISHED"


def test_another_training_is_another_run(store: Path) -> None:
    assert start(store, "d1") != start(store, "d2")


def test_a_run_that_goes_on_stays_in_its_experiment_and_keeps_its_name(store: Path) -> None:
    run_id = start(store)
    with runs.open_run(
        store, experiment="another", training_digest="d1", run_name="tiny seed=1", params={}, tags={}
    ) as again:
        pass
    client = runs.connect(store)
    run = client.get_run(again)
    assert (again, run.info.run_name) == (run_id, "tiny")
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.name == "synthetic-2020"
    assert "`final/`" in experiment.tags["mlflow.note.content"]


def test_an_experiment_has_a_view_of_settings_and_scores_that_exist(store: Path) -> None:
    start(store)
    experiment = runs.connect(store).get_experiment_by_name("synthetic-2020")
    assert experiment is not None
    view = json.loads(experiment.tags["mlflow.sharedViewState.scores"])
    assert (view["name"], view["createdAt"] > 0) == ("Settings and scores", True)
    shown = json.loads(view["state"])
    parallel = next(chart for chart in shown["compareRunCharts"] if chart["type"] == "PARALLEL")
    assert set(parallel["selectedParams"]) <= set(runs.flatten(Experiment(name="tiny").model_dump()))
    assert set(parallel["selectedMetrics"]) == {f"final/{name}" for name in (*OFFICIAL.values(), "total")}
    sections = {section["uuid"] for section in shown["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in shown["compareRunCharts"]} <= sections


def test_an_epoch_is_the_step_of_its_numbers(store: Path) -> None:
    with open_run(store) as run_id:
        runs.log_epoch(store, run_id, 3, {"epoch": 3, "train/loss": 1.0})
    assert runs.logged_steps(store, run_id, "train/loss") == {3}
    assert "epoch" not in runs.connect(store).get_run(run_id).data.metrics


def test_the_first_run_of_a_name_tells_what_is_usual(store: Path) -> None:
    assert runs.first_params(store, "tiny") == {}
    start(store, "d1", width=8)
    start(store, "d2", width=16)
    assert runs.first_params(store, "tiny")["train.width"] == "8"


def test_what_the_machine_does_is_logged(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    with open_run(store) as run_id:
        time.sleep(1)
    metrics = runs.connect(store).get_run(run_id).data.metrics
    assert metrics["system/system_memory_usage_megabytes"] > 0
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100


def test_a_failed_training_is_shown_as_failed(store: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="loss is NaN"),
        open_run(store) as run_id,
    ):
        raise RuntimeError("loss is NaN")
    assert runs.connect(store).get_run(run_id).info.status == "FAILED"


def test_a_run_page_is_on_the_server_of_mtanet_up_and_opens_as_a_training(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(store)
    page = f"/#/experiments/1/runs/{run_id}?workflowType=machine_learning"
    monkeypatch.delenv(PAGES, raising=False)
    assert runs.run_page(store, run_id) == f"http://127.0.0.1:5000{page}"
    monkeypatch.setenv(PAGES, "http://127.0.0.1:6000")
    assert runs.run_page(store, run_id) == f"http://127.0.0.1:6000{page}"


def test_the_data_of_a_run_are_noted_with_their_digest(store: Path) -> None:
    with open_run(store) as run_id:
        runs.log_dataset(name="sample", place="sample/abc", digest="abc", context="training")
    inputs = runs.connect(store).get_run(run_id).inputs
    assert inputs is not None
    (noted,) = inputs.dataset_inputs
    assert (noted.dataset.name, noted.dataset.digest) == ("sample", "abc")
    assert json.loads(noted.dataset.source) == {"uri": "sample/abc"}


def test_one_store_knows_nothing_of_another(store: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    start(store)
    other = tmp_path_factory.mktemp("other")
    (other / "mlflow.db").write_bytes((store / "mlflow.db").read_bytes())
    run_id = start(other, "d2")
    assert runs.connect(store).search_runs(["1"], f"run_id = '{run_id}'") == []


def test_a_server_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runs, "SERVER", "http://127.0.0.1:9")
    assert runs.connect(tmp_path).tracking_uri == "http://127.0.0.1:9"

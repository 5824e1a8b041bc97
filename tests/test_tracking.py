from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tasks import tracking

# MLflow 3.17 warns about its own annotations while `mlflow.pyfunc` is imported, which logging a model does.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_database: Path) -> Path:
    """A store with an empty, migrated MLflow database."""
    monkeypatch.setattr(tracking, "SERVER", "")
    (tmp_path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("mlflow")
    tracking.connect(store).search_experiments()
    return store / "mlflow.db"


def start(store: Path, digest: str = "d1") -> str:
    knobs = {"name": "tiny", "train": {"width": 8, "layers": (1, 1)}}
    with tracking.open_run(
        store, training_digest=digest, run_name="tiny", params=knobs, tags={"experiment": "tiny"}
    ) as run_id:
        tracking.log_epoch(store, run_id, 0, {"train/loss": 2.0})
    return run_id


def log_tiny_model(store: Path, run_id: str) -> str:
    checkpoint = store / "models" / "d1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.json").write_text("{}")
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2)).eval()
    faces_BCHW = np.zeros((2, 3, 8, 8), np.float32)
    with tracking.open_run(store, training_digest="d1", run_name="tiny", params={}, tags={}) as again:
        assert again == run_id
        return tracking.log_model(
            network,
            faces_BCHW=faces_BCHW,
            outputs_BK=network(torch.from_numpy(faces_BCHW)).detach().numpy(),
            outputs=["valence", "arousal"],
            checkpoint=checkpoint,
        )


def test_nested_knobs_become_one_level() -> None:
    assert tracking.flatten({"a": {"b": 1, "c": {"d": 2}}, "e": None}) == {"a.b": 1, "a.c.d": 2, "e": None}


def test_a_killed_run_is_found_again_and_says_which_epochs_it_has(store: Path) -> None:
    run_id = start(store)
    with tracking.open_run(store, training_digest="d1", run_name="tiny", params={}, tags={}) as again:
        assert tracking.logged_steps(store, again, "train/loss") == {0}
        tracking.log_epoch(store, again, 1, {"train/loss": 1.0})
    assert again == run_id
    assert tracking.logged_steps(store, run_id, "train/loss") == {0, 1}
    run = tracking.connect(store).get_run(run_id)
    assert run.data.params == {"name": "tiny", "train.width": "8", "train.layers": "(1, 1)"}
    assert run.info.status == "FINISHED"


def test_another_training_is_another_run(store: Path) -> None:
    assert start(store, "d1") != start(store, "d2")


def test_a_failed_training_is_shown_as_failed(store: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="loss is NaN"),
        tracking.open_run(store, training_digest="d1", run_name="tiny", params={}, tags={}) as run_id,
    ):
        raise RuntimeError("loss is NaN")
    assert tracking.connect(store).get_run(run_id).info.status == "FAILED"


def test_a_model_is_registered_once_and_found_by_number_and_alias(store: Path) -> None:
    run_id = start(store)
    assert tracking.logged_model(store, run_id) is None
    assert tracking.finished_run(store, "d1") is None
    model_uri = log_tiny_model(store, run_id)
    assert tracking.logged_model(store, run_id) == model_uri
    assert tracking.finished_run(store, "d1") == run_id
    version = tracking.register(store, run_id, model_uri)
    assert tracking.register(store, run_id, model_uri) == version
    assert str(version) == "mtanet v1"
    assert version.aliases == ("challenger",)
    assert version.tags["experiment"] == "tiny"
    assert tracking.champion(store) is None
    tracking.promote(store, version)
    tracking.annotate_version(store, version, {"total": "1.5"}, "the first")
    champion = tracking.champion(store)
    assert champion is not None
    assert set(champion.aliases) == {"champion", "challenger"}
    assert champion.tags["total"] == "1.5"
    assert tracking.find_version(store, "1") == champion
    assert (tracking.checkpoint_folder(store, version) / "model.json").read_text() == "{}"


def test_an_unknown_model_is_refused_with_what_there_is(store: Path) -> None:
    with pytest.raises(ValueError, match=r"no model 'champion': expected champion, .*\(none yet; `mtanet train`"):
        tracking.find_version(store, "champion")
    with pytest.raises(ValueError, match="no model '7': expected champion, challenger or a version number"):
        tracking.find_version(store, "7")


def test_a_run_page_is_on_the_server_of_mtanet_up(store: Path) -> None:
    run_id = start(store)
    assert tracking.run_page(store, run_id) == f"http://127.0.0.1:5000/#/experiments/1/runs/{run_id}"


def test_the_data_of_a_run_are_noted_with_their_digest(store: Path) -> None:
    with tracking.open_run(store, training_digest="d1", run_name="tiny", params={}, tags={}) as run_id:
        tracking.log_dataset(name="sample", path=store, digest="abc", context="training")
    (noted,) = tracking.connect(store).get_run(run_id).inputs.dataset_inputs
    assert (noted.dataset.name, noted.dataset.digest) == ("sample", "abc")


def test_one_store_knows_nothing_of_another(store: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    start(store)
    other = tmp_path_factory.mktemp("other")
    (other / "mlflow.db").write_bytes((store / "mlflow.db").read_bytes())
    run_id = start(other, "d2")
    assert tracking.connect(store).search_runs(["1"], f"run_id = '{run_id}'") == []


def test_a_server_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tracking, "SERVER", "http://127.0.0.1:9")
    assert tracking.connect(tmp_path).tracking_uri == "http://127.0.0.1:9"

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from mlflow.exceptions import MlflowException

from data.labels import Edition
from flows.servers.environment import free_port
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network, load_checkpoint
from model.training.checkpoint import Checkpoint, save_checkpoint
from tasks.tracking import registry, runs
from tasks.tracking.registry import CannotAnswerError, Version

# MLflow 3.17 warns about its own annotations while `mlflow.pyfunc` is imported, which logging a model does.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")

EDITION = Edition.ABAW_2020


def log_tiny_model(store: Path) -> tuple[str, str]:
    """The id of a run and the address of its model."""
    architecture = Architecture(layers=(1, 1, 1, 1), width=8, neck=8)
    with torch.random.fork_rng(devices=[]):
        network = build_network(EDITION, architecture)
    checkpoint = store / "models" / "d1" / "model.safetensors"
    checkpoint.parent.mkdir(parents=True)
    save_checkpoint(
        checkpoint, Checkpoint(network=network, edition=EDITION, system="mtanet", architecture=architecture)
    )
    with runs.open_run(
        store,
        experiment="synthetic-2020",
        training_digest="d1",
        run_name="tiny",
        params={},
        tags={"experiment": "tiny"},
    ) as run_id:
        assert runs.logged_model(store, run_id) is None
        assert runs.finished_run(store, "d1") is None
        return run_id, registry.log_model(checkpoint)


def test_a_model_is_registered_once_and_found_by_number_and_alias(mlflow_store: Path) -> None:
    store = mlflow_store
    run_id, model_uri = log_tiny_model(store)
    assert runs.logged_model(store, run_id) == model_uri
    assert runs.finished_run(store, "d1") == run_id
    version = registry.register(store, run_id, model_uri)
    assert registry.register(store, run_id, model_uri) == version
    assert str(version) == "mtanet v1"
    assert version.aliases == ("challenger",)
    assert version.tags["experiment"] == "tiny"
    assert version.tags["synthetic"] == "true"
    model = runs.connect(store).get_logged_model(model_uri.rpartition("/")[2])
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "mtanet", "version": version.number}]
    assert registry.champion(store) is None
    registry.promote(store, version)
    registry.annotate_version(store, version, {"total": "1.5"}, "the first")
    champion = registry.champion(store)
    assert champion is not None
    assert set(champion.aliases) == {"champion", "challenger"}
    assert champion.tags["total"] == "1.5"
    assert registry.find_version(store, "1") == champion


def test_the_weights_of_a_version_are_those_of_the_training(mlflow_store: Path) -> None:
    version = registry.register(mlflow_store, *log_tiny_model(mlflow_store))
    kept = load_checkpoint(registry.checkpoint_folder(mlflow_store, version) / "model.safetensors")
    trained = load_checkpoint(mlflow_store / "models" / "d1" / "model.safetensors")
    for name, weights in trained.network.state_dict().items():
        assert torch.equal(kept.network.state_dict()[name], weights), name


def test_the_scores_of_a_run_are_those_of_its_model_too(mlflow_store: Path) -> None:
    run_id, model_uri = log_tiny_model(mlflow_store)
    assert runs.log_scores(mlflow_store, run_id, {"final/total": 1.5})
    assert not runs.log_scores(mlflow_store, run_id, {"final/total": 1.5})
    client = runs.connect(mlflow_store)
    scores = client.get_logged_model(model_uri.rpartition("/")[2]).metrics
    assert scores is not None
    (score,) = scores
    assert (score.key, score.value) == ("final/total", 1.5)
    assert client.get_run(run_id).data.metrics["final/total"] == 1.5


def test_an_unknown_model_is_refused_with_what_there_is(mlflow_store: Path) -> None:
    with pytest.raises(ValueError, match=r"no model 'champion': expected champion, .*\(none yet; `mtanet train`"):
        registry.find_version(mlflow_store, "champion")
    with pytest.raises(ValueError, match="no model '7': expected champion, challenger or a version number"):
        registry.find_version(mlflow_store, "7")


def test_missing_weights_and_a_silent_server_have_different_errors(
    mlflow_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = registry.register(mlflow_store, *log_tiny_model(mlflow_store))
    weights = registry.checkpoint_folder(mlflow_store, version)
    shutil.rmtree(weights)
    assert not registry.has_weights(mlflow_store, version)
    with pytest.raises(CannotAnswerError, match=r"v1 has no weights .* \(models:/mtanet/1/data/weights\); train"):
        registry.checkpoint_folder(mlflow_store, version)
    assert not registry.has_weights(mlflow_store, Version(9, "r", (), {}))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(runs, "SERVER", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(MlflowException, match="Connection refused"):
        registry.checkpoint_folder(mlflow_store, version)


@pytest.mark.parametrize(("experiment", "is_synthetic"), [("synthetic-2020", True), ("aff-wild2-2020", False)])
def test_a_version_from_before_the_tag_is_of_the_people_of_its_experiment(
    mlflow_store: Path, experiment: str, is_synthetic: bool
) -> None:
    with runs.open_run(
        mlflow_store, experiment=experiment, training_digest="d", run_name="old", params={}, tags={}
    ) as run_id:
        assert registry.is_synthetic(mlflow_store, Version(1, run_id, (), {})) is is_synthetic
    for said in (True, False):
        assert registry.is_synthetic(mlflow_store, Version(1, run_id, (), {"synthetic": str(said).lower()})) is said

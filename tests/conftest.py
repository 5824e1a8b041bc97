"""The smallest real things the tests share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support.trees import HEADERS, TINY_FILE, MakeTree

from flows.servers.environment import set_environment

# Before any test module imports Prefect or MLflow.
set_environment(Path(tempfile.mkdtemp(prefix="mtanet-tests-")))

# A deadline would fail a test because another program had the cores.
settings.register_profile("mtanet", deadline=None)
settings.load_profile("mtanet")

if TYPE_CHECKING:
    from flows.train import Trained
    from tasks.config import MachineConfig


@pytest.fixture(autouse=True)
def ordinary_priority() -> Iterator[None]:
    """No test leaves its process with a real-time priority, with which it and all that it starts hold up the others."""
    yield
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Makes a root with empty video files and the annotation files given as `<task>/<split>/<track>` -> rows."""

    def make(annotations: Mapping[str, list[str]], videos: tuple[str, ...] = ("107", "video59")) -> Path:
        root = tmp_path / "root"
        (root / "videos" / "batch1").mkdir(parents=True)
        for video in videos:
            (root / "videos" / "batch1" / f"{video}.mp4").touch()
        for name, rows in annotations.items():
            path = root / "annotations" / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([HEADERS[name.split("/")[0]], *rows]) + "\n")
        return root

    return make


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow, made once: that takes seconds."""
    from tasks.tracking import runs

    store = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "SERVER", "")
        runs.connect(store).search_experiments()
    return store / "mlflow.db"


@pytest.fixture
def mlflow_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_database: Path) -> Path:
    """A store with an empty database of MLflow."""
    from tasks.tracking import runs

    monkeypatch.setattr(runs, "SERVER", "")
    (tmp_path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    return tmp_path


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """The address of a Prefect server with an empty database, for flows that run in this process."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> MachineConfig:
    """The store that `trained` is in."""
    from tasks.config import MachineConfig

    return MachineConfig(store=tmp_path_factory.mktemp("store"), device="cpu", workers=2)


@pytest.fixture(scope="session")
def trained(request: pytest.FixtureRequest, machine: MachineConfig) -> Trained:
    """The tiny experiment, sent the whole way by one process."""
    request.getfixturevalue("prefect_api")
    from flows.train import train_mtanet
    from tasks.experiments import load_experiment

    return train_mtanet(load_experiment(str(TINY_FILE)), machine)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that two workers end together; those that need a Prefect server come last.

    Prefect's threads draw from `random`, and Hypothesis would blame its own tests for that.
    """
    for item in items:
        if _needs_prefect(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: (_needs_prefect(item), item.get_closest_marker("slow") is None))


def _needs_prefect(item: pytest.Item) -> bool:
    return "prefect_api" in getattr(item, "fixturenames", ())

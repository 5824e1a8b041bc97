"""The command started by torchrun, whole: two processes, one training, and what is left when one of them is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.trees import TINY_FILE
from support.waiting import wait_until

from data.store.access import hold
from flows.train import Trained, train_mtanet
from tasks.config import MachineConfig
from tasks.experiments import load_experiment
from tasks.tracking import runs
from tasks.training.epochs import cores

pytestmark = [
    pytest.mark.slow,
    # MLflow 3.17 warns about its own annotations while `mlflow.pyfunc` is imported, which logging a model does.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.timeout(600),
]

AS_TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "flows.command", "train")
CURVE = ("train/loss", "train/loss_va", "train/loss_expr", "train/loss_au", "validation/ccc")


def store_to_train_in(folder: Path, machine: MachineConfig) -> Path:
    """The same data, and nothing learned from them."""
    for stage in ("sample", "detections", "faces", "labels"):
        shutil.copytree(machine.store / stage, folder / stage)
    return folder


@contextmanager
def torchrun(store: Path, experiment: str = str(TINY_FILE)) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, *AS_TWO, "--experiment", experiment, "--device", "cpu", "--store", str(store)]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with (
        (store / "torchrun.log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True) as team,
    ):
        try:
            yield team
        finally:
            team.terminate()  # where a test fails; its processes end with it


def said(store: Path) -> str:
    return (store / "torchrun.log").read_text()


def processes_of(team: subprocess.Popen[str]) -> list[int]:
    """In the order of their ranks."""
    return sorted(map(int, Path(f"/proc/{team.pid}/task/{team.pid}/children").read_text().split()))


def curves(store: Path) -> list[dict[str, list[float]]]:
    """Of every run that MLflow knows."""
    client = runs.connect(store)
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return [
        {name: [point.value for point in client.get_metric_history(run.info.run_id, name)] for name in CURVE}
        for run in found
    ]


def assert_is_the_curve_of_one(found: dict[str, list[float]], trained: Trained, machine: MachineConfig) -> None:
    client = runs.connect(machine.store)
    for name in CURVE:
        expected = [point.value for point in client.get_metric_history(trained.model.run_id, name)]
        assert len(expected) == 2
        assert found[name] == pytest.approx(expected, abs=1e-4), name


def test_torchrun_trains_once_with_the_curve_of_one_process(
    tmp_path: Path, trained: Trained, machine: MachineConfig
) -> None:
    store = store_to_train_in(tmp_path, machine)
    with torchrun(store) as team:
        assert team.wait(timeout=240) == 0, said(store)
    (found,) = curves(store)
    assert_is_the_curve_of_one(found, trained, machine)
    # Only the first process speaks; the table of scores comes last.
    assert said(store).count("epoch 1 of 2") == said(store).count("total of the three") == 1
    assert "Traceback" not in said(store)
    assert "warn" not in said(store).lower()


def test_a_training_of_two_waits_is_killed_and_goes_on_with_one(
    tmp_path: Path, trained: Trained, machine: MachineConfig
) -> None:
    store = store_to_train_in(tmp_path, machine)
    digest = trained.model.tags[runs.TRAINING_DIGEST]
    written_by_another = store / "models" / digest / "epoch-0001.json.partial"
    written_by_another.parent.mkdir(parents=True)
    written_by_another.touch()
    with torchrun(store) as team:
        with hold(store, f"models-{digest}", what="this training"):
            wait_until(lambda: "working on this training" in said(store), team, lambda: said(store))
            time.sleep(3)
            assert written_by_another.exists(), "a process of the team did not wait for who is at work"
        wait_until(lambda: (store / "models" / digest / "epoch-0001.json").is_file(), team, lambda: said(store))
        os.kill(processes_of(team)[0], signal.SIGKILL)
        assert team.wait(timeout=60) == 1, said(store)
    assert not (store / "models" / digest / "model.json").exists()

    train_mtanet(load_experiment(str(TINY_FILE)), machine.model_copy(update={"store": store}))
    (found,) = curves(store)
    assert_is_the_curve_of_one(found, trained, machine)


@pytest.mark.parametrize(("processes", "expected"), [(None, 8), ("1", 8), ("3", 2), ("16", 1)])
def test_the_processes_on_a_machine_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, processes: str | None, expected: int
) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if processes is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert cores() == expected


@pytest.mark.usefixtures("prefect_api")
def test_only_the_first_process_of_a_team_reports_its_error(tmp_path: Path) -> None:
    with torchrun(tmp_path, "paper") as team:
        assert team.wait(timeout=240) == 1
    assert said(tmp_path).count("error: no data: give the folder of Aff-Wild2") == 1
    assert "gloo" not in said(tmp_path)

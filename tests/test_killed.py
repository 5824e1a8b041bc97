"""A run that is killed again and again ends where an undisturbed one does."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from data.shards import file_sha256

EXPERIMENT = """
[sample]
clips = 3
seconds = 1.0

[train]
layers = [1, 1, 1, 1]
width = 8
neck = 16
epochs = 3
batch_size = 16
"""
STAGES = ("sample", "detections", "faces", "labels", "datasets", "models", "predictions")


def start(store: Path) -> subprocess.Popen[str]:
    experiment = store / "tiny.toml"
    experiment.parent.mkdir(parents=True, exist_ok=True)
    experiment.write_text(EXPERIMENT)
    command = [sys.executable, "-m", "flows", "train", "--experiment", str(experiment), "--store", str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(store: Path) -> None:
    run = start(store)
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output


def kill_when(store: Path, reached: Callable[[], bool]) -> None:
    run = start(store)
    end_s = time.monotonic() + 240
    while not reached():
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < end_s
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)


def contents(store: Path) -> dict[str, str]:
    """Every file of every stage by its hash; those that note times, run ids or the root's place only by their names."""
    by_name = ("models/*/*.json", "predictions/*/manifest.json", "datasets/*.json")
    return {
        path.relative_to(store).as_posix(): "" if any(map(path.match, by_name)) else file_sha256(path)
        for stage in STAGES
        for path in sorted((store / stage).rglob("*"))
        if path.is_file()
    }


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("prefect_api")
def test_killed_in_extraction_training_and_prediction_the_shards_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it where it was used in this process
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    finish(undisturbed)
    shutil.copytree(undisturbed / "sample", disturbed / "sample")

    kill_when(disturbed, lambda: any(disturbed.glob("detections/*")))
    assert not (disturbed / "datasets").exists()

    kill_when(disturbed, lambda: any(disturbed.glob("models/*/epoch-*.safetensors")))
    assert not any(disturbed.glob("models/*/model.safetensors"))

    kill_when(disturbed, lambda: any(disturbed.glob("predictions/*")))
    assert len(list(disturbed.glob("predictions/*/manifest.json"))) < 3

    trained = {path: path.stat().st_mtime_ns for path in disturbed.glob("models/*/model.safetensors")}
    finish(disturbed)
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert contents(disturbed) == contents(undisturbed)
    assert [path for path in disturbed.rglob("*") if path.name.endswith((".partial", ".tmp"))] == []

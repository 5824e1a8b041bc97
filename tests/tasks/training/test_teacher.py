"""A student has a teacher who is trained first, once, and whose filled labels are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from support.little_store import little_dataset

from data.labels import Split
from data.store.catalogue import Dataset
from model.systems.registry import load_checkpoint
from model.training.loop import MODEL
from tasks.config import SYSTEM_EXPERIMENTS, EpochsConfig, MachineConfig
from tasks.experiments import with_settings
from tasks.tracking import runs
from tasks.training.epochs import training_digest
from tasks.training.frames import TEACHER_FILE, complete_frames, split_frames
from tasks.training.systems import run_training, training_seconds
from tasks.training.teacher import TABLE, teacher_of

pytestmark = pytest.mark.slow


def _config(*settings: str) -> EpochsConfig:
    experiment = SYSTEM_EXPERIMENTS["weak_labels"].model_validate({"name": "tiny", "system": "weak_labels"})
    small = ["layers=[1, 1, 1, 1]", "width=8", "neck=8", "epochs=1", "batch_size=24", "confidence=0.5"]
    small += ["valence_arousal_error=2.0", "corruption.withheld_expressions=0.5", *settings]
    config = with_settings(experiment, [f"train.{setting}" for setting in small]).train
    assert isinstance(config, EpochsConfig)
    return config


def _train(config: EpochsConfig, dataset: Dataset, machine: MachineConfig) -> tuple[str, Path]:
    torch.set_num_threads(1)
    with runs.open_run(
        machine.store, experiment="e", training_digest="d", run_name="student", params={}, tags={}
    ) as run_id:
        run_training(config, dataset, machine, run_id)
    return run_id, machine.store / "models" / training_digest(config, dataset, machine.store)


def test_the_teacher_is_an_mtanet_that_learns_in_the_same_way() -> None:
    teacher = teacher_of(_config("learning_rate=0.5"))
    assert (teacher.system, teacher.width, teacher.learning_rate) == ("mtanet", 8, 0.5)
    assert teacher.corruption.withheld_expressions == 0.5


def test_the_teacher_is_trained_once_and_fills_what_is_missing(mlflow_store: Path) -> None:
    dataset, machine, config = little_dataset(mlflow_store), MachineConfig(store=mlflow_store, device="cpu"), _config()
    run_id, folder = _train(config, dataset, machine)
    children = [
        run for run in runs._search(runs.connect(mlflow_store), "") if run.data.tags.get("mlflow.parentRunId") == run_id
    ]
    assert [run.info.run_name for run in children] == ["training: teacher"]
    given = split_frames(config, dataset, machine, Split.TRAIN)
    complete = complete_frames(config, dataset, machine, Split.TRAIN)
    missing_N = np.isnan(given.expression_N)
    assert len(given) == len(complete) == 48
    assert 10 < missing_N.sum() < 38
    gave = load_file(folder / TEACHER_FILE)
    filled_N = ~np.isnan(gave["filled_expression"])
    assert not (filled_N & ~missing_N).any()
    assert gave["teacher_expression"].shape == (48, 7)
    assert np.isnan(gave["filled_valence_arousal"]).all()  # nothing of these is missing
    table = runs.logged_text(mlflow_store, run_id, TABLE)
    assert table is not None
    assert f"| neutral | {missing_N.sum()} |" in table
    assert "Calibration: expression_temperature" in table
    assert load_checkpoint(folder / MODEL).system == "weak_labels"
    times = [path.stat().st_mtime_ns for path in sorted((mlflow_store / "models").rglob("*.safetensors"))]
    assert len(times) == 3  # teacher, what it gave, student
    _train(config, dataset, machine)
    assert times == [path.stat().st_mtime_ns for path in sorted((mlflow_store / "models").rglob("*.safetensors"))]
    of_teacher = training_seconds(teacher_of(config), dataset, machine, 48)
    assert training_seconds(config, dataset, machine, 48) > of_teacher > 0


def test_a_student_whose_teacher_is_done_resumes_to_the_same_bytes(
    mlflow_store: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config("epochs=2")
    _, folder = _train(config, little_dataset(mlflow_store), MachineConfig(store=mlflow_store, device="cpu"))
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setattr(runs, "SERVER", "")
    _, again = _train(config, little_dataset(other), MachineConfig(store=other, device="cpu"))
    for name in (MODEL, TEACHER_FILE):
        assert (folder / name).read_bytes() == (again / name).read_bytes()

"""Foreign networks become versions: once, with the tasks that they answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.onnx_files import channel_means

from data.labels import Task
from model.finished import load_finished
from tasks.tracking import registry
from tasks.training.elsewhere import read_spec, register_onnx

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
SPEC = 'edition = "2020"\n[input]\nsize_px = 32\n[valence_arousal]\ncolumns = [0, 1]\n'


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "means.toml"
    path.write_text(SPEC)
    return str(path)


def test_a_foreign_network_is_a_version_once_and_answers_its_tasks(
    mlflow_store: Path, tmp_path: Path, spec: str
) -> None:
    file = channel_means(tmp_path / "means.onnx", np.eye(3))
    version = register_onnx(file, spec, mlflow_store)
    assert registry.system_of(version.tags) == "onnx_file"
    assert registry.tasks_of(version) == (Task.VA,)
    assert not registry.is_synthetic(mlflow_store, version)
    assert version.tags["experiment"] == "means"
    assert register_onnx(file, spec, mlflow_store) == version
    assert load_finished(registry.checkpoint_folder(mlflow_store, version)).network.tasks == {Task.VA}
    other = register_onnx(channel_means(tmp_path / "means.onnx", 2 * np.eye(3)), spec, mlflow_store)
    assert other.number == version.number + 1


def test_a_wrong_description_is_refused_before_anything_is_registered(mlflow_store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no description 'mine': expected one of emotiefflib_enet_b0_8_best_afew, "):
        read_spec("mine")
    path = tmp_path / "mine.toml"
    path.write_text(SPEC.replace("size_px", "size"))
    with pytest.raises(ValueError, match=r"mine\.toml: input\.size: no such setting; did you mean input\.size_px\?"):
        read_spec(str(path))
    path.write_text(SPEC.replace("32", "64"))
    with pytest.raises(ValueError, match=r"means\.onnx: the ONNX file cannot be run on faces of shape"):
        register_onnx(channel_means(tmp_path / "means.onnx", np.eye(3)), str(path), mlflow_store)
    assert not (mlflow_store / "models").exists()

"""Flows call tasks, tasks call model and data, model calls data; and each heavy library has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("flows", "tasks", "model", "data")
DOORS = {
    "prefect": ("flows/", "tasks/"),
    "mlflow": ("tasks/tracking/runs.py", "tasks/tracking/registry.py", "tasks/tracking/serving.py"),
    "pandas": ("model/serving.py",),
    "matplotlib": ("tasks/plots/figures.py", "tasks/plots/scores.py", "tasks/plots/tracks.py"),
    "torch": (
        "model/",
        # Where pixels cross from DALI or to it: batches, frames, the detector, crops, and the sample's renderer.
        "data/batches/batch.py",
        "data/batches/loader.py",
        "data/video/frames.py",
        "data/video/media.py",
        "data/video/pixels.py",
        "data/video/dali.py",
        "data/video/nvdec.py",
        "data/faces/detector.py",
        "data/faces/retinaface.py",
        "data/faces/crops.py",
        "data/extraction/detections.py",
        "data/sample/",
        "tasks/training/epochs.py",
    ),
    "nvidia": (
        "data/video/frames.py",
        "data/video/dali.py",
        "data/faces/crops.py",
        "data/batches/dali_graph.py",
        "data/batches/loader.py",
    ),
    "av": (
        "data/video/packets.py",
        "data/video/pyav.py",
        "data/video/pixels.py",
        "data/testing/numbered.py",
        "data/sample/",
    ),
    "pyarrow": (
        "data/testing/numbered.py",
        "data/schema.py",
        "data/store/shards.py",
        "data/annotations/alignment.py",
        "data/extraction/cropped.py",
        "data/annotations/mtl.py",
        "data/annotations/parsing.py",
        "data/extraction/detections.py",
        "data/extraction/assembly.py",
        "data/batches/labelled_frames.py",
        "data/batches/stored_faces.py",
        "data/warehouse/predictions.py",
        "data/batches/face_samples.py",
        "data/warehouse/views.py",
        "data/sample/",
    ),
    "duckdb": ("data/warehouse/views.py",),
    "onnx": ("data/faces/retinaface.py",),
    "simplejpeg": ("data/faces/crops.py", "data/extraction/cropped.py", "model/serving.py"),
}
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_to_the_right_and_through_the_doors(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    layer = LAYERS.index(name.split("/")[0])
    for module in imports(path):
        package = module.split(".")[0]
        assert package not in LAYERS[:layer], f"{name} imports {module}, which is to its left"
        if package in DOORS:
            assert name.startswith(DOORS[package]), (
                f"{name} imports {module}; its doors are {', '.join(DOORS[package])}"
            )


def test_the_sample_is_known_to_nothing_downstream() -> None:
    users = [
        path.relative_to(ROOT).as_posix() for path in MODULES if any(m.startswith("data.sample") for m in imports(path))
    ]
    assert {user for user in users if not user.startswith("data/sample/")} <= {"tasks/ingest/sample.py"}


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 260} == {}

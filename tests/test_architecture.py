"""Flows call tasks, tasks call model and data, model calls data; and each heavy library has one door."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parent.parent
LAYERS = ("flows", "tasks", "model", "data")
DOORS = {
    "prefect": ("flows/", "tasks/"),
    "mlflow": ("tasks/tracking/",),
    "pandas": ("model/serving.py",),
    "matplotlib": ("tasks/plots/",),
    "torch": (
        "model/",
        "data/batches/",
        "data/extraction/",
        "data/faces/",
        "data/sample/",
        "data/video/",
        "tasks/training/epochs.py",
    ),
    "nvidia": ("data/batches/", "data/faces/crops.py", "data/video/"),
    "av": ("data/sample/", "data/testing/", "data/video/"),
    "pyarrow": ("data/",),
    "duckdb": ("data/warehouse/",),
    "onnxruntime": ("model/systems/onnx_file/",),
    "onnx": ("data/faces/retinaface.py",),
    "ai_edge_litert": ("data/landmarks/mesh.py",),
    "sklearn": ("model/systems/geometry_pls/fit.py",),
    "simplejpeg": ("data/faces/crops.py", "data/extraction/cropped.py", "model/serving.py"),
}
MOST_MODULES = 10
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path): path for path in MODULES}
FOLDERS = sorted({path.parent for path in MODULES})


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


def imported_modules(path: Path) -> set[str]:
    """The project's modules that a module imports; `from data.video import frames` imports `data.video.frames`."""
    found = set(imports(path))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in found if name in NAMES}


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_modules_do_not_import_one_another_in_a_circle() -> None:
    assert circle({name: imported_modules(path) - {name} for name, path in NAMES.items()}) == []


def test_folders_do_not_import_one_another_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        rooms = {room(NAMES[name]) for name in imported_modules(path) if NAMES[name].name != "__init__.py"}
        graph.setdefault(room(path), set()).update(rooms - {room(path)})
    assert circle(graph) == []


def room(path: Path) -> str:
    """The folder of a module; a module that lies beside the folders of its layer counts by itself."""
    name = path.relative_to(ROOT)
    return name.as_posix() if len(name.parts) == 2 else name.parent.as_posix()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_folder_is_small_describes_its_modules_and_shares_its_name_with_none(folder: Path) -> None:
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    assert folder.name not in modules
    if folder.name != "sample":
        assert len(modules) <= MOST_MODULES
    if folder.parent != ROOT and folder.name != "sample":
        described = re.findall(
            r"^- `(\w+)`: \S", ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "", re.M
        )
        assert sorted(described) == sorted(modules)


def test_the_wheel_holds_every_module_and_every_file_beside_it() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = set(find_packages(str(ROOT), **settings["packages"]["find"]))
    assert {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in MODULES} == packages
    endings = {".css", ".html", ".js", ".toml"}
    files = {file for layer in LAYERS for file in (ROOT / layer).rglob("*") if file.suffix in endings}
    taken = {
        file
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
        for file in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    assert files == taken


def test_the_sample_is_known_to_nothing_downstream() -> None:
    users = [
        path.relative_to(ROOT).as_posix() for path in MODULES if any(m.startswith("data.sample") for m in imports(path))
    ]
    assert {user for user in users if not user.startswith("data/sample/")} <= {"tasks/ingest/sample.py"}


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 260} == {}

"""A file of the store that is cut, emptied or has other bits is named with what to do, or is made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.trees import TINY_FILE

from data.store.damage import DamagedError
from data.store.verify import checks
from data.warehouse.answers import query
from data.warehouse.views import carry_over
from flows.train import Trained, train_mtanet
from tasks.config import MachineConfig
from tasks.experiments import load_experiment
from tasks.quality.report import report_on
from tasks.tracking import runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

KINDS = (
    "detections/*/manifest.json",
    "detections/*/part-00000.parquet",
    "faces/*/manifest.json",
    "faces/*/*.parquet",
    "labels/*/manifest.json",
    "labels/*/labels.parquet",
    "quality/*/manifest.json",
    "predictions/*/manifest.json",
    "predictions/*/*.parquet",
    "models/*/model.json",
    "models/*/model.safetensors",
    "mlflow/models/*/artifacts/data/*/model.safetensors",
    "datasets/*.json",
    "runs/*.json",
    "runs/*.parquet",
    "files.json",
    "videos.json",
    "mlflow.db",
)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(_: bytes) -> bytes:
    return b""


def flipped(content: bytes) -> bytes:
    """Other bits in the middle, where a Parquet file has its pages and a database the head of a page."""
    middle = len(content) // 2
    middle = middle - middle % 4096 or middle
    return content[:middle] + bytes(value ^ 0x5A for value in content[middle : middle + 64]) + content[middle + 64 :]


@pytest.fixture
def store(trained: Trained, machine: MachineConfig, tmp_path: Path) -> Path:
    assert trained.model.number == 1
    return Path(shutil.copytree(machine.store, tmp_path / "store"))


def spoil(store: Path, pattern: str, damage: Callable[[bytes], bytes]) -> Path:
    path = sorted(store.glob(pattern))[0]
    path.write_bytes(damage(path.read_bytes()))
    return path


def damaged(store: Path) -> list[str]:
    said = []
    for check in checks(store):
        try:
            check.run()
        except DamagedError as error:
            said.append(str(error))
    return said


@pytest.mark.parametrize("damage", [cut, emptied, flipped])
def test_a_check_of_the_store_finds_every_kind_of_damage(store: Path, damage: Callable[[bytes], bytes]) -> None:
    assert damaged(store) == []
    for pattern in KINDS:
        if (damage, pattern) == (emptied, "mlflow.db"):
            continue  # an empty file is a whole database without tables
        path = sorted(store.glob(pattern))[0]
        content = path.read_bytes()
        path.write_bytes(damage(content))
        said = damaged(store)
        assert any(text.startswith(f"{path}: damaged (") and "; " in text for text in said), (pattern, said)
        path.write_bytes(content)
    assert damaged(store) == []


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("faces/*/manifest.json", emptied),
        ("labels/*/labels.parquet", flipped),
        ("quality/*/manifest.json", cut),
        ("predictions/*/*.parquet", emptied),
        ("runs/*.json", emptied),
        ("runs/*.parquet", cut),
        ("videos.json", cut),
        ("mlflow.db", cut),
        ("mlflow.db", emptied),
    ],
)
def test_a_run_names_the_damage_or_mends_it(store: Path, pattern: str, damage: Callable[[bytes], bytes]) -> None:
    path = spoil(store, pattern, damage)
    runs._opened.clear()
    (store / "finished").mkdir(exist_ok=True)
    machine = MachineConfig(store=store, device="cpu")
    if pattern == "videos.json":  # made again in passing
        train_mtanet(load_experiment(str(TINY_FILE)), machine)
        assert damaged(store) == []
        return
    with pytest.raises(DamagedError) as refused:
        train_mtanet(load_experiment(str(TINY_FILE)), machine)
    assert str(refused.value).startswith(f"{path}: damaged (")
    assert "; " in str(refused.value)


@pytest.mark.parametrize("damage", [cut, emptied])
def test_a_damaged_warehouse_is_rebuilt_when_it_is_asked(store: Path, damage: Callable[[bytes], bytes]) -> None:
    spoil(store, "warehouse.duckdb", damage)
    carry_over(store)
    assert query(store, "SELECT count(*) AS n FROM predictions")["n"][0].as_py() > 0


def test_a_damaged_face_is_not_shown_in_a_report(store: Path, tmp_path: Path) -> None:
    path = spoil(store, "faces/*/901-*.parquet", flipped)
    with pytest.raises(DamagedError, match=f"^{path}: damaged"):
        report_on(store, "sample", tmp_path / "page.html")


@pytest.mark.parametrize("damage", [cut, emptied])
@pytest.mark.parametrize("view", ["predictions", "labels"])
def test_a_query_names_the_damaged_shard(store: Path, view: str, damage: Callable[[bytes], bytes]) -> None:
    path = spoil(store, f"{view}/*/*.parquet", damage)
    with pytest.raises(DamagedError, match=f"^{path}: damaged"):
        query(store, f"SELECT sum(hash(r)) FROM {view} r")


def test_a_manifest_without_its_files_is_damaged(store: Path) -> None:
    path = sorted(store.glob("predictions/*/manifest.json"))[0]
    path.write_text("{}")
    (said,) = damaged(store)
    assert said.startswith(f"{path}: damaged ('files')")


def test_weights_of_an_earlier_version_have_their_size_checked(store: Path) -> None:
    (path,) = store.glob("models/*/model.json")
    facts = json.loads(path.read_text())
    del facts["sha256"]
    path.write_text(json.dumps(facts))
    assert [check.path.name for check in checks(store) if not check.has_hash] == ["model.safetensors"]
    weights = path.with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert any(said.startswith(f"{weights}: damaged (expected") for said in damaged(store))

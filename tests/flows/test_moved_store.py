"""A store that is moved, with the old place gone, is used as before."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import mlflow
import pandas as pd
import pytest
from support.trees import TINY_FILE

from data.labels import Split
from data.warehouse.answers import query, warehouse_path
from data.warehouse.views import carry_over
from flows.evaluate import evaluate_mtanet
from flows.predict import predict_videos
from flows.servers.environment import free_port, server_commands, wait_for
from flows.train import Trained, train_mtanet
from model.serving import example_faces
from tasks.config import MachineConfig
from tasks.experiments import load_experiment
from tasks.quality.report import report_on
from tasks.tracking import runs
from tasks.tracking.artifacts import FOLDER, PLACE, database_path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture
def moved(trained: Trained, machine: MachineConfig, tmp_path: Path) -> Iterator[MachineConfig]:
    """The trained store at another place, with a space and an accent in its path; the old place is gone meanwhile."""
    assert trained.model.number
    place = tmp_path / "un été" / "the store"
    place.parent.mkdir()
    shutil.copytree(machine.store, place)
    gone = machine.store.rename(machine.store.with_name("gone"))
    try:
        yield machine.but(store=place)
    finally:
        gone.rename(machine.store)


def files_that_name(text: str, store: Path) -> list[str]:
    """The files of a store with this text; not those of Prefect, whose records of past runs say where they ran."""
    files = [path for path in store.rglob("*") if path.is_file() and "prefect" not in path.relative_to(store).parts]
    return [str(path.relative_to(store)) for path in files if text.encode() in path.read_bytes()]


def results(store: Path) -> set[Path]:
    return {path for stage in ("detections", "faces", "models", "predictions") for path in (store / stage).iterdir()}


@pytest.mark.usefixtures("trained")
def test_no_file_names_the_store_it_is_in(machine: MachineConfig) -> None:
    assert files_that_name(str(machine.store), machine.store) == []


def test_everything_works_at_the_new_place(moved: MachineConfig, trained: Trained, tmp_path: Path) -> None:
    store = moved.store
    before = results(store)
    again = train_mtanet(load_experiment(str(TINY_FILE)), moved)
    assert again.model.number == trained.model.number
    assert results(store) == before
    scores = evaluate_mtanet("champion", "sample", Split.TRAIN, moved).scores
    assert "total" in scores
    (tmp_path / "own").mkdir()
    shutil.copy(next(store.glob("sample/*/videos/*/*.mp4")), tmp_path / "own" / "mine.mp4")
    predict_videos(tmp_path / "own", "champion", moved)
    counts = query(store, "SELECT dataset, count(*) AS n FROM predictions JOIN videos USING (video_id) GROUP BY 1")
    assert set(counts["dataset"].to_pylist()) == {"sample", "own"}
    assert "<html" in report_on(store, "sample", tmp_path / "page.html").read_text()
    client = runs.connect(store)
    run_id = trained.model.run_id
    assert "901" in mlflow.artifacts.load_text(f"runs:/{run_id}/training_videos.json")
    answers = mlflow.pyfunc.load_model("models:/mtanet@champion").predict(example_faces())
    assert isinstance(answers, pd.DataFrame)
    assert client.get_run(run_id).info.artifact_uri == f"{PLACE}{run_id}/artifacts"


def test_mlflows_pages_show_pictures_at_the_new_place(moved: MachineConfig, trained: Trained) -> None:
    port = free_port()
    command = server_commands(moved.store, prefect_port=1, mlflow_port=port)["mlflow"]
    pictures = list(moved.store.glob(f"{FOLDER}/{trained.model.run_id}/artifacts/**/*.png"))
    assert pictures
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            page = f"http://127.0.0.1:{port}"
            wait_for(f"{page}/health", process=server)
            place = pictures[0].relative_to(moved.store / FOLDER / trained.model.run_id / "artifacts").as_posix()
            asked = {"run_uuid": trained.model.run_id, "path": place}
            answer = httpx.get(f"{page}/get-artifact", params=asked, timeout=30)
            assert answer.content == pictures[0].read_bytes()
        finally:
            server.terminate()


def test_a_store_of_an_earlier_version_is_carried_over(moved: MachineConfig, trained: Trained) -> None:
    store, old = moved.store, "/somewhere/else/store"
    with closing(sqlite3.connect(database_path(store))) as database:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
        ):
            database.execute(
                f"UPDATE {table} SET {column} = rtrim(replace({column}, ?, ?), '/')", (PLACE, f"file://{old}/{FOLDER}/")
            )
        database.execute(
            "UPDATE datasets SET dataset_source = replace(dataset_source, '\"sample/', ?)", (f'"{old}/sample/',)
        )
        database.commit()
    for model in store.glob(f"{FOLDER}/models/*/artifacts/MLmodel"):
        model.write_text(model.read_text().replace(PLACE, f"file://{old}/{FOLDER}/"))
    assert len(files_that_name(old, store)) > 1
    runs._opened.clear()
    client = runs.connect(store)
    assert files_that_name(old, store) == []
    assert client.get_run(trained.model.run_id).info.artifact_uri == f"{PLACE}{trained.model.run_id}/artifacts"
    mlflow.pyfunc.load_model("models:/mtanet@champion").predict(example_faces())


def test_a_warehouse_with_absolute_paths_is_rebuilt(moved: MachineConfig) -> None:
    import duckdb

    path = warehouse_path(moved.store)
    (shard, *_) = moved.store.glob("faces/*/*.parquet")
    with duckdb.connect(str(path)) as database:
        database.execute(f"CREATE OR REPLACE VIEW frames AS FROM read_parquet(['{shard}'])")
    carry_over(moved.store)
    assert files_that_name(str(moved.store), moved.store) == []
    with duckdb.connect(str(path), read_only=True, config={}) as database:
        database.execute(f"SET VARIABLE store = '{moved.store}'")
        assert database.execute("SELECT count(*) FROM frames").fetchone() != (0,)

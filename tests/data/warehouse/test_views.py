from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data.annotations.splits import recording_of
from data.schema import FACES, LABELS, PREDICTIONS, PREDICTIONS_VERSION
from data.store.catalogue import Dataset, Video, write_catalogue
from data.store.shards import write_folder, write_manifest, write_parquet
from data.warehouse.answers import query
from data.warehouse.views import publish, write_scores


def write_shard(folder: Path, rows: list[dict[str, object]], schema: pa.Schema, facts: dict[str, object]) -> None:
    with write_folder(folder) as partial:
        write_parquet(pa.Table.from_pylist(rows, schema=schema), partial / "107.parquet")
        write_manifest(partial, facts)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """One video of three frames with labels for two of them and predictions of model version 1."""
    identity = [{"track_id": "107", "video_id": "107", "frame_index": frame} for frame in range(3)]
    faces = [{**row, "time_s": frame / 30, "status": "ok"} for frame, row in enumerate(identity)]
    write_shard(tmp_path / "faces" / "f1", faces, FACES, {"video_id": "107", "num_frames": 3, "codec": "vp9"})
    labels = [
        {**row, "valence": value, "au12": True, "edition": "2020"}
        for row, value in zip(identity, [0.5, None, 1.0], strict=True)
    ]
    write_shard(tmp_path / "labels" / "l1", labels, LABELS, {})
    predictions = [{**row, "status": "ok", "model_version": 1, "valence": 0.5, "au12": 0.9} for row in identity]
    now: dict[str, object] = {"version": PREDICTIONS_VERSION}
    before: dict[str, object] = {"version": PREDICTIONS_VERSION - 1}
    write_shard(tmp_path / "predictions" / "p1", predictions, PREDICTIONS, {"faces": "f1", **now})
    write_shard(tmp_path / "predictions" / "p0", predictions, PREDICTIONS, {"faces": "of an earlier ingest", **now})
    write_shard(tmp_path / "predictions" / "p2", predictions, PREDICTIONS, {"faces": "f1", **before})
    write_data_set(tmp_path, "set-a")
    (tmp_path / "runs").mkdir()
    run = {"run_id": "r", "model_version": 1, "scores": {"ccc": 0.5, "total": 1.5}}
    (tmp_path / "runs" / "r.json").write_text(json.dumps(run))
    return tmp_path


def write_data_set(store: Path, name: str) -> None:
    video = Video("107", "107.mp4", "f1", "ab", ("107",))
    write_catalogue(Dataset(name, "/data", (video,), labels="l1"), store)


def test_views_join_by_track_and_frame(store: Path) -> None:
    publish(store)
    rows = query(
        store,
        "SELECT f.frame_index, l.valence, p.valence AS predicted FROM frames f"
        " JOIN labels l USING (track_id, frame_index) JOIN predictions p USING (track_id, frame_index) ORDER BY 1",
    ).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(0, 0.5, 0.5), (1, None, 0.5), (2, 1.0, 0.5)]
    assert query(store, "SELECT video_id, dataset, sha256, num_frames, tracks FROM videos").to_pylist() == [
        {"video_id": "107", "dataset": "set-a", "sha256": "ab", "num_frames": 3, "tracks": ["107"]}
    ]
    assert query(store, "SELECT metric, value FROM runs ORDER BY 1").to_pylist() == [
        {"metric": "ccc", "value": 0.5},
        {"metric": "total", "value": 1.5},
    ]


def test_an_empty_store_has_every_view(tmp_path: Path) -> None:
    publish(tmp_path)
    for view in ("frames", "labels", "predictions", "videos", "runs", "scores", "pooled_scores(1, 'a', 'validation')"):
        assert query(tmp_path, f"FROM {view}").num_rows == 0


def test_sql_agrees_with_numpy_and_leaves_out_pairs_with_a_null(tmp_path: Path) -> None:
    publish(tmp_path)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 500))
    keep = generator.random(500) < 0.8
    values = ", ".join(f"({a}, {b if k else 'NULL'})" for a, b, k in zip(x, y, keep, strict=True))
    (row,) = query(tmp_path, f"SELECT ccc(x, y) AS ccc FROM (VALUES {values}) AS t(x, y)").to_pylist()
    x, y = x[keep], y[keep]
    expected = 2 * np.mean((x - x.mean()) * (y - y.mean())) / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert row["ccc"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ("(true, true), (true, false), (false, true), (NULL, true)", 0.5),
        ("(false, false), (true, NULL)", None),
    ],
)
def test_f1_counts_what_was_found_missed_and_made_up(tmp_path: Path, pairs: str, expected: float | None) -> None:
    publish(tmp_path)
    rows = query(tmp_path, f"SELECT f1_binary(t, p) AS f1 FROM (VALUES {pairs}) AS v(t, p)").to_pylist()
    assert rows == [{"f1": expected}]


def test_a_video_in_two_data_sets_is_refused(store: Path) -> None:
    write_data_set(store, "set-b")
    with pytest.raises(ValueError, match="video 107 is in the data sets set-a and set-b"):
        publish(store)


def test_a_store_without_a_warehouse_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no warehouse yet"):
        query(tmp_path, "SELECT 1")


@pytest.mark.parametrize("sql", ["SELECT nothing FROM frames", "CREATE TABLE mine (a INTEGER)"])
def test_a_wrong_query_is_refused(store: Path, sql: str) -> None:
    publish(store)
    with pytest.raises(ValueError, match="the query is wrong"):
        query(store, sql)


def test_a_locked_and_a_damaged_warehouse_have_different_messages(store: Path) -> None:
    path = publish(store)
    hold = f"import duckdb; c = duckdb.connect({str(path)!r}); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="is locked: another program has it open for writing"):
            query(store, "FROM frames")
        publish(store)
        assert query(store, "FROM frames").num_rows == 3
        holder.communicate("\n")
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(ValueError, match=r"cannot be read; `mtanet doctor --store .*` names"):
        query(store, "FROM frames")


@pytest.mark.parametrize("video_id", ["video45_1", "video45", "2-30-640x360-1", "2-30-640x360", "107", "video1_2_3"])
def test_sql_knows_what_a_video_is_a_part_of(tmp_path: Path, video_id: str) -> None:
    publish(tmp_path)
    (row,) = query(tmp_path, f"SELECT recording_of('{video_id}') AS recording").to_pylist()
    assert row["recording"] == recording_of(video_id)


def test_scores_are_those_written_last(store: Path) -> None:
    row = {"run_id": "r", "model_version": 1, "kind": "pooled", "scope": "video", "video_id": "107", "metric": "ccc"}
    write_scores(store / "runs" / "r.parquet", [{**row, "value": 0.1}])
    write_scores(store / "runs" / "r.parquet", [{**row, "value": 0.5, "low": 0.4, "high": 0.6}])
    publish(store)
    found = query(store, "SELECT video_id, metric, value, low, high, subject FROM scores").to_pylist()
    assert [tuple(row.values()) for row in found] == [("107", "ccc", 0.5, 0.4, 0.6, None)]


def test_every_answer_and_score_names_its_system_mtanet_where_none_is_told(store: Path) -> None:
    identity = [{"track_id": "107", "video_id": "107", "frame_index": frame} for frame in range(3)]
    rows = [{**row, "status": "ok", "model_version": 2, "expression": 1} for row in identity]
    facts = {"faces": "f1", "version": PREDICTIONS_VERSION, "model_version": 2, "system": "expr_cnn"}
    write_shard(store / "predictions" / "p3", rows, PREDICTIONS, facts)
    run = {"run_id": "s", "model_version": 2, "system": "expr_cnn", "scores": {"expression": 0.5}}
    (store / "runs" / "s.json").write_text(json.dumps(run))
    for number, name in enumerate("rs", start=1):
        write_scores(store / "runs" / f"{name}.parquet", [{"model_version": number, "metric": "expression"}])
    publish(store)
    expected = [{"model_version": 1, "system": "mtanet"}, {"model_version": 2, "system": "expr_cnn"}]
    for view in ("predictions", "runs", "scores"):
        assert query(store, f"SELECT DISTINCT model_version, system FROM {view} ORDER BY 1").to_pylist() == expected

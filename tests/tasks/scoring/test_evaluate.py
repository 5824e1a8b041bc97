"""The scores of predictions in shards: pooled, of each video and subject, written down, and found again by SQL."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.scored_store import EDITION, VALIDATION, add_version, make_store, truth_of

from data.annotations.splits import recording_of
from data.labels import EXPRESSIONS, Edition, Split, action_unit_columns
from data.store.catalogue import Dataset
from data.store.shards import parquet_files
from data.warehouse.answers import query
from data.warehouse.views import publish
from model.scores.diagnostics import expression_reliability
from tasks.config import MachineConfig
from tasks.scoring import evaluate
from tasks.scoring.reports import scores_markdown
from tasks.scoring.result import Evaluation
from tasks.tracking import registry, runs
from tasks.tracking.registry import Version

DOCS = Path(__file__).parents[3] / "docs" / "sql.md"

# MLflow 3.17 warns about its own annotations while `mlflow.pyfunc` is imported.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")]

Key = tuple[str | None, str | None, str]
"""Subject, video and metric."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> MachineConfig:
    store = tmp_path_factory.mktemp("store")
    (store / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    return MachineConfig(store=store, device="cpu")


@pytest.fixture(scope="module")
def dataset(machine: MachineConfig) -> Dataset:
    return make_store(machine.store)


@pytest.fixture(scope="module")
def model(machine: MachineConfig, dataset: Dataset) -> Version:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "SERVER", "")
        return add_version(machine.store, dataset, noise=0.4)


@pytest.fixture(scope="module")
def evaluation(machine: MachineConfig, dataset: Dataset, model: Version) -> Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "SERVER", "")
        found: Evaluation = evaluate.evaluate.fn(model, dataset, Split.VALIDATION, machine)
        publish(machine.store)
        return found


def by_key(rows: list[dict[str, object]]) -> dict[Key, float]:
    return {(row["subject"], row["video_id"], row["metric"]): row["value"] for row in rows}  # type: ignore[misc]


def written(machine: MachineConfig, kind: str = "pooled") -> dict[Key, float]:
    return by_key(query(machine.store, f"SELECT * FROM scores WHERE kind = '{kind}'").to_pylist())


def documented(comment: str) -> str:
    """A query of docs/sql.md, by the comment that it begins with."""
    (found,) = re.findall(rf"^    -- {comment}\n((?:    .*\n)+)", DOCS.read_text(), re.MULTILINE)
    return str(found).replace("'sample'", "'set-a'")


def test_scores_are_of_all_frames_of_each_subject_and_of_each_video(
    evaluation: Evaluation, machine: MachineConfig
) -> None:
    found = written(machine)
    assert {name: value for (subject, _, name), value in found.items() if subject is None} == evaluation.scores
    assert {subject for subject, video_id, _ in found if video_id is None} == {
        None,
        *(recording_of(video_id) for video_id in VALIDATION),
    }
    assert {video_id for _, video_id, _ in found} == {None, *VALIDATION}
    assert found["video45", None, "ccc"] not in (
        found["video45", "video45_1", "ccc"],
        found["video45", "video45_2", "ccc"],
    )
    names = {f"f1_{name}" for name in (*EXPRESSIONS[EDITION], *action_unit_columns(EDITION))} | {"ccc_valence", "total"}
    assert names <= {name for subject, _, name in found if subject is None}
    # 108 has no valence, 110 is held out by all tasks but that of action units
    assert not {("108", "108", "ccc"), ("110", "110", "ccc"), ("110", "110", "expression")} & found.keys()
    assert ("110", "110", "action_units") in found


@pytest.mark.usefixtures("evaluation")
def test_every_score_is_found_again_by_the_queries_of_the_docs(machine: MachineConfig, model: Version) -> None:
    expected = written(machine)
    found: dict[Key, float] = {}
    for comment in ("valence and arousal", "expressions", "action units", "totals"):
        found |= by_key(query(machine.store, documented(comment)).to_pylist())
    assert len(expected) > 200
    assert found == pytest.approx(expected, abs=1e-9)
    every = f"FROM pooled_scores({model.number}, 'set-a', 'validation')"
    assert by_key(query(machine.store, every).to_pylist()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.usefixtures("evaluation")
def test_every_query_of_the_docs_is_understood(machine: MachineConfig) -> None:
    blocks = re.findall(r"(?:^    .*\n)+", DOCS.read_text(), re.MULTILINE)
    assert len(blocks) > 10
    for block in blocks:
        query(machine.store, block)


@pytest.mark.usefixtures("evaluation")
def test_the_constant_guess_is_found_again_by_the_query_of_the_docs(machine: MachineConfig) -> None:
    expected = {metric: value for (_, _, metric), value in written(machine, "constant_guess").items()}
    found = {row["metric"]: row["value"] for row in query(machine.store, documented("constant guess")).to_pylist()}
    assert {name for name in expected if not name.startswith(("ccc", "total"))} == found.keys()
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-9)
    assert expected["ccc"] == pytest.approx(0, abs=1e-12)


@pytest.mark.usefixtures("evaluation")
def test_the_calibration_error_is_found_again_by_the_query_of_the_docs(machine: MachineConfig) -> None:
    known = "WHERE split_expr = 'validation' AND p.valence IS NOT NULL"
    joined = "FROM predictions p JOIN labels l USING (track_id, frame_index)"
    rows = query(machine.store, f"SELECT p.*, l.expression::DOUBLE AS truth {joined} {known}")
    names = [f"p_{name}" for name in EXPRESSIONS[EDITION]]
    predicted = {name: rows[name].to_numpy() for name in names}
    truth = {"expression": rows["truth"].to_numpy()}
    (found,) = query(machine.store, documented("calibration error")).to_pylist()
    expected = expression_reliability(predicted, truth, EDITION).error
    assert expected > 0.01
    assert found["calibration_error"] == pytest.approx(expected, abs=1e-9)


def test_sql_reads_the_formulas_of_2022_too(mlflow_store: Path) -> None:
    machine = MachineConfig(store=mlflow_store, device="cpu")
    recent = make_store(mlflow_store, edition=Edition.ABAW_2022)
    model = add_version(mlflow_store, recent, noise=0.4, edition=Edition.ABAW_2022)
    found = evaluate.evaluate.fn(model, recent, Split.VALIDATION, machine).scores
    publish(mlflow_store)
    assert found["expression"] == found["expression_macro_f1"]
    assert {"f1_other", "f1_au26"} <= found.keys()
    every = "FROM pooled_scores(1, 'set-a', 'validation')"
    assert by_key(query(mlflow_store, every).to_pylist()) == pytest.approx(written(machine), abs=1e-9)


def test_the_report_has_every_kind_of_score(evaluation: Evaluation) -> None:
    page = scores_markdown(evaluation, "the verdict")
    interval = evaluation.intervals["ccc"]
    guess = evaluation.constant_guess["ccc"]
    assert f"| CCC, mean | {evaluation.scores['ccc']:.3f} | {interval.low:.3f} to {interval.high:.3f} | " in page
    assert f"| {guess:z.3f} |" in page
    assert "as in the paper (too high): ccc_valence" in page
    assert f"| f1_au12 | {evaluation.scores['f1_au12']:.3f} |" in page
    video = evaluation.by_video["110"]
    assert f"| 110 | - | - | {video['action_units']:.3f} | - |" in page


def test_a_model_that_was_trained_on_a_leak_has_a_warning(
    evaluation: Evaluation, machine: MachineConfig, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "too high:" not in scores_markdown(evaluation, "")
    monkeypatch.setattr(runs, "SERVER", "")
    leaky = add_version(machine.store, dataset, noise=0.4, seed=7)
    runs.connect(machine.store).set_tag(leaky.run_id, "leaking_videos", "57")
    found = evaluate.evaluate.fn(leaky, dataset, Split.VALIDATION, machine)
    assert (
        "**These scores are too high:** a task was trained on 57 videos that another task holds out"
        in scores_markdown(found, "")
    )
    assert registry.find_version(machine.store, str(leaky.number)).tags["leaking_videos"] == "57"


def test_a_page_says_how_the_training_labels_were_corrupted(
    evaluation: Evaluation, machine: MachineConfig, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "corrupted" not in scores_markdown(evaluation, "")
    monkeypatch.setattr(runs, "SERVER", "")
    version = add_version(machine.store, dataset, noise=0.4, seed=11)
    runs.connect(machine.store).set_tag(version.run_id, "corruption", "wrong_expressions=0.4")
    found = evaluate.evaluate.fn(version, dataset, Split.VALIDATION, machine)
    assert "The training labels were corrupted: wrong_expressions=0.4." in scores_markdown(found, "")


def test_mlflow_has_the_scores_and_the_ends_of_the_official_ones(
    evaluation: Evaluation, machine: MachineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SERVER", "")
    logged = runs.connect(machine.store).get_run(evaluation.model.run_id).data.metrics
    for name, value in evaluation.scores.items():
        assert logged[f"final/{name}"] == value
    ends = [logged["final_low/total"], logged["final/total"], logged["final_high/total"]]
    assert ends == sorted(ends)
    assert (ends[0], ends[2]) == (evaluation.intervals["total"].low, evaluation.intervals["total"].high)


def test_intervals_stand_beside_their_scores_in_sql(evaluation: Evaluation, machine: MachineConfig) -> None:
    rows = query(machine.store, "SELECT metric, low, high FROM scores WHERE kind = 'pooled' AND scope = 'all'")
    ends = {row["metric"]: (row["low"], row["high"]) for row in rows.to_pylist()}
    found = {name: (interval.low, interval.high) for name, interval in evaluation.intervals.items()}
    assert ends == {name: found[name] for name in ends}


def test_a_model_that_is_silent_about_a_face_gets_no_score(
    machine: MachineConfig, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SERVER", "")
    silent = add_version(machine.store, dataset, noise=0.4, seed=9)
    (video,) = (video for video in dataset.videos if video.video_id == "107")
    (file,) = parquet_files(evaluate.predictions_folder(machine.store, silent, video))
    table = pq.read_table(file)
    labelled = int(np.flatnonzero(~np.isnan(truth_of("107")["valence"]))[10])
    column = table["valence"].to_pylist()
    column[labelled] = None
    pq.write_table(table.set_column(table.column_names.index("valence"), "valence", [column]).cast(table.schema), file)
    with pytest.raises(
        ValueError, match=rf"no prediction by {silent} for track 107, frame {labelled}, which has a face"
    ):
        evaluate.evaluate.fn(silent, dataset, Split.VALIDATION, machine)


def test_a_model_of_another_edition_is_not_scored(
    machine: MachineConfig, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SERVER", "")
    other = add_version(machine.store, dataset, noise=0.4, seed=8, edition=Edition.ABAW_2022)
    with pytest.raises(
        ValueError, match=rf"{other} was trained on labels of edition 2022, but set-a has labels of edition 2020"
    ):
        evaluate.check_edition(other, dataset, machine.store)

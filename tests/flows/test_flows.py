"""The whole way, small: three synthetic clips of a second, a tiny network, two epochs."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from support.trees import TINY_FILE, MakeTree

from data.labels import Edition, Split
from data.store.catalogue import Dataset, read_catalogue, write_catalogue
from data.store.shards import parquet_files, read_manifest, read_table
from data.video.frames import resolve_device
from data.warehouse.answers import query
from flows.evaluate import evaluate_mtanet
from flows.ingest import ingest_aff_wild2
from flows.predict import predict_videos
from flows.train import ExperimentName, Trained, train_mtanet
from tasks.config import Experiment, IngestConfig, MachineConfig, TrainConfig
from tasks.experiments import EXPERIMENTS, load_experiment, with_settings
from tasks.ingest.failures import FailedVideosError
from tasks.tracking import registry, runs

pytestmark = [
    # MLflow 3.17 warns about its own annotations while `mlflow.pyfunc` is imported, which logging a model does.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.usefixtures("prefect_api"),
]

TINY = load_experiment(str(TINY_FILE))


def files_of(store: Path) -> dict[str, int]:
    """Every shard, model and picture with its time of writing; not the databases."""
    made = [path for path in store.rglob("*") if path.is_file() and path.suffix not in (".db", ".duckdb", ".log")]
    return {path.relative_to(store).as_posix(): path.stat().st_mtime_ns for path in made if path.parent.name != "runs"}


def test_the_names_in_the_prefect_form_are_the_experiment_files() -> None:
    assert sorted(get_args(ExperimentName)) == sorted(path.stem for path in EXPERIMENTS.glob("*.toml"))


def test_the_paper_experiment_is_the_method_as_it_is() -> None:
    config = Experiment.model_validate({"name": "paper", **tomllib.loads((EXPERIMENTS / "paper.toml").read_text())})
    assert config.train == TrainConfig()


def test_a_model_is_registered_scored_and_champion(trained: Trained, machine: MachineConfig) -> None:
    model = trained.model
    assert (model.number, trained.evaluation.split, trained.evaluation.dataset) == (1, Split.VALIDATION, "sample")
    assert {"ccc", "expression", "action_units", "total"} <= set(trained.evaluation.scores)
    assert "mtanet v1 is the champion: it is the first" in trained.verdict
    assert registry.champion(machine.store) == model
    assert set(model.aliases) == {"champion", "challenger"}
    assert model.tags["verdict"] == trained.verdict


@pytest.mark.usefixtures("trained")
def test_every_frame_of_every_track_has_a_prediction(machine: MachineConfig) -> None:
    dataset = read_catalogue(machine.store, "sample")
    assert len(dataset.videos) == 3
    assert (machine.store / "labels" / str(dataset.labels) / "labels.parquet").is_file()
    frames = read_table(dataset.faces_files(machine.store), ["track_id", "frame_index", "status"])
    answer = query(
        machine.store,
        "SELECT track_id, frame_index, status FROM predictions ORDER BY track_id, frame_index",
    )
    assert answer.to_pylist() == sorted(frames.to_pylist(), key=lambda row: (row["track_id"], row["frame_index"]))
    unseen = query(
        machine.store, "SELECT count(*) AS n FROM predictions WHERE status = 'no_face' AND valence IS NOT NULL"
    )
    assert unseen.to_pylist() == [{"n": 0}]


def test_a_prediction_leads_back_to_what_made_it(trained: Trained, machine: MachineConfig) -> None:
    (row,) = query(
        machine.store,
        "SELECT DISTINCT r.run_id, r.code_revision, r.config_digest, v.sha256 FROM predictions p"
        " JOIN runs r USING (model_version) JOIN videos v USING (video_id) WHERE v.video_id LIKE '901-%'",
    ).to_pylist()
    assert row["run_id"] == trained.model.run_id
    assert row["config_digest"] == TINY.digest
    assert len(row["code_revision"]) >= 5
    assert len(row["sha256"]) == 64


def test_the_scores_in_sql_are_those_of_the_run(trained: Trained, machine: MachineConfig) -> None:
    rows = query(machine.store, "SELECT metric, value FROM runs WHERE experiment = 'tiny'").to_pylist()
    found = {row["metric"]: row["value"] for row in rows}
    assert found["total"] == trained.evaluation.scores["total"]
    ccc = "SELECT ccc(p.valence, l.valence) AS ccc FROM predictions p JOIN labels l USING (track_id, frame_index)"
    (row,) = query(machine.store, f"{ccc} WHERE l.split_va = 'validation'").to_pylist()
    assert row["ccc"] == pytest.approx(found["ccc_valence"], abs=1e-9)


def test_the_run_has_its_settings_losses_pictures_and_data(trained: Trained, machine: MachineConfig) -> None:
    client = runs.connect(machine.store)
    run = client.get_run(trained.model.run_id)
    assert run.data.params["train.width"] == "8"
    assert run.data.params["sample.clips"] == "3"
    assert runs.logged_steps(machine.store, run.info.run_id, "train/loss") == {0, 1}
    assert run.data.metrics["final/total"] == trained.evaluation.scores["total"]
    assert {"batch_averaged/action_units_mean_f1", "constant_guess/expression"} <= set(run.data.metrics)
    pictures = [file.path for file in client.list_artifacts(run.info.run_id, "plots/sample-validation")]
    shown = ["action_units", "confusion", "reliability", "timelines", "valence_arousal", "worst_tracks"]
    assert [Path(path).stem for path in pictures] == shown
    assert run.inputs is not None
    assert run.inputs.dataset_inputs[0].dataset.digest == read_catalogue(machine.store, "sample").digest


def test_a_second_run_does_nothing_and_asks_for_no_place(
    trained: Trained, machine: MachineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(machine.store)
    monkeypatch.setattr("tasks.ingest.videos.extract_faces", None)
    monkeypatch.setattr("tasks.ingest.videos._decode_limit_exists", None)
    again = train_mtanet(TINY, machine)
    assert files_of(machine.store) == before
    assert again.model == trained.model
    assert again.evaluation.scores == trained.evaluation.scores
    assert len(runs.connect(machine.store).search_model_versions("name = 'mtanet'")) == 1


@pytest.mark.usefixtures("trained")
def test_a_challenger_does_not_become_champion_by_one_video(machine: MachineConfig) -> None:
    other = train_mtanet(with_settings(TINY, ["train.epochs=1"]), machine)
    assert other.model.number == 2
    assert other.verdict.startswith("mtanet v1 stays champion: comparing")
    assert registry.find_version(machine.store, "champion").number == 1
    assert registry.find_version(machine.store, "challenger").number == 2
    beside = evaluate_mtanet("2", "sample", Split.TRAIN, machine)
    assert beside.num_frames > other.evaluation.num_frames
    splits = query(machine.store, "SELECT DISTINCT split FROM runs WHERE model_version = 2 ORDER BY 1").to_pylist()
    assert [row["split"] for row in splits] == ["train", "validation"]
    # The training videos are two recordings: what is fitted on one is scored on the other.
    metrics = runs.connect(machine.store).get_run(other.model.run_id).data.metrics
    by_smoothing = metrics["sample_train_crossfit/action_units_by_smoothing"]
    gain = metrics["sample_train_crossfit/action_units_by_smoothing_gain"]
    assert by_smoothing - gain == pytest.approx(metrics["sample_train_final/action_units"], abs=1e-6)


@pytest.mark.usefixtures("trained")
def test_a_model_with_a_temporal_head_is_registered_and_scored(machine: MachineConfig) -> None:
    over_time = with_settings(TINY, ["temporal.width=8", "temporal.epochs=2", "temporal.window=8"])
    model = train_mtanet(over_time, machine).model
    assert (machine.store / "models" / model.tags[runs.TRAINING_DIGEST] / "temporal.safetensors").is_file()
    metrics = runs.connect(machine.store).get_run(model.run_id).data.metrics
    frame, found = (metrics[f"temporal/{part}action_units"] for part in ("frame_", ""))
    assert metrics["temporal/gain_action_units"] == pytest.approx(found - frame)
    assert found == pytest.approx(metrics["final/action_units"], abs=0.02)
    said = "SELECT count(*) AS n, count(valence) AS raw, count(smoothed_valence) AS smoothed, count(decided_au4) AS au4"
    (row,) = query(machine.store, f"{said} FROM predictions WHERE model_version = {model.number}").to_pylist()
    assert row["n"] >= row["raw"] == row["smoothed"] == row["au4"] > 0
    before = files_of(machine.store)
    assert train_mtanet(over_time, machine).model == model
    assert files_of(machine.store) == before


@pytest.mark.usefixtures("prefect_api")
def test_a_folder_with_the_name_of_another_is_refused_before_anything_is_read(
    make_tree: MakeTree, tmp_path: Path
) -> None:
    machine = MachineConfig(store=tmp_path / "store")
    root = make_tree({"VA_Set/Training_Set/107": ["0.1,0.2"]})
    for name in ("root", "other"):
        write_catalogue(Dataset(name, str(tmp_path / "elsewhere" / name), ()), machine.store)
    with pytest.raises(ValueError, match=r"'root' is already the name of .*elsewhere/root; .* with --name"):
        predict_videos(root, "champion", machine)
    with pytest.raises(ValueError, match=r"'other' is already the name"):
        predict_videos(root, "champion", machine, "other")
    with pytest.raises(ValueError, match=r"'root' is already the name"):
        ingest_aff_wild2(IngestConfig(root=root, edition=Edition.ABAW_2020), machine)
    with pytest.raises(ValueError, match="no model 'champion'"):
        predict_videos(root, "champion", machine, "root-2")


@pytest.mark.usefixtures("trained")
def test_own_videos_get_predictions_without_labels(machine: MachineConfig, tmp_path: Path) -> None:
    video = next((machine.store / "sample").rglob("*.mp4"))
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "beach.mp4").write_bytes(video.read_bytes())
    (folder / "clouds.mp4").write_text("this is no video")
    with pytest.raises(
        FailedVideosError, match=r"1 of 2 videos failed: clouds\.mp4: expected a video, .* The other one is in"
    ):
        predict_videos(folder, "champion", machine)
    dataset = read_catalogue(machine.store, "holiday")
    assert dataset.labels is None
    (faces,) = dataset.faces_folders(machine.store)
    num_rows = sum(facts["rows"] for facts in read_manifest(faces)["files"].values())
    answer = query(
        machine.store,
        "SELECT count(*) AS n FROM predictions JOIN videos USING (video_id) WHERE dataset = 'holiday'",
    )
    assert answer.to_pylist() == [{"n": num_rows}]
    (machine.store / "datasets" / "holiday.json").unlink()


@pytest.mark.usefixtures("trained")
def test_files_and_folders_are_predicted_and_a_model_of_rendered_heads_warns(
    machine: MachineConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("mtanet"), "propagate", True)  # which a command may have ended
    video = next((machine.store / "sample").rglob("*.mp4"))
    for name in ("a/one.MP4", "a/two.mp4", "b/one.mp4", "b/deep/three.ts"):
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(video.read_bytes())
    own = tmp_path / "own"
    dataset = predict_videos([own / "a" / "one.MP4", own / "b"], "champion", machine)
    assert (dataset.name, dataset.root) == ("own", str(own))
    assert [(video.path, video.copies) for video in dataset.videos] == [
        ("a/one.MP4", ("b/one.mp4",)),
        ("b/deep/three.ts", ()),
    ]
    with pytest.raises(ValueError, match="video one is in the data sets own and one, so SQL could not tell"):
        predict_videos([own / "a" / "one.MP4"], "champion", machine)
    assert predict_videos([own / "a" / "two.mp4"], "champion", machine).name == "two"
    with pytest.raises(ValueError, match=r"the data set own already has other videos of .*own, which these would"):
        predict_videos([own / "b" / "deep" / "three.ts", own / "a" / "two.mp4"], "champion", machine)
    (machine.store / "datasets" / "two.json").unlink()
    warning = r"mtanet v1 was trained on rendered heads only: its answers for real faces mean little"
    assert re.search(warning, caplog.text)
    assert "trained on rendered heads only" in (machine.store / "reports" / "own.html").read_text()
    asked = "SELECT DISTINCT trained_on_synthetic AS told FROM predictions"
    predict_videos(own, "champion", machine)
    assert query(machine.store, asked)["told"].to_pylist() == [True]
    assert query(machine.store, "SELECT file FROM quality WHERE kind = 'copies'")["file"].to_pylist() == ["b/one.mp4"]
    (machine.store / "datasets" / "own.json").unlink()


@pytest.mark.usefixtures("trained")
def test_a_training_continues_without_a_failed_video_and_warns(
    machine: MachineConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("mtanet"), "propagate", True)  # which a command may have ended
    root = tmp_path / "broken"
    shutil.copytree(next((machine.store / "sample").glob("*/annotations")).parent, root)
    broken = next(root.rglob("901-*.mp4"))
    broken.write_bytes(broken.read_bytes()[:1000])
    for name in ("detections", "faces"):
        shutil.copytree(machine.store / name, tmp_path / "store" / name)
    where = [f"ingest.root={json.dumps(str(root))}", "ingest.edition=2020"]
    config = with_settings(TINY.model_copy(update={"sample": None}), [*where, "train.epochs=1"])
    machine = machine.model_copy(update={"store": tmp_path / "store"})
    with caplog.at_level(logging.WARNING, "mtanet"):
        model = train_mtanet(config, machine).model
    assert runs.run_tags(machine.store, model.run_id)["failed_videos"] == "1"
    assert caplog.messages[-1].startswith("some videos are missing from this result: 1 of 3 videos failed: ")
    predicted = query(machine.store, "SELECT DISTINCT video_id FROM predictions ORDER BY 1").to_pylist()
    assert [row["video_id"] for row in predicted] == sorted(path.stem for path in root.rglob("*.mp4") if path != broken)
    lost = query(machine.store, "SELECT sum(count) AS n FROM quality WHERE kind = 'rows_without_video'").to_pylist()
    assert lost[0]["n"] > 0


@pytest.mark.usefixtures("trained")
def test_a_video_without_annotations_has_a_track_for_each_person(make_tree: MakeTree, machine: MachineConfig) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["0.1,0.2"], "EXPR_Set/Training_Set/107": ["3"]})
    one, two = (next((machine.store / "sample").rglob(f"{name}*.mp4")) for name in ("901-", "video902"))
    (root / "videos" / "batch1" / "107.mp4").write_bytes(one.read_bytes())
    (root / "videos" / "batch1" / "video59.mp4").write_bytes(two.read_bytes())
    dataset = ingest_aff_wild2(IngestConfig(root=root, name="partly", edition=Edition.ABAW_2020), machine)
    assert {video.video_id: video.tracks for video in dataset.videos} == {
        "107": ("107",),
        "video59": ("video59_person1", "video59_person2"),
    }
    (machine.store / "datasets" / "partly.json").unlink()


def test_no_data_no_flow(machine: MachineConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no data: give the folder of Aff-Wild2 with --root"):
        train_mtanet("paper", machine)
    with pytest.raises(ValueError, match="no videos in this folder or below"):
        ingest_aff_wild2(IngestConfig(root=tmp_path), machine)
    with pytest.raises(ValueError, match=r"no data set 'nowhere' in .*: expected one of"):
        read_catalogue(machine.store, "nowhere")


def test_a_gpu_asked_for_is_not_replaced_by_a_cpu(make_tree: MakeTree, machine: MachineConfig) -> None:
    if resolve_device("auto") == "gpu":
        pytest.skip("there is a GPU")
    ingest = IngestConfig(root=make_tree({"VA_Set/Training_Set/107": ["0.1,0.2"]}), edition=Edition.ABAW_2020)
    with pytest.raises(ValueError, match="GPU"):
        ingest_aff_wild2(ingest, machine.model_copy(update={"device": "gpu"}))


def test_no_model_no_prediction(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(ValueError, match="no model 'champion'"):
        predict_videos(tmp_path / "clip.mp4", "champion", MachineConfig(store=tmp_path / "store"))


@pytest.mark.usefixtures("trained")
def test_the_shards_name_their_files(machine: MachineConfig) -> None:
    for manifest in machine.store.glob("predictions/*/manifest.json"):
        facts = read_manifest(manifest.parent)
        assert {"faces", "model_version", "video_id", "run_id", "video_sha256"} <= set(facts)
        assert parquet_files(manifest.parent)

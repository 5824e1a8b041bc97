"""A system that learns at once is fitted once, to the same bytes, from points that are kept, and answers from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.aligned import aligned_face
from support.little_store import jpeg, label, write_labels, write_track

from data.labels import Edition, Split
from data.landmarks.kept import landmarks_folder
from data.store.catalogue import Dataset, Video
from data.store.shards import is_whole, parquet_files, write_folder, write_manifest
from model.finished import load_finished, predict_track
from model.training.loop import MODEL
from tasks.config import SYSTEM_EXPERIMENTS, MachineConfig
from tasks.experiments import with_settings
from tasks.tracking import runs
from tasks.training.epochs import training_digest
from tasks.training.systems import run_training

pytestmark = pytest.mark.slow
EXPERIMENT = with_settings(
    SYSTEM_EXPERIMENTS["geometry_pls"].model_validate({"name": "tiny", "system": "geometry_pls"}),
    ["train.components=[2]"],
)


def _dataset(store: Path) -> Dataset:
    """Two videos whose valence follows where the face is, one for training and one for validation."""
    rows, videos = [], []
    with write_folder(store / "labels" / "l1") as labels:
        for number, split in enumerate((Split.TRAIN, Split.VALIDATION)):
            name = f"video{number}"
            places = [((7 * frame + 3 * number) % 11) - 5.0 for frame in range(12)]
            with write_folder(store / "faces" / name) as folder:
                crops = {frame: jpeg(aligned_face(right_px=place)) for frame, place in enumerate(places)}
                write_track(folder, name, 12, crops=crops)
                write_manifest(folder, {})
            rows += [
                label(name, frame, split=split.value, valence=place / 10, arousal=-place / 10)
                for frame, place in enumerate(places)
            ]
            videos.append(Video(name, f"{name}.mp4", name, "s", (name,)))
        write_labels(labels / "labels.parquet", rows)
        write_manifest(labels, {"splits": {"rule": "guarded"}, "split_of": {}})
    return Dataset("tiny", str(store), tuple(videos), Edition.ABAW_2020, "l1")


def _fitted(store: Path) -> tuple[Dataset, Path]:
    dataset, machine = _dataset(store), MachineConfig(store=store, device="cpu")
    with runs.open_run(store, experiment="e", training_digest="d", run_name="r", params={}, tags={}) as run_id:
        first = run_training(EXPERIMENT.train, dataset, machine, run_id)
        folder = store / "models" / training_digest(EXPERIMENT.train, dataset, store)
        written = (folder / MODEL).stat().st_mtime_ns
        assert run_training(EXPERIMENT.train, dataset, machine, run_id) == first
        assert (folder / MODEL).stat().st_mtime_ns == written
    assert first["components"] == 2
    assert "validation/ccc" in first
    assert not [name for name in first if "expression" in name or "action_units" in name]
    assert runs.connect(store).get_run(run_id).data.metrics["validation/ccc"] == first["validation/ccc"]
    return dataset, folder


def test_it_is_fitted_once_and_again_in_another_store_to_the_same_bytes(
    mlflow_store: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, folder = _fitted(mlflow_store)
    assert all(is_whole(landmarks_folder(mlflow_store, video.faces)) for video in dataset.videos)
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setattr(runs, "SERVER", "")
    _, again = _fitted(other)
    assert (folder / MODEL).read_bytes() == (again / MODEL).read_bytes()


def test_it_answers_from_kept_points_as_from_the_crops(mlflow_store: Path) -> None:
    dataset, folder = _fitted(mlflow_store)
    model, video = load_finished(folder), dataset.videos[1]
    (faces_file,) = parquet_files(mlflow_store / "faces" / video.faces)
    _, from_crops = predict_track(model, faces_file)
    _, from_points = predict_track(model, faces_file, landmarks=landmarks_folder(mlflow_store, video.faces))
    assert from_crops.keys() == from_points.keys()
    assert from_points["valence"] == pytest.approx(from_crops["valence"], abs=1e-4)
    assert np.isnan(from_points["expression"]).all()
    assert np.isnan(from_points["au1"]).all()
    assert not np.isnan(from_points["arousal"]).any()

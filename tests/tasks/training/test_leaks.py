"""Two planted faults in the sample's own annotations: a leak between tasks, and labels that are off by one frame.

Nothing is rendered or trained: the acting is the sample's, written as the sample writes it and read as any annotations
are. A predictor that knows the exact labels, but for a little noise, stands for a well-trained network: what a wrong
alignment costs it, no network could win back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data.annotations.alignment import write_labels
from data.annotations.discovery import discover
from data.annotations.splits import SplitSettings, recording_of
from data.labels import Edition, Split, Task, action_unit_columns
from data.sample.acting import perform
from data.sample.annotations import TrackTruth, write_annotations
from data.sample.plan import plan_clip
from data.store.catalogue import Dataset, Video
from data.store.shards import MANIFEST, read_table, write_parquet
from model.scores.metrics import scores
from tasks.config import Experiment, MachineConfig
from tasks.tracking import runs
from tasks.training.leaks import refuse_leaks
from tasks.training.train import train_model

# MLflow 3.17 warns about its own annotations while `mlflow.pyfunc` is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")

CLIPS, SECONDS, SEED = 20, 4.0, 7
GUARDED = SplitSettings()
NAMES = ("valence", "arousal", "expression", *action_unit_columns(Edition.ABAW_2020))
Key = tuple[str, int]
Columns = dict[str, NDArray[np.float64]]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The annotations of the sample, and files in place of its videos."""
    root = tmp_path / "sample"
    (root / "videos").mkdir(parents=True)
    for index in range(CLIPS):
        plan = replace(plan_clip(index, seconds=SECONDS, seed=SEED), extra_rows=0)
        (root / "videos" / f"{plan.video_id}.mp4").touch()
        generator = np.random.default_rng((SEED, index))
        for track_id in plan.track_ids:
            acting = perform(generator, plan.num_frames, float(plan.fps))
            seen_F = np.ones(plan.num_frames, bool)
            truth = TrackTruth(track_id, acting, np.zeros((plan.num_frames, 4), np.float32), seen_F)
            write_annotations(root / "annotations", plan, truth, generator)
    return root


def ingest(root: Path, store: Path, splits: SplitSettings = GUARDED) -> Dataset:
    """The labels of a root, in a data set without faces."""
    tree = discover(root)
    labels = write_labels(tree, store, splits)
    videos = tuple(
        Video(video_id, f"{video_id}.mp4", "f", "ab", tuple(tree.tracks(video_id))) for video_id in tree.videos
    )
    return Dataset("sample", str(root), videos, tree.edition, labels.name)


def plant_leak(root: Path) -> str:
    """Moves the expressions of a validation video into the training set; gives the video's name."""
    held_out = root / "annotations" / "EXPR_Set" / "Validation_Set"
    track = sorted(held_out.glob("*x360.txt"))[0]
    track.rename(root / "annotations" / "EXPR_Set" / "Training_Set" / track.name)
    return track.stem


def test_the_guard_takes_a_planted_leak_out_of_training(sample: Path, tmp_path: Path) -> None:
    video = plant_leak(sample)
    dataset = ingest(sample, tmp_path)
    assert refuse_leaks(dataset, tmp_path) == []
    rows = read_table([dataset.labels_file(tmp_path)], ["video_id", "split_va", "split_expr"]).to_pylist()
    assert {(row["split_va"], row["split_expr"]) for row in rows if row["video_id"] == video} == {
        ("validation", "held_out")
    }


def test_a_leak_of_official_splits_is_reported(sample: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clean = ingest(sample, tmp_path, SplitSettings(splits="official"))
    assert refuse_leaks(clean, tmp_path) == []
    video = plant_leak(sample)
    leaks = refuse_leaks(ingest(sample, tmp_path, SplitSettings(splits="official")), tmp_path)
    assert [(leak.name, leak.trains, leak.split) for leak in leaks] == [(video, Task.EXPR, Split.VALIDATION)]
    assert (
        f"scores will be too good, because the official splits leak: {video} trains expr and is in the" in caplog.text
    )


def corrupt(labels_file: Path) -> str:
    """Lets a validation video train action units; gives the video's name."""
    rows = read_table([labels_file])
    video = next(row["video_id"] for row in rows.to_pylist() if row["split_va"] == "validation")
    corrupted = [
        {**row, "split_au": "train" if row["video_id"] == video else row["split_au"]} for row in rows.to_pylist()
    ]
    write_parquet(type(rows).from_pylist(corrupted, schema=rows.schema), labels_file)
    return str(video)


@pytest.mark.parametrize("rule", ["guarded", "subject_disjoint"])
def test_a_leak_planted_in_the_labels_themselves_is_refused(rule: str, sample: Path, tmp_path: Path) -> None:
    dataset = ingest(sample, tmp_path, SplitSettings.model_validate({"splits": rule}))
    video = recording_of(corrupt(dataset.labels_file(tmp_path)))
    with pytest.raises(ValueError, match=f"though the splits are {rule}: {video} trains au and is in the validation"):
        refuse_leaks(dataset, tmp_path)


def test_no_training_begins_on_a_leak(sample: Path, mlflow_store: Path) -> None:
    dataset = ingest(sample, mlflow_store)
    video = corrupt(dataset.labels_file(mlflow_store))
    with pytest.raises(ValueError, match=f"{video} trains au and is in the validation split"):
        train_model.fn(Experiment(name="leaky"), dataset, MachineConfig(store=mlflow_store, device="cpu"))
    assert runs._search(runs.connect(mlflow_store), "") == []  # in no experiment


def test_a_video_in_a_test_list_trains_nothing(sample: Path, tmp_path: Path) -> None:
    dataset = ingest(sample, tmp_path)
    video = next(
        row["video_id"]
        for row in read_table([dataset.labels_file(tmp_path)]).to_pylist()
        if row["split_va"] == "train" and row["track_id"] == row["video_id"]
    )
    manifest = dataset.labels_file(tmp_path).parent / MANIFEST
    facts = json.loads(manifest.read_text())
    facts["split_of"][video]["au"]["used"] = "test"
    manifest.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=f"{video} trains au and is in the test split of au"):
        refuse_leaks(dataset, tmp_path)


def labels_of(root: Path, store: Path) -> dict[Key, dict[str, float]]:
    """The validation labels by track and frame; NaN is missing."""
    rows = read_table([ingest(root, store).labels_file(store)]).to_pylist()
    return {
        (row["track_id"], row["frame_index"]): {
            name: np.nan if row[name] is None else float(row[name]) for name in NAMES
        }
        for row in rows
        if row["split_va"] == "validation"
    }


def columns(labels: dict[Key, dict[str, float]], keys: Iterable[Key]) -> Columns:
    rows = [labels[key] for key in keys]
    return {name: np.array([row[name] for row in rows]) for name in NAMES}


def shift(root: Path, frames: int) -> None:
    """Drops the first rows of every annotation file: each label then stands that many frames too early."""
    for path in root.glob("annotations/*/*/*.txt"):
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([header, *rows[frames:]]) + "\n")


def test_labels_that_are_off_by_one_frame_lower_the_scores_visibly(sample: Path, tmp_path: Path) -> None:
    exact = labels_of(sample, tmp_path)
    generator = np.random.default_rng(0)
    known = columns(exact, exact)
    noise = {name: generator.normal(0, 0.02, len(exact)) for name in ("valence", "arousal")}
    known |= {name: known[name] + noise[name] for name in noise}
    position = {key: row for row, key in enumerate(exact)}
    found = []
    for dropped in (0, 1, 1):
        shift(sample, dropped)
        labels = labels_of(sample, tmp_path)
        keys = [key for key in labels if key in exact]
        said = {name: column[[position[key] for key in keys]] for name, column in known.items()}
        found.append(scores(said, columns(labels, keys), Edition.ABAW_2020))
    aligned, by_one, by_two = found
    assert aligned["total"] > 2.99
    for name, lost in {"ccc": 0.01, "expression": 0.03, "action_units": 0.02, "total": 0.06}.items():
        assert aligned[name] - by_one[name] > lost, name
        assert by_one[name] - by_two[name] > lost, name

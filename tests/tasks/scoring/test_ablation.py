"""Which variants an ablation has, what its table says, and that what is done stays done."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from support.little_store import learnable_store

from data.labels import Edition
from data.store.catalogue import Dataset, Video
from data.store.shards import write_folder, write_manifest
from model.scores.intervals import paired, spread
from tasks.config import Experiment, MachineConfig, TrainConfig
from tasks.experiments import load_experiment, mtanet_experiment, with_settings
from tasks.scoring.ablation import OPTIONS, PAPER, PARTS, RECIPE, STRONG, markdown, run_ablation, variants
from tasks.tracking import runs

pytestmark = pytest.mark.slow


def mtanet_named(name: str) -> Experiment:
    return mtanet_experiment(load_experiment(name))


def test_a_spread_has_the_deviation_of_a_sample_and_students_interval() -> None:
    found = spread([1.0, 2.0, 3.0])
    assert (found.mean, found.deviation) == (2, 1)
    assert found.half_interval == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
    assert math.isnan(spread([1.0]).deviation)
    assert paired([1.1, 2.1], [1.0, 2.0]).deviation == pytest.approx(0)


def test_each_part_is_taken_out_alone_each_option_put_in_and_the_paper_has_none_of_them() -> None:
    recipe, strong = mtanet_named("ablation").train, mtanet_named("strong").train
    found = {variant.name: variant.config for variant in variants(recipe, strong)}
    changed = {name: _changed(config, recipe) for name, config in found.items()}
    assert changed.pop(RECIPE) == set()
    assert changed.pop("without AdamW and cosine") == {"optimiser", "learning_rate", "weight_decay"}
    assert found["the paper's recipe, learning rate 0.05"].learning_rate == 0.05
    size = {"layers", "width", "neck", "epochs", "batch_size", "frame_step"}
    assert _changed(found["the paper's recipe"], TrainConfig()) == size
    speed_and_end = {"precision", "keep_epoch", "patience", "dropout"}
    assert _changed(found[STRONG], strong) <= size | speed_and_end
    for name in ("the paper's recipe, learning rate 0.05", "the paper's recipe", STRONG):
        del changed[name]
    without = {f"without {part}": set(config) for part, config in PARTS.items() if part != "AdamW and cosine"}
    assert changed == {**without, **{f"with {option}": set(values) for option, values in OPTIONS.items()}}


def test_what_a_recipe_lacks_is_not_taken_out_of_it_and_what_it_has_not_put_in() -> None:
    recipe = TrainConfig(blur=0.1, gradient_surgery=True)
    names = [variant.name for variant in variants(recipe, TrainConfig())]
    assert [name for name in names if name.startswith("without")] == ["without blur"]
    assert "with gradient surgery" not in names


def _changed(config: TrainConfig, others: TrainConfig) -> set[str]:
    return {setting for setting, value in config if value != getattr(others, setting)}


def test_the_ablation_is_of_the_recipe_of_the_strong_experiment() -> None:
    strong, ablation = mtanet_named("strong").train, mtanet_named("ablation").train
    by_size = {"learning_rate", "ema_decay", "crop", "colour", "blur", "erase"}
    for setting in {setting for config in PARTS.values() for setting in config} - by_size:
        assert getattr(strong, setting) == getattr(ablation, setting), setting
    assert all(getattr(strong, setting) != getattr(TrainConfig(), setting) for setting in by_size)


def test_the_table_has_means_spreads_and_paired_differences() -> None:
    def scores(total: float) -> dict[str, float]:
        return {"ccc": 0.5, "expression": 0.25, "action_units": 0.75, "total": total}

    results = {RECIPE: [scores(2.0), scores(2.2)], "without blur": [scores(1.9), scores(2.1)]}
    ends = {STRONG: [scores(1.5), scores(1.7)], PAPER: [scores(0.5), scores(0.7)]}
    dataset = Dataset("sample", "root", ())
    *_, difference = markdown(mtanet_named("ablation"), dataset, 2, {**results, **ends})
    assert difference.endswith("minus the total of the paper's recipe: +1.000 [+1.000, +1.000].")
    lines = list(markdown(mtanet_named("ablation"), dataset, 2, results))
    assert "`mtanet ablate --experiment ablation --seeds 2`" in lines[2]
    assert lines[-2] == f"| {RECIPE} | 0.500 ± 0.000 | 0.250 ± 0.000 | 0.750 ± 0.000 | 2.100 ± 0.141 | - |"
    assert lines[-1].endswith("| 2.000 ± 0.141 | -0.100 [-0.100, -0.100] |")


@pytest.fixture
def dataset(mlflow_store: Path) -> Dataset:
    """The smallest data set in a store."""
    with write_folder(mlflow_store / "faces" / "f1") as folder, write_folder(mlflow_store / "labels" / "l1") as labels:
        learnable_store(folder)
        (folder / "labels.parquet").rename(labels / "labels.parquet")
        write_manifest(folder, {})
        write_manifest(labels, {"splits": {"rule": "guarded"}, "split_of": {}})
    video = Video("video", "video.mp4", "f1", "s", ("video0", "video1", "video2"))
    return Dataset("tiny", str(mlflow_store), (video,), Edition.ABAW_2020, "l1")


def test_trainings_lie_below_one_run_and_are_done_once_also_when_seeds_are_added(
    mlflow_store: Path, dataset: Dataset
) -> None:
    torch.set_num_threads(1)
    experiment = _tiny("train.optimiser=adamw", "train.blur=0.5")
    machine = MachineConfig(store=mlflow_store, device="cpu")
    chosen = variants(experiment.train, TrainConfig())[:2]
    names = [variant.name for variant in chosen]
    path = run_ablation(experiment, chosen, dataset, 1, machine)
    assert path == mlflow_store / "reports" / "ablation-tiny.md"
    rows = [line.split(" | ")[0].removeprefix("| ") for line in path.read_text().splitlines()[6:]]
    assert rows == names
    found = _runs(mlflow_store)
    (parent,) = (run for run in found if run.info.run_name == "ablation of tiny")
    children = [run for run in found if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert sorted(run.data.tags["variant"] for run in children) == sorted(names)
    recipe = next(run for run in children if run.data.tags["variant"] == RECIPE).data.metrics
    assert recipe["final/total"] == recipe["validation/total"]
    assert {run.inputs.dataset_inputs[0].dataset.digest for run in children} == {dataset.digest}
    assert f"| {RECIPE} | {recipe['final/ccc']:.3f} | " in path.read_text()
    assert "±" not in path.read_text().split("| variant")[1]
    logged = runs.connect(mlflow_store).list_artifacts(parent.info.run_id)
    assert [artifact.path for artifact in logged] == ["ablation-tiny.md"]

    page = path.read_text()
    run_ablation(experiment, chosen, dataset, 1, machine)
    assert path.read_text() == page
    run_ablation(experiment, chosen, dataset, 2, machine)
    assert all(line.count("±") == 4 for line in path.read_text().splitlines()[6:])
    ended = {run.info.run_id: run.info.end_time for run in _runs(mlflow_store) if run.info.run_id != parent.info.run_id}
    assert len(ended) == 2 * len(names)
    assert ended.items() >= {run.info.run_id: run.info.end_time for run in children}.items()


def test_some_variants_have_a_table_of_their_own_and_none_is_refused(mlflow_store: Path, dataset: Dataset) -> None:
    torch.set_num_threads(1)
    experiment = _tiny("train.optimiser=adamw", "train.blur=0.5")
    machine = MachineConfig(store=mlflow_store, device="cpu")
    chosen = variants(experiment.train, TrainConfig())
    path = run_ablation(experiment, chosen, dataset, 1, machine, only="rate 0.05")
    assert path.name == "ablation-tiny-rate-0.05.md"
    rows = [line.split(" | ")[0] for line in path.read_text().splitlines() if line.startswith("| the")]
    assert rows == [f"| {RECIPE}", "| the paper's recipe, learning rate 0.05"]
    with pytest.raises(ValueError, match="--only sleep: found no variant"):
        run_ablation(experiment, chosen, dataset, 1, machine, only="sleep")


def _tiny(*config: str) -> Experiment:
    small = ("layers=[1, 1, 1, 1]", "width=8", "neck=8", "epochs=1", "batch_size=24")
    return with_settings(Experiment(name="tiny"), [*(f"train.{setting}" for setting in small), *config])


def _runs(store: Path) -> list[Any]:
    return runs._search(runs.connect(store), "")

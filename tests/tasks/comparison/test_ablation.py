"""Which variants an ablation has, and that it is a comparison of them."""

from __future__ import annotations

import pytest

from tasks.comparison.ablation import OPTIONS, PARTS, RECIPE, STRONG, about, entries_of_ablation, variants
from tasks.config import Experiment, TrainConfig
from tasks.experiments import load_experiment, mtanet_experiment


def mtanet_named(name: str) -> Experiment:
    return mtanet_experiment(load_experiment(name))


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


def test_an_ablation_is_a_comparison_of_the_recipe_with_its_variants() -> None:
    experiment = mtanet_named("ablation")
    entries = entries_of_ablation(experiment)
    assert [entry.name for entry in entries] == [
        variant.name for variant in variants(experiment.train, mtanet_named("strong").train)
    ]
    assert entries[0].name == RECIPE
    assert entries[0].experiment == experiment
    assert {entry.experiment.sample for entry in entries} == {experiment.sample}
    assert "width 16" in about(experiment)


def test_some_variants_can_be_compared_alone_and_none_is_refused() -> None:
    experiment = mtanet_named("ablation")
    assert [entry.name for entry in entries_of_ablation(experiment, "rate 0.05")] == [
        RECIPE,
        "the paper's recipe, learning rate 0.05",
    ]
    with pytest.raises(ValueError, match="--only sleep: found no variant"):
        entries_of_ablation(experiment, "sleep")

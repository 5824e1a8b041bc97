"""Ablation: the effect of each part of a recipe, measured by training without it, from several seeds.

Parts are removed from the whole recipe, not added to the paper's. This measures what the recipe loses without a part,
and reveals redundancy: if two parts have the same effect, the recipe loses nothing without either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.comparison.entries import Entry
from tasks.config import Experiment, TrainConfig
from tasks.experiments import load_experiment, mtanet_experiment

RECIPE = "the whole recipe"
PAPER = "the paper's recipe"
SGD_RATE = 0.05
"""Learning rate of variants with the paper's optimiser. The paper's own rate is meant for far more steps."""
PARTS: dict[str, tuple[str, ...]] = {
    "flip": ("flip",),
    "crop": ("crop",),
    "colour": ("colour",),
    "blur": ("blur",),
    "erasing": ("erase",),
    "balanced sampling": ("balance",),
    "unit weights": ("action_unit_weight",),
    "expression balance": ("expression_balance",),
    "label smoothing": ("label_smoothing",),
    "averaged weights": ("ema_decay",),
    "gradient clipping": ("gradient_clip",),
    "AdamW and cosine": ("optimiser", "learning_rate", "weight_decay", "warm_up"),
}
"""The settings of each part. To remove a part is to give its settings the paper's values."""
OPTIONS: dict[str, dict[str, object]] = {
    "gradient surgery": {"gradient_surgery": True},
    "class weights": {"expression_balance": "class_weights"},
    "bfloat16": {"precision": "bfloat16"},
    "channels first": {"channels_last": False},
}
"""Changes tried one at a time, unless the recipe already has them."""
STRONG = "the amounts of `strong`"
"""A variant with the values of `strong` for all settings in `PARTS`; they are meant for far more steps."""


@dataclass(frozen=True)
class Variant:
    name: str
    config: TrainConfig


def variants(recipe: TrainConfig, strong: TrainConfig) -> list[Variant]:
    """The recipe; the recipe without each part, with each option, with the amounts of `strong`; the paper's recipe."""
    paper = TrainConfig()
    found = [Variant(RECIPE, recipe)]
    for part, config in PARTS.items():
        as_in_paper = {setting: getattr(paper, setting) for setting in config}
        if any(getattr(recipe, setting) != value for setting, value in as_in_paper.items()):
            found.append(Variant(f"without {part}", _with_rate(recipe, as_in_paper)))
    for option, changes in OPTIONS.items():
        if any(getattr(recipe, setting) != value for setting, value in changes.items()):
            found.append(Variant(f"with {option}", recipe.but(**changes)))
    as_in_strong, as_in_paper = (
        {setting: getattr(other, setting) for config in PARTS.values() for setting in config}
        for other in (strong, paper)
    )
    found.append(Variant(STRONG, recipe.but(**as_in_strong)))
    faster = recipe.but(**{**as_in_paper, "learning_rate": SGD_RATE})
    found.append(Variant(f"{PAPER}, learning rate {SGD_RATE:g}", faster))
    found.append(Variant(PAPER, recipe.but(**as_in_paper)))
    return found


def entries_of_ablation(experiment: Experiment, only: str = "") -> list[Entry]:
    """The recipe of an experiment and its variants, as entries of a comparison.

    With `only`, the whole recipe and the variants whose names contain this text.

    Raises:
        ValueError: No variant has this text in its name.
    """
    strong = mtanet_experiment(load_experiment("strong")).train
    chosen = [
        variant for variant in variants(experiment.train, strong) if variant.name == RECIPE or only in variant.name
    ]
    if len(chosen) == 1:
        raise ValueError(
            f"--only {only}: found no variant with this text in its name; run without --only to list all names"
        )
    return [Entry(variant.name, experiment.but(train=variant.config)) for variant in chosen]


def about(experiment: Experiment) -> str:
    """What the page of an ablation says of it."""
    config = experiment.train
    return (
        f"Ablation of `{experiment.name}`: each variant has the same network (width {config.width}, layers "
        f"{list(config.layers)}) and {config.epochs} epochs of the same frames (one in {config.frame_step}), "
        f"in batches of {config.batch_size}."
    )


def _with_rate(recipe: TrainConfig, changes: Mapping[str, object]) -> TrainConfig:
    """The recipe with changes. If they replace the optimiser, it gets a learning rate that works in few steps."""
    rate = {"learning_rate": SGD_RATE} if changes.get("optimiser", recipe.optimiser) != recipe.optimiser else {}
    return recipe.but(**{**changes, **rate})

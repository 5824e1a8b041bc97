"""Ablation: the effect of each part of a recipe, measured by training without it, from several seeds.

Parts are removed from the whole recipe, not added to the paper's. This measures what the recipe loses without a part,
and reveals redundancy: if two parts have the same effect, the recipe loses nothing without either.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from data.store.access import hold, place_in
from data.store.catalogue import Dataset
from data.store.shards import digest, write_file
from model.scores.intervals import Spread, paired, spread
from tasks.config import Experiment, MachineConfig, TrainConfig
from tasks.experiments import load_experiment, mtanet_experiment
from tasks.progress import Stage, stage
from tasks.tracking import runs
from tasks.training.epochs import run_epochs, training_digest
from tasks.training.leaks import refuse_leaks
from tasks.training.train import mlflow_experiment, tags_of

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
SCORES = {"ccc": "CCC", "expression": "expression", "action_units": "action units", "total": "total"}


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


@task(task_run_name="ablate-{experiment.name}", cache_policy=NO_CACHE)
def ablate_recipe(
    experiment: Experiment, dataset: Dataset, num_seeds: int, machine: MachineConfig, only: str = ""
) -> Path:
    """Runs an ablation; puts its table into the store and on the flow run's page."""
    chosen = variants(experiment.train, mtanet_experiment(load_experiment("strong")).train)
    path = run_ablation(experiment, chosen, dataset, num_seeds, machine, only)
    create_markdown_artifact(path.read_text(), key="ablation", description=experiment.name)
    return path


def run_ablation(
    experiment: Experiment,
    chosen: Sequence[Variant],
    dataset: Dataset,
    num_seeds: int,
    machine: MachineConfig,
    only: str = "",
) -> Path:
    """Trains each variant from each seed, as child runs of one MLflow run, and writes the table. Finished work is kept.

    With `only`, trains the whole recipe and the variants whose names contain this text, and writes a separate table.

    Raises:
        ValueError: No variant matches `only`. The data set has no labels, or none in a split that is needed. Or a task
            trains on a video that another holds out, and the splits are not the official ones.
    """
    chosen = [variant for variant in chosen if variant.name == RECIPE or only in variant.name]
    if len(chosen) == 1:
        raise ValueError(
            f"--only {only}: found no variant with this text in its name; run without --only to list all names"
        )
    refuse_leaks(dataset, machine.store)
    seeds = [experiment.train.seed + number for number in range(num_seeds)]
    trainings = [(variant, seed) for variant in chosen for seed in seeds]
    with runs.open_run(
        machine.store,
        experiment=mlflow_experiment(dataset, machine.store),
        training_digest=digest("ablation", training_digest(experiment.train, dataset, machine.store)),
        run_name=f"ablation of {experiment.name}",
        params=experiment.model_dump(mode="json"),
        tags=tags_of(experiment, dataset),
    ) as run_id:
        results: dict[str, list[Mapping[str, float]]] = {}
        with stage("ablation", len(trainings), "trainings") as shown:
            for variant, seed in trainings:
                scores = _trained(experiment, variant, seed, dataset, machine, run_id, shown)
                results.setdefault(variant.name, []).append(scores)
                shown.advance()
        page = "\n".join(markdown(experiment, dataset, num_seeds, results, only)) + "\n"
        name = "-".join(["ablation", experiment.name, *re.findall(r"[\w.]+", only)]) + ".md"
        runs.log_text(machine.store, run_id, name, page)
    path = machine.store / "reports" / name
    with hold(machine.store, "reports", what="the reports"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, page)
    return path


def _trained(
    experiment: Experiment,
    variant: Variant,
    seed: int,
    dataset: Dataset,
    machine: MachineConfig,
    parent_id: str,
    shown: Stage,
) -> Mapping[str, float]:
    """The official scores of a variant from a seed; trains it unless a finished run has them."""
    config = variant.config.but(seed=seed)
    name = f"{variant.name}, seed {seed}"
    key = digest("ablation", parent_id, training_digest(config, dataset, machine.store))
    scores = runs.finished_metrics(machine.store, key)
    if not scores:
        shown.say("ablation: %s", name)
        changed = experiment.but(train=config)
        with runs.open_run(
            machine.store,
            experiment=mlflow_experiment(dataset, machine.store),
            training_digest=key,
            run_name=name,
            params=changed.model_dump(mode="json"),
            tags={**tags_of(changed, dataset), "variant": variant.name},
            parent_id=parent_id,
        ) as run_id:
            place = place_in(machine.store, Path(dataset.root))
            runs.log_dataset(name=dataset.name, place=place, digest=dataset.digest, context="training")
            record = run_epochs(config, dataset, machine, run_id, name=name)
            known = [score for score in SCORES if f"validation/{score}" in record]  # a data set may lack a task
            scores = {f"final/{score}": record[f"validation/{score}"] for score in known}
            runs.log_scores(machine.store, run_id, {**scores, "final/images_per_s": record["images_per_s"]})
    return {score: scores[f"final/{score}"] for score in SCORES if f"final/{score}" in scores}


def _with_rate(recipe: TrainConfig, changes: Mapping[str, object]) -> TrainConfig:
    """The recipe with changes. If they replace the optimiser, it gets a learning rate that works in few steps."""
    rate = {"learning_rate": SGD_RATE} if changes.get("optimiser", recipe.optimiser) != recipe.optimiser else {}
    return recipe.but(**{**changes, **rate})


def markdown(
    experiment: Experiment,
    dataset: Dataset,
    num_seeds: int,
    results: Mapping[str, Sequence[Mapping[str, float]]],
    only: str = "",
) -> Iterator[str]:
    """The lines of the report; its table has the mean and spread of each variant's scores, and the change in total."""
    config = experiment.train
    yield f"# Ablation of `{experiment.name}` on `{dataset.name}`"
    yield ""
    some = f" --only '{only}'" if only else ""
    trained = f"trained from {num_seeds} seed{'s' if num_seeds > 1 else ''}"
    yield (
        f"`mtanet ablate --experiment {experiment.name} --seeds {num_seeds}{some}`: each variant {trained}, with the "
        f"same network (width {config.width}, layers {list(config.layers)}), {config.epochs} epochs of the same frames "
        f"(one in {config.frame_step}) and batches of {config.batch_size}. Official validation scores of the "
        f"{config.keep_epoch} epoch: mean ± standard deviation over seeds. The last column is the mean change in total "
        "from the whole recipe, paired by seed, with its 95 % interval (Student's t)."
    )
    yield ""
    yield f"| variant | {' | '.join(SCORES.values())} | change in total |"
    yield "|---" * (len(SCORES) + 2) + "|"
    totals = {name: [scores["total"] for scores in found] for name, found in results.items()}
    for name, found in results.items():
        cells = [
            _mean_and_deviation(spread([scores[score] for scores in found])) if score in found[0] else "-"
            for score in SCORES
        ]
        difference = paired(totals[name], totals[RECIPE])
        yield f"| {name} | {' | '.join(cells)} | {'-' if name == RECIPE else _interval(difference)} |"
    if {STRONG, PAPER} <= results.keys():
        yield ""
        yield f"Total of {STRONG} minus the total of {PAPER}: {_interval(paired(totals[STRONG], totals[PAPER]))}."


def _mean_and_deviation(found: Spread) -> str:
    return f"{found.mean:.3f}" if math.isnan(found.deviation) else f"{found.mean:.3f} ± {found.deviation:.3f}"


def _interval(found: Spread) -> str:
    if math.isnan(found.half_interval):
        return f"{found.mean:+.3f}"
    return f"{found.mean:+.3f} [{found.mean - found.half_interval:+.3f}, {found.mean + found.half_interval:+.3f}]"

"""Trains the entries of a comparison from each seed, measures them on the validation split, and compares them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.labels import Split, Task
from data.store.access import hold, place_in
from data.store.catalogue import Dataset
from data.store.damage import names_damage, read_json
from data.store.shards import digest, write_file
from data.video.frames import resolve_device
from data.warehouse.leaderboard import FOLDER
from model.inference import predict_frames
from model.network import Network
from model.scores.kept import from_json, to_json
from model.scores.tallies import tally
from model.systems.registry import load_checkpoint, method_of
from model.systems.settings import SYSTEMS
from model.training.loop import MODEL
from tasks.comparison.entries import Entry
from tasks.comparison.page import by_level, markdown, page
from tasks.comparison.result import (
    COMPARE_AGAIN,
    SHOWN,
    Comparison,
    Row,
    Training,
    keep,
    row_of,
    without_partial_sums,
)
from tasks.config import AnyTrainConfig, MachineConfig
from tasks.plots.comparison import comparison_pictures
from tasks.plots.figures import png
from tasks.progress import Stage, show_text, stage
from tasks.scoring.evaluate import videos_and_people
from tasks.tracking import runs
from tasks.training.epochs import cores, training_digest, use_all_cores
from tasks.training.frames import complete_frames, split_frames
from tasks.training.leaks import refuse_leaks
from tasks.training.systems import run_training, training_seconds
from tasks.training.train import mlflow_experiment, tags_of

VERSION = 1
"""Increased when the same training is measured in another way."""


def run_comparison(
    name: str,
    entries: Sequence[Entry],
    dataset: Dataset,
    num_seeds: int,
    machine: MachineConfig,
    notes: Sequence[str] = (),
) -> Path:
    """Trains each entry from each seed, as child runs of one MLflow run, and returns the page. Finished work is kept.

    Raises:
        ValueError: The data set has no labels, or none in a split that is needed; or a task trains on a video that
            another holds out, and the splits are not the official ones.
    """
    store, first = machine.store, entries[0].experiment
    refuse_leaks(dataset, store)
    seeds = [first.train.seed + number for number in range(num_seeds)]
    with runs.open_run(
        store,
        experiment=mlflow_experiment(dataset, store),
        training_digest=digest("comparison", name, training_digest(first.train, dataset, store)),
        run_name=f"comparison {name}",
        params={"seeds": num_seeds, "entries": len(entries)},
        tags=tags_of(first, dataset),
    ) as run_id:
        trained: dict[tuple[str, str], list[Training]] = {}
        with stage("comparison", len(entries) * num_seeds, "trainings") as shown:
            for entry in entries:
                for seed in seeds:
                    trained.setdefault((entry.level, entry.name), []).append(
                        _trained(entry, seed, dataset, machine, run_id, shown)
                    )
                    shown.advance()
        found = Comparison(
            name=name,
            dataset=dataset.name,
            num_videos=len(next(iter(trained.values()))[0].videos.groups),
            seeds=seeds,
            rows=without_partial_sums([_row(entry, entries, trained) for entry in entries]),
            is_synthetic=dataset.is_synthetic(store),
            notes=list(notes),
        )
        keep(found, store)
        return _publish(found, store, run_id)


def _row(entry: Entry, entries: Sequence[Entry], trained: dict[tuple[str, str], list[Training]]) -> Row:
    baseline = next(other for other in entries if other.level == entry.level)
    ours, theirs = (trained[of.level, of.name] for of in (entry, baseline))
    return row_of(entry.level, entry.name, entry.experiment.name, entry.experiment.system, ours, theirs)


def _publish(comparison: Comparison, store: Path, run_id: str) -> Path:
    """Writes the page into the reports, and all of it to the run and the flow run's page."""
    text, figures = markdown(comparison), comparison_pictures(by_level(comparison), SHOWN)
    path = store / "reports" / f"comparison-{comparison.name}.html"
    with hold(store, "reports", what="the reports"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path.with_suffix(".md"), text)
        write_file(path, page(comparison, {title: png(figure) for title, figure in figures.items()}))
    runs.log_text(store, run_id, path.name, path.read_text())
    for title, figure in figures.items():
        runs.log_figure(store, run_id, f"{title}.png", figure)
    means = {
        f"{score}/{_metric_name(row)}": row.scores[score].value
        for row in comparison.rows
        for score in SHOWN
        if score in row.scores
    }
    runs.log_scores(store, run_id, means)
    show_text(text, key="comparison", description=comparison.name)
    return path


def _metric_name(row: Row) -> str:
    """The entry in the letters that MLflow allows in the name of a metric."""
    return re.sub(r"[^\w./-]+", " ", f"{row.level} {row.name}").strip()


def _trained(
    entry: Entry, seed: int, dataset: Dataset, machine: MachineConfig, parent_id: str, shown: Stage
) -> Training:
    """An entry's training from a seed; trained and measured unless it is done."""
    store, config = machine.store, entry.experiment.train.but(seed=seed)
    of_training = training_digest(config, dataset, store)
    key, kept = digest("comparison", parent_id, entry.level, entry.name, of_training), _kept_file(store, of_training)
    if runs.finished_metrics(store, key) and kept.is_file():
        return _read(kept)
    name = ", ".join(filter(None, (entry.name, entry.level, f"seed {seed}")))
    shown.say("comparison: %s", name)
    changed = entry.experiment.but(train=config)
    with runs.open_run(
        store,
        experiment=mlflow_experiment(dataset, store),
        training_digest=key,
        run_name=name,
        params=changed.model_dump(mode="json"),
        tags={**tags_of(changed, dataset), "variant": entry.name, "level": entry.level},
        parent_id=parent_id,
    ) as run_id:
        place = place_in(store, Path(dataset.root))
        runs.log_dataset(name=dataset.name, place=place, digest=dataset.digest, context="training")
        record = run_training(config, dataset, machine, run_id, name=name)
        found = {score: value for score, value in record.items() if score.startswith("validation/")}
        if not kept.is_file():
            _write(kept, _measured(config, dataset, machine), store)
        runs.log_scores(store, run_id, {score.replace("validation/", "final/"): found[score] for score in found})
    return _read(kept)


def _measured(config: AnyTrainConfig, dataset: Dataset, machine: MachineConfig) -> Training:
    store, edition = machine.store, dataset.edition
    assert edition is not None, "a data set with labels knows their edition"
    folder = store / "models" / training_digest(config, dataset, store)
    checkpoint = load_checkpoint(folder / MODEL)
    network = checkpoint.network
    # All frames that any task labels, so that the videos are the same for every system.
    frames = complete_frames(config.but(frame_step=1), dataset, machine, Split.VALIDATION, tasks=tuple(Task))
    use_all_cores()
    start_s = time.perf_counter()
    predicted = predict_frames(network, frames, device=resolve_device(machine.device), threads=cores())
    seconds = time.perf_counter() - start_s
    videos, video_N, people = videos_and_people(frames, dataset)
    training = split_frames(config, dataset, machine, Split.TRAIN)
    labels = {
        Task.VA: (~np.isnan(training.valence_arousal_N2).any(axis=1)).sum(),
        Task.EXPR: (~np.isnan(training.expression_N)).sum(),
        Task.AU: (~np.isnan(training.action_units_NU)).sum(),
    }
    return Training(
        videos=tally(
            predicted, frames.truth(), edition, group_N=video_N, groups=videos, people=people, tasks=network.tasks
        ),
        parameters=_num_parameters(network),
        train_s=training_seconds(config, dataset, machine, len(training)),
        faces_per_s=len(frames) / seconds,
        warning=method_of(config.system).warning(checkpoint.records),
        labels={str(task): int(labels[task]) for task in SYSTEMS[config.system].tasks},
    )


def _num_parameters(network: Network) -> int:
    return sum(tensor.numel() for tensor in network.answering)


def _kept_file(store: Path, of_training: str) -> Path:
    return store / FOLDER / "trainings" / f"{digest('measured', VERSION, of_training)}.json"


def _write(path: Path, training: Training, store: Path) -> None:
    with hold(store, FOLDER, what="the comparisons"):
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {**vars(training), "videos": to_json(training.videos)}
        write_file(path, json.dumps(facts) + "\n")


def _read(path: Path) -> Training:
    with names_damage(path, COMPARE_AGAIN):
        facts = read_json(path, COMPARE_AGAIN)
        return Training(**{**facts, "videos": from_json(facts["videos"])})

"""Measures, at each evaluation, the gain of smoothing, class bias and thresholds on videos they were not fitted on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from data.batches.labelled_frames import Integers, frame_indices
from data.labels import Split, Task
from data.store.catalogue import Dataset
from data.warehouse.predictions import read_predictions
from model.answers import value_columns
from model.postprocessing.crossfit import Trial, cross_fit
from model.postprocessing.fitting import Arrays
from model.scores.tallies import OFFICIAL
from tasks.config import MachineConfig
from tasks.progress import log
from tasks.scoring.evaluate import check_edition, predictions_folder
from tasks.tracking import runs
from tasks.tracking.registry import Version, tasks_of
from tasks.training.fitting import split_to_fit


@task(task_run_name="cross-fit-v{model.number}-{split}", cache_policy=NO_CACHE)
def cross_fit_answers(model: Version, dataset: Dataset, split: Split, machine: MachineConfig) -> list[Trial]:
    """Cross-fits smoothing, class bias and thresholds, and logs their gains on other videos to the model's run."""
    store = machine.store
    edition = check_edition(model, dataset, store)
    folders = {track: predictions_folder(store, model, video) for video in dataset.videos for track in video.tracks}
    names = [name for task in Task for name in value_columns(task, edition)]

    def predicted_of(faces_file: Path) -> tuple[Integers, Arrays]:
        frame_index_N = frame_indices(faces_file)
        return frame_index_N, read_predictions(folders[faces_file.stem] / faces_file.name, names, frame_index_N)

    frames = split_to_fit(dataset, split, edition, tasks_of(model), store, predicted_of)
    trials = [trial for found in frames.values() for trial in cross_fit(found)]
    _log(trials, model, dataset, split, store)
    return trials


def rows_of(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """A row for each combination of steps: its gain with its 95 % interval, and what each fold fitted."""
    return [
        {
            "score": OFFICIAL[trial.task],
            "steps": " and ".join(trial.steps),
            "raw": trial.raw,
            "cross_fitted": trial.score,
            "gain": trial.gain.value,
            "gain_low": trial.gain.low,
            "gain_high": trial.gain.high,
            "fits": [asdict(fit) for fit in trial.fits],
        }
        for trial in trials
    ]


def _log(trials: list[Trial], model: Version, dataset: Dataset, split: Split, store: Path) -> None:
    if not trials:
        log.info(
            "cross-fitting skipped: it needs two recordings with labels, and the %s split of %s has fewer",
            split,
            dataset.name,
        )
        return
    rows = rows_of(trials)
    trained_on = runs.run_tags(store, model.run_id)["data_digest"]
    is_own = dataset.digest == trained_on and split is Split.VALIDATION
    prefix = "" if is_own else f"{dataset.name}_{split}_"
    metrics: dict[str, float] = {}
    for row in rows:
        name = f"{prefix}crossfit/{row['score']}_by_{row['steps'].replace(' ', '_')}"
        metrics |= {name: row["cross_fitted"], f"{name}_gain": row["gain"]}
    if runs.log_scores(store, model.run_id, metrics):
        content = json.dumps(rows, indent=2) + "\n"
        runs.log_text(store, model.run_id, f"crossfit/{dataset.name}-{split}.json", content)
    shown = [{**row, "fits": [str(fit) for fit in row["fits"]]} for row in rows]
    create_table_artifact(shown, key="cross-fitting", description=f"{model} on {dataset.name}, {split}")
    for trial in trials:
        log.info("%s by %s: %.3f, gain %s", OFFICIAL[trial.task], " and ".join(trial.steps), trial.score, trial.gain)

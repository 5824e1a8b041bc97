"""Writes the scores of a model to its run and its version in MLflow, and to the store for SQL."""

from __future__ import annotations

import json
from pathlib import Path

from data.labels import Split
from data.store.access import hold
from data.store.shards import write_file
from data.warehouse.views import write_scores
from model.scores.tallies import OFFICIAL
from tasks.scoring.result import Evaluation
from tasks.tracking import registry, runs

WITH_ENDS = ("ccc_valence", "ccc_arousal", *OFFICIAL.values(), "total")
"""Scores whose 95 % intervals MLflow gets, as two metrics each. SQL has the intervals of all scores."""


def write_down(evaluation: Evaluation, store: Path) -> bool:
    """Writes the scores; returns True if they are new, which means the run did not have the same scores before."""
    tags = runs.run_tags(store, evaluation.model.run_id)
    are_new = runs.log_scores(store, evaluation.model.run_id, _metrics(evaluation, tags["data_digest"]))
    if evaluation.leaking_videos:
        registry.annotate_version(store, evaluation.model, {"leaking_videos": str(evaluation.leaking_videos)})
    facts = {
        "run_id": evaluation.model.run_id,
        "model_version": evaluation.model.number,
        "experiment": tags["experiment"],
        registry.SYSTEM: registry.system_of(tags),
        "dataset": evaluation.dataset,
        "split": evaluation.split.value,
        "code_revision": tags["code_revision"],
        "config_digest": tags["config_digest"],
        "data_digest": evaluation.data_digest,
    }
    scores = {
        **evaluation.scores,
        **evaluation.batch_averaged,
        **{f"constant_guess_{name}": value for name, value in evaluation.constant_guess.items()},
    }
    name = f"{evaluation.model.run_id}-{evaluation.dataset}-{evaluation.split}"
    with hold(store, "runs", what="the scores of runs"):
        (store / "runs").mkdir(parents=True, exist_ok=True)
        write_scores(store / "runs" / f"{name}.parquet", [{**facts, **row} for row in evaluation.rows()])
        content = json.dumps({**facts, "scores": scores}, indent=2, sort_keys=True) + "\n"
        write_file(store / "runs" / f"{name}.json", content)
    return are_new


def _metrics(evaluation: Evaluation, trained_on: str) -> dict[str, float]:
    """The scores by their names in MLflow. The names start with the data set and split, except for the validation split
    of the data set that the model was trained on.
    """
    own = evaluation.data_digest == trained_on and evaluation.split is Split.VALIDATION
    prefix = "" if own else f"{evaluation.dataset}_{evaluation.split}_"
    ends = {name: evaluation.intervals[name] for name in WITH_ENDS if name in evaluation.intervals}
    groups = {
        "final": evaluation.scores,
        "final_low": {name: interval.low for name, interval in ends.items()},
        "final_high": {name: interval.high for name, interval in ends.items()},
        "batch_averaged": {
            name.removeprefix("batch_averaged_"): value for name, value in evaluation.batch_averaged.items()
        },
        "constant_guess": evaluation.constant_guess,
    }
    return {f"{prefix}{group}/{name}": value for group, found in groups.items() for name, value in found.items()}

"""A comparison as rows: what each entry scored, how far it is from the baseline, and what it cost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from data.store.access import hold
from data.store.damage import names_damage, read_json
from data.store.shards import write_file
from data.warehouse.leaderboard import FOLDER, write_leaderboard
from model.scores.intervals import OFFICIAL_SUM, Interval, mean_differences, mean_intervals, mean_scores
from model.scores.tallies import OFFICIAL, Tallies

COMPARE_AGAIN = "compare again to make it anew"
SHOWN = {"ccc": "CCC", "expression": "expression", "action_units": "action units", OFFICIAL_SUM: "sum"}
"""The official scores, in the order of the tables, and their sum."""


@dataclass(frozen=True)
class Training:
    """What a training from one seed came to."""

    videos: Tallies
    parameters: int
    """Numbers that were learned and that an answer needs."""
    train_s: float
    faces_per_s: float
    """In prediction, from crops."""
    labels: Mapping[str, int]
    """By task, the labels that were trained on: frames, or values of action units."""
    warning: str | None = None


@dataclass(frozen=True)
class Row:
    """An entry of a comparison; `differences` are those from the baseline of its level, of scores that both have."""

    level: str
    name: str
    experiment: str
    system: str
    scores: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    parameters: int
    train_s: float
    faces_per_s: float
    labels: Mapping[str, int]
    warnings: Sequence[str] = ()
    """What there is to warn of, for each training that has something."""


@dataclass(frozen=True)
class Comparison:
    """A finished comparison on the validation split of a data set."""

    name: str
    dataset: str
    num_videos: int
    seeds: Sequence[int]
    rows: Sequence[Row]
    is_synthetic: bool = False
    notes: Sequence[str] = field(default_factory=list)


def row_of(
    level: str, name: str, experiment: str, system: str, trainings: Sequence[Training], baseline: Sequence[Training]
) -> Row:
    """The row of an entry, from its trainings and those of the baseline, seed by seed."""
    ours, theirs = ([training.videos for training in part] for part in (trainings, baseline))
    return Row(
        level=level,
        name=name,
        experiment=experiment,
        system=system,
        scores=_with_intervals(mean_scores(ours), mean_intervals(ours)),
        differences={} if trainings is baseline else _differences(ours, theirs),
        parameters=trainings[0].parameters,
        train_s=sum(training.train_s for training in trainings) / len(trainings),
        faces_per_s=sum(training.faces_per_s for training in trainings) / len(trainings),
        labels=trainings[0].labels,
        warnings=[training.warning for training in trainings if training.warning is not None],
    )


def without_partial_sums(rows: Sequence[Row]) -> list[Row]:
    """The rows, of which those that answer fewer tasks than others have no sum: it would be of other things."""
    answered = {score for row in rows for score in row.scores} & set(OFFICIAL.values())
    return [row if answered <= row.scores.keys() else replace(row, scores=_without_sum(row.scores)) for row in rows]


def _without_sum(scores: Mapping[str, Interval]) -> dict[str, Interval]:
    return {name: interval for name, interval in scores.items() if name != OFFICIAL_SUM}


def _differences(ours: Sequence[Tallies], theirs: Sequence[Tallies]) -> dict[str, Interval]:
    our, their = mean_scores(ours), mean_scores(theirs)
    sums_are_alike = all((name in our) == (name in their) for name in OFFICIAL.values())
    shared = [name for name in our if name in their and (name != OFFICIAL_SUM or sums_are_alike)]
    return _with_intervals({name: our[name] - their[name] for name in shared}, mean_differences(ours, theirs))


def _with_intervals(values: Mapping[str, float], known: Mapping[str, Interval]) -> dict[str, Interval]:
    """Values without an interval, as with one video, have NaN for its ends."""
    return {name: known.get(name, Interval(value, math.nan, math.nan)) for name, value in values.items()}


def keep(comparison: Comparison, store: Path) -> None:
    """Writes the comparison for the terminal and for SQL."""
    folder = store / FOLDER
    with hold(store, FOLDER, what="the comparisons"):
        folder.mkdir(parents=True, exist_ok=True)
        write_leaderboard(folder / f"{comparison.name}.parquet", list(_leaderboard(comparison)))
        write_file(folder / f"{comparison.name}.json", json.dumps(asdict(comparison), indent=2) + "\n")


def read_comparison(store: Path, name: str = "") -> Comparison:
    """A kept comparison; without a name the newest.

    Raises:
        ValueError: There is none, or it is damaged.
    """
    files = sorted((store / FOLDER).glob("*.json"), key=lambda path: path.stat().st_mtime)
    known = [path for path in files if not name or path.stem == name]
    if not known:
        names = ", ".join(sorted(path.stem for path in files)) or "none"
        raise ValueError(f"{store}: no comparison {name}".rstrip() + f"; found {names}. Make one with mtanet compare")
    with names_damage(known[-1], COMPARE_AGAIN):
        facts = read_json(known[-1], COMPARE_AGAIN)
        rows = [
            Row(**{**row, **{part: _intervals(row[part]) for part in ("scores", "differences")}})
            for row in facts.pop("rows")
        ]
        return Comparison(rows=rows, **facts)


def _row(values: Mapping[str, Any]) -> Row:
    return Row(**{**values, **{part: _intervals(values[part]) for part in ("scores", "differences")}})


def _intervals(values: Mapping[str, Mapping[str, float]]) -> dict[str, Interval]:
    return {name: Interval(**interval) for name, interval in values.items()}


def _leaderboard(comparison: Comparison) -> list[dict[str, Any]]:
    """A row for each entry and score."""
    found = []
    for row in comparison.rows:
        about = {
            "comparison": comparison.name,
            "dataset": comparison.dataset,
            "level": row.level or None,
            "name": row.name,
            "experiment": row.experiment,
            "system": row.system,
            "num_seeds": len(comparison.seeds),
            "parameters": row.parameters,
            "train_s": row.train_s,
            "faces_per_s": row.faces_per_s,
            **{f"labels_{task}": number for task, number in row.labels.items()},
        }
        for score, interval in row.scores.items():
            difference = row.differences.get(score)
            found.append(
                {
                    **about,
                    "metric": score,
                    "value": interval.value,
                    "low": interval.low,
                    "high": interval.high,
                    "difference": difference and difference.value,
                    "difference_low": difference and difference.low,
                    "difference_high": difference and difference.high,
                }
            )
    return found

"""Promotes and rolls back the champion. A challenger must be better beyond chance on the same videos."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from data.store.catalogue import Dataset
from model.scores.intervals import OFFICIAL_SUM, paired_differences
from tasks.config import MachineConfig
from tasks.progress import log
from tasks.scoring.evaluate import evaluate, predict_dataset
from tasks.scoring.gate import ROLLED_BACK, Decision, decide, decide_unscored, decision_markdown, decision_tags
from tasks.scoring.result import Evaluation
from tasks.tracking import registry
from tasks.tracking.registry import CannotAnswerError, Version
from tasks.training.leaks import videos_seen

PREVIOUS = "champion.previous"
"""Tag of a champion: the number of the version that was champion before it, empty for the first champion."""


@task(task_run_name="choose-champion", cache_policy=NO_CACHE)
def choose_champion(evaluation: Evaluation, dataset: Dataset, machine: MachineConfig) -> str:
    """Makes the challenger the champion if it is better beyond chance; returns the reason.

    The decision, difference, interval and reason become tags of the challenger and an artifact of the flow run.
    """
    store, challenger = machine.store, evaluation.model
    champion = registry.champion(store)
    if champion is not None and champion.number == challenger.number:
        return champion.tags.get("verdict", f"{champion} is the champion")
    decision = _decide(evaluation, champion, dataset, machine)
    # Sets the tags first, so that a promoted champion always has its reason and its predecessor.
    tags = {**decision_tags(decision, champion, evaluation), "verdict": decision.reason}
    if decision.promotes:
        tags[PREVIOUS] = "" if champion is None else str(champion.number)
    registry.annotate_version(store, challenger, tags, description=decision.reason)
    if decision.promotes:
        registry.promote(store, challenger)
    create_markdown_artifact(decision_markdown(decision, evaluation), key="champion", description=str(challenger))
    log.info("%s", decision.reason)
    return decision.reason


def compare_with_champion(evaluation: Evaluation, dataset: Dataset, machine: MachineConfig) -> str:
    """Compares a model with the champion on the same videos, without promoting it."""
    champion = registry.champion(machine.store)
    total = f"{evaluation.model} has a total of {evaluation.total:.3f}"
    if champion is None:
        return f"{total}; there is no champion to compare it with"
    if champion.number == evaluation.model.number:
        return f"{total}; it is the champion"
    ours, others = (", ".join(registry.tasks_of(version)) for version in (evaluation.model, champion))
    if ours != others:
        return f"{total}; not compared with {champion}, which answers {others}; this one answers {ours}"
    theirs = score_champion(champion, dataset, evaluation, machine)
    if isinstance(theirs, str):
        return f"{total}; not compared with {champion}: {theirs}"
    difference = paired_differences(evaluation.videos, theirs.videos).get(OFFICIAL_SUM)
    if difference is None:
        return f"{total}, and {champion} {theirs.total:.3f}; there are too few videos for an interval"
    return f"{evaluation.model} minus the champion {champion}: {difference} in total"


def _decide(evaluation: Evaluation, champion: Version | None, dataset: Dataset, machine: MachineConfig) -> Decision:
    """The decision of the gate. Scores the champion only if the decision needs its scores."""
    versions = [version for version in (evaluation.model, champion) if version is not None]
    synthetic = [version for version in versions if registry.is_synthetic(machine.store, version)]
    decision = decide_unscored(evaluation, champion, synthetic=synthetic)
    if decision is not None:
        return decision
    assert champion is not None, "without a champion the decision needs no scores"
    theirs = score_champion(champion, dataset, evaluation, machine)
    seen = videos_seen(champion, dataset, evaluation.videos.groups, machine.store)
    return decide(evaluation, champion, theirs, num_seen=len(seen))


def score_champion(
    champion: Version, dataset: Dataset, evaluation: Evaluation, machine: MachineConfig
) -> Evaluation | str:
    """The champion's scores on the same shards or, if the champion itself fails, the reason.

    Raises other failures (a full disk, a server that does not answer, a GPU out of memory), because they do not count
    against the champion.
    """
    try:
        predict_dataset(champion, dataset, machine)
        return evaluate(champion, dataset, evaluation.split, machine)
    except CannotAnswerError as error:
        log.warning("%s fails on %s: %s", champion, dataset.name, error)
        return str(error)


def roll_back(store: Path) -> str:
    """Makes the previous champion the champion again; returns a sentence that names it.

    Skips earlier champions that were rolled back. The version being rolled back gets a tag with the time, so that the
    gate does not promote it again.

    Raises:
        ValueError: There is no champion, or no earlier champion; or the earlier champion or its weights are missing.
    """
    champion = registry.champion(store)
    if champion is None:
        raise ValueError("there is no champion to roll back; `mtanet train` creates the first one")
    previous = _before(champion, store)
    if not registry.has_weights(store, previous):
        raise ValueError(
            f"{champion} stays champion: MLflow has no weights of its predecessor {previous}; "
            f"restore them, or give the alias champion to another version on MLflow's page of {registry.NAME}"
        )
    time = datetime.now(UTC).isoformat(timespec="seconds")
    registry.annotate_version(store, champion, {ROLLED_BACK: time})
    registry.annotate_version(store, previous, {"champion.again": f"{time}, after {champion}"})
    registry.promote(store, previous)
    return f"{previous} is the champion again, after {champion}, which will not be promoted again"


def _before(champion: Version, store: Path) -> Version:
    """The last version that was champion before this one and was not rolled back."""
    number, seen = champion.tags.get(PREVIOUS, ""), {str(champion.number)}
    if not number:
        raise ValueError(f"{champion} is the first champion: there is no earlier version to roll back to")
    while number and number not in seen:
        seen.add(number)
        previous = registry.find_version(store, number)
        if ROLLED_BACK not in previous.tags:
            return previous
        number = previous.tags.get(PREVIOUS, "")
    raise ValueError(
        f"{champion} is the champion, and all earlier champions were rolled back: there is no version left to roll"
        " back to"
    )

"""Which version is the champion: it moves only to a challenger that is better beyond chance on the same videos."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from data.store import NoRoomError
from model.intervals import OFFICIAL_SUM, Interval, paired_differences
from tasks import registry
from tasks.catalogue import Dataset
from tasks.config import MachineConfig
from tasks.evaluation import Evaluation
from tasks.progress import log
from tasks.registry import Version
from tasks.scoring import evaluate, predict_dataset

MIN_VIDEOS = 6
"""With fewer, chance alone puts the challenger ahead in every one of them more often than once in 40 times."""
PREVIOUS = "champion.previous"
"""The tag of a version that says which one was champion before it; empty for the first."""
ROLLED_BACK = "champion.rolled_back"
"""The tag of a version that was taken back, with the time; the gate does not promote it again."""


@dataclass(frozen=True)
class Decision:
    """Whether the challenger becomes champion and why, with its scores less the champion's where both have some."""

    promotes: bool
    reason: str
    differences: dict[str, Interval]

    @property
    def official(self) -> Interval | None:
        return self.differences.get(OFFICIAL_SUM)


@task(task_run_name="choose-champion", cache_policy=NO_CACHE)
def choose_champion(evaluation: Evaluation, dataset: Dataset, machine: MachineConfig) -> str:
    """Makes the challenger the champion if it is better beyond chance; says why or why not.

    Decision, difference, interval and reason are tags of the challenger's version, and an artifact of the flow run.
    """
    store, challenger = machine.store, evaluation.model
    champion = registry.champion(store)
    if champion is not None and champion.number == challenger.number:
        return champion.tags.get("verdict", f"{champion} is the champion")
    theirs = None if champion is None else score_champion(champion, dataset, evaluation, machine)
    decision = decide(evaluation, champion, theirs)
    # The reason first: a champion that is promoted always says what it was promoted for, and after whom.
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
    """How a model does beside the champion on the same videos; moves nothing."""
    champion = registry.champion(machine.store)
    if champion is None or champion.number == evaluation.model.number:
        return f"{evaluation.model} has a total of {evaluation.total:.3f}; it is the champion itself, or there is none"
    decision = decide(evaluation, champion, score_champion(champion, dataset, evaluation, machine))
    if decision.official is None:
        return f"{evaluation.model} has a total of {evaluation.total:.3f}; not compared with {champion}"
    return f"{evaluation.model} less the champion, {champion}: {decision.official} in total"


def score_champion(
    champion: Version, dataset: Dataset, evaluation: Evaluation, machine: MachineConfig
) -> Evaluation | str:
    """The champion on the same shards, scored now; or, as a sentence, why that cannot be.

    Raises:
        NoRoomError: The disk is full, which is not the champion's fault.
    """
    try:
        predict_dataset(champion, dataset, machine)
        return evaluate(champion, dataset, evaluation.split, machine)
    except NoRoomError:
        raise
    except Exception as error:  # whatever it is: a champion that cannot answer is none
        log.warning("%s fails on %s", champion, dataset.name, exc_info=error)
        return str(error) or type(error).__name__


def decide(evaluation: Evaluation, champion: Version | None, theirs: Evaluation | str | None) -> Decision:
    """What the gate says.

    Args:
        evaluation: The challenger's.
        champion: The version it would follow, if there is one.
        theirs: The champion on the same data, or why it could not be scored.
    """
    challenger = evaluation.model
    data = f"the {evaluation.split} split of {evaluation.dataset} ({evaluation.num_frames} frames)"
    if ROLLED_BACK in challenger.tags:
        return Decision(False, f"{challenger} was rolled back on {challenger.tags[ROLLED_BACK]}: it stays so", {})
    if champion is None:
        first = f"it is the first, with a total of {evaluation.total:.3f} on {data}"
        return Decision(True, f"{challenger} is the champion: {first}", {})
    if not isinstance(theirs, Evaluation):
        return Decision(True, f"{challenger} is the champion: {champion} before it fails on {data}: {theirs}", {})
    differences = paired_differences(evaluation.videos, theirs.videos)
    difference = differences.get(OFFICIAL_SUM)
    num_videos = len(evaluation.videos.groups)
    if difference is None or num_videos < MIN_VIDEOS:
        few = f"there are {num_videos} of the {MIN_VIDEOS} videos that it takes to tell them apart"
        totals = f"{challenger} has a total of {evaluation.total:.3f} against {theirs.total:.3f} on {data}"
        return Decision(False, f"{champion} stays champion: {few}; {totals}", differences)
    beside = f"{difference} in total by {num_videos} videos of {data}"
    if difference.low > 0:
        return Decision(True, f"{challenger} is the champion: better than {champion} by {beside}", differences)
    return Decision(False, f"{champion} stays champion: {challenger} differs by {beside}", differences)


def decision_tags(decision: Decision, champion: Version | None, evaluation: Evaluation) -> dict[str, str]:
    """The decision as tags of the challenger's version."""
    tags = {
        "gate.decision": "promoted" if decision.promotes else "not promoted",
        "gate.against": "" if champion is None else str(champion.number),
        "gate.data": f"{evaluation.dataset} {evaluation.split} {evaluation.data_digest}",
        "gate.videos": str(len(evaluation.videos.groups)),
    }
    if decision.official is None:
        return tags
    ends = {"difference": decision.official.value, "low": decision.official.low, "high": decision.official.high}
    return {**tags, **{f"gate.{name}": f"{value:.6f}" for name, value in ends.items()}}


def decision_markdown(decision: Decision, evaluation: Evaluation) -> str:
    """The decision as a page, with every score's difference."""
    rows = [f"| {name} | {interval} |" for name, interval in decision.differences.items()]
    table = ["", "| score | difference [95 % interval] |", "|---|---|", *rows] if rows else []
    title = f"## {evaluation.model}: {'promoted' if decision.promotes else 'not promoted'}"
    return "\n".join([title, "", decision.reason, *table])


def roll_back(store: Path) -> str:
    """Makes the version that was champion before the champion again; says which.

    The one that is taken back keeps its tags, and the time as one more: the gate does not promote it again.

    Raises:
        ValueError: There is no champion, none was before it, or that one is gone.
    """
    champion = registry.champion(store)
    if champion is None:
        raise ValueError("there is no champion to roll back; `mtanet train` makes the first")
    number = champion.tags.get(PREVIOUS, "")
    if not number:
        raise ValueError(f"{champion} is the champion, and none is known before it: there is nothing to go back to")
    previous = registry.find_version(store, number)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    registry.annotate_version(store, champion, {ROLLED_BACK: time})
    registry.annotate_version(store, previous, {"champion.again": f"{time}, after {champion}"})
    registry.promote(store, previous)
    return f"{previous} is the champion again, after {champion}, which the gate will not promote any more"

"""The gate: decides, with a reason, whether a challenger becomes champion."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from data.text import counted
from model.scores.intervals import OFFICIAL_SUM, Interval, labelled_videos, paired_differences
from model.scores.tallies import OFFICIAL
from tasks.scoring.result import Evaluation
from tasks.tracking.registry import Version, tasks_of

MIN_VIDEOS = 6
"""Labelled videos needed for each task that has labels. With fewer, the challenger would be ahead in every video by
chance alone more often than once in 40 times.
"""
ROLLED_BACK = "champion.rolled_back"
"""Tag of a version that was rolled back, with the time. The gate does not promote it again."""


@dataclass(frozen=True)
class Decision:
    """Whether the challenger becomes champion, and why.

    `differences` holds the challenger's scores minus the champion's, for the scores that both have.
    """

    promotes: bool
    reason: str
    differences: dict[str, Interval]

    @property
    def official(self) -> Interval | None:
        return self.differences.get(OFFICIAL_SUM)


def decide_unscored(
    evaluation: Evaluation, champion: Version | None, *, synthetic: Collection[Version]
) -> Decision | None:
    """The decision if it does not depend on the champion's scores; otherwise None.

    Args:
        evaluation: The challenger's scores.
        champion: The current champion; None if there is none yet.
        synthetic: Which of the two versions were trained on rendered people.
    """
    challenger = evaluation.model
    if ROLLED_BACK in challenger.tags:
        return Decision(
            False, f"{challenger} was rolled back on {challenger.tags[ROLLED_BACK]} and is not promoted again", {}
        )
    if champion is not None and (lost := _only(champion, challenger)):
        return Decision(False, f"{champion} stays champion: {challenger} does not answer {lost}, as it does", {})
    if champion is None:
        first = f"it is the first, with a total of {evaluation.total:.3f} on {_data(evaluation)}"
        return Decision(True, f"{challenger} is the champion: {first}{_flattery(evaluation)}", {})
    if (challenger in synthetic) == (champion in synthetic):
        if more := _only(challenger, champion):
            answers = f"it answers {more}, which its predecessor {champion} does not"
            return Decision(True, f"{challenger} is the champion: {answers}{_flattery(evaluation)}", {})
        return None
    if challenger in synthetic:
        people = f"{challenger} was trained on rendered people, {champion} on real ones"
        return Decision(False, f"{champion} stays champion: {people}", {})
    people = f"its predecessor {champion} was trained on rendered people, {challenger} on real ones"
    return Decision(True, f"{challenger} is the champion: {people}{_flattery(evaluation)}", {})


def _only(one: Version, other: Version) -> str:
    """The tasks that one version answers and the other does not; empty if there are none."""
    return " and ".join(task.value for task in tasks_of(one) if task not in tasks_of(other))


def decide(evaluation: Evaluation, champion: Version, theirs: Evaluation | str, *, num_seen: int = 0) -> Decision:
    """The decision from the scores of both.

    Args:
        evaluation: The challenger's scores.
        champion: The current champion.
        theirs: The champion's scores on the same data, or the reason why it has none.
        num_seen: Number of videos in this data that the champion is known to have trained on.
    """
    challenger, data, notes = evaluation.model, _data(evaluation), _flattery(evaluation)
    if isinstance(theirs, str):
        reason = f"its predecessor {champion} fails on {data}: {theirs}{notes}"
        return Decision(True, f"{challenger} is the champion: {reason}", {})
    if num_seen:
        notes = f"{notes}; {champion} was trained on {num_seen} of these videos, so its scores are too high"
    differences = paired_differences(evaluation.videos, theirs.videos)
    if evaluation.leaking_videos > theirs.leaking_videos:
        ours, others = (counted(of.leaking_videos, "videos") for of in (evaluation, theirs))
        leak = f"a task of {challenger} was trained on {ours} that another task holds out ({champion}: {others})"
        reason = f"{leak}, so the scores of {challenger} are too high"
        return Decision(False, f"{champion} stays champion: {reason}", differences)
    return _compare(evaluation, theirs, differences, notes)


def _compare(evaluation: Evaluation, theirs: Evaluation, differences: dict[str, Interval], notes: str) -> Decision:
    """Decides by the interval of the difference alone. The notes go at the end of the reason."""
    challenger, champion, data = evaluation.model, theirs.model, _data(evaluation)
    difference = differences.get(OFFICIAL_SUM)
    totals = f"{challenger} has a total of {evaluation.total:.3f} against {theirs.total:.3f} on {data}{notes}"
    num_videos, task = min((number, task) for task, number in labelled_videos(evaluation.videos).items())
    if num_videos < MIN_VIDEOS:
        few = f"comparing {OFFICIAL[task]} needs at least {MIN_VIDEOS} labelled videos, found {num_videos}"
        return Decision(False, f"{champion} stays champion: {few}; {totals}", differences)
    if difference is None:
        return Decision(False, f"{champion} stays champion: one of the totals is undefined; {totals}", differences)
    amount = f"{difference} in total, on {counted(len(evaluation.videos.groups), 'videos')} of {data}{notes}"
    if difference.low > 0:
        return Decision(True, f"{challenger} is the champion: better than {champion} by {amount}", differences)
    no_better = f"{challenger} is not better beyond chance; it differs by {amount}"
    return Decision(False, f"{champion} stays champion: {no_better}", differences)


def _flattery(evaluation: Evaluation) -> str:
    """The note for the end of a reason, if the challenger's scores are too high; otherwise empty."""
    if not evaluation.leaking_videos:
        return ""
    videos = counted(evaluation.leaking_videos, "videos")
    return f"; its scores are too high: a task was trained on {videos} that another task holds out"


def _data(evaluation: Evaluation) -> str:
    return f"the {evaluation.split} split of {evaluation.dataset} ({counted(evaluation.num_frames, 'frames')})"


def decision_tags(decision: Decision, champion: Version | None, evaluation: Evaluation) -> dict[str, str]:
    """The decision as tags of the challenger.

    Without an interval its tags are empty, so that they replace those of an earlier decision.
    """
    of = decision.official
    ends = (f"{end:.6f}" for end in (of.value, of.low, of.high)) if of else ("", "", "")
    return {
        "gate.decision": "promoted" if decision.promotes else "not promoted",
        "gate.against": "" if champion is None else str(champion.number),
        "gate.data": f"{evaluation.dataset} {evaluation.split} {evaluation.data_digest}",
        "gate.videos": str(len(evaluation.videos.groups)),
        **dict(zip(("gate.difference", "gate.low", "gate.high"), ends, strict=True)),
    }


def decision_markdown(decision: Decision, evaluation: Evaluation) -> str:
    """The decision as a page, with the difference in every score."""
    rows = [f"| {name} | {interval} |" for name, interval in decision.differences.items()]
    table = ["", "| score | difference [95 % interval] |", "|---|---|", *rows] if rows else []
    title = f"## {evaluation.model}: {'promoted' if decision.promotes else 'not promoted'}"
    return "\n".join([title, "", decision.reason, *table])

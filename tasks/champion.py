"""Which version is the champion: it moves only when a challenger is better on the same data."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.labels import Split
from tasks import registry
from tasks.catalogue import Dataset
from tasks.config import MachineConfig
from tasks.progress import log
from tasks.scoring import Evaluation, check_edition, evaluate, predict_dataset, total_tag
from tasks.registry import Version


@task(task_run_name="choose-champion", cache_policy=NO_CACHE)
def choose_champion(evaluation: Evaluation, dataset: Dataset, machine: MachineConfig) -> str:
    """Makes the challenger the champion if its official total is the higher one; says why or why not.

    The reason is written on the challenger's version.
    """
    store, challenger = machine.store, evaluation.model
    champion = registry.champion(store)
    if champion is not None and champion.number == challenger.number:
        return champion.tags.get("verdict", f"{champion} is the champion")
    total = None if champion is None else champion_total(champion, dataset, evaluation.split, machine)
    wins, reason = verdict(evaluation, champion, total)
    if wins:
        registry.promote(store, challenger)
    registry.annotate_version(store, challenger, {"verdict": reason}, description=reason)
    log.info("%s", reason)
    return reason


def compare_with_champion(evaluation: Evaluation, dataset: Dataset, machine: MachineConfig) -> str:
    """How a model does beside the champion on the same data; moves nothing."""
    champion = registry.champion(machine.store)
    if champion is None or champion.number == evaluation.model.number:
        return f"{evaluation.model} has a total of {evaluation.total:.3f}; it is the champion itself, or there is none"
    total = champion_total(champion, dataset, evaluation.split, machine)
    champion_has = "cannot be scored on this edition" if total is None else f"has {total:.3f}"
    return f"{evaluation.model} has a total of {evaluation.total:.3f}; the champion, {champion}, {champion_has}"


def verdict(evaluation: Evaluation, champion: Version | None, champion_total: float | None) -> tuple[bool, str]:
    """Whether the challenger becomes the champion, and why, as a sentence."""
    challenger = evaluation.model
    data = f"the {evaluation.split} split of {evaluation.dataset} ({evaluation.num_frames} frames)"
    if champion is None:
        return True, f"{challenger} is the champion: it is the first, with a total of {evaluation.total:.3f} on {data}"
    if champion_total is None:
        return True, (
            f"{challenger} is the champion: {champion} before it knows another edition's classes "
            f"and cannot be scored on {data}"
        )
    if evaluation.total > champion_total:
        better = f"a total of {evaluation.total:.3f} against {champion_total:.3f} on {data}"
        return True, f"{challenger} is the champion: better than {champion}, {better}"
    worse = f"{challenger} has a total of {evaluation.total:.3f}, no more than its {champion_total:.3f}, on {data}"
    return False, f"{champion} stays champion: {worse}"


def champion_total(champion: Version, dataset: Dataset, split: Split, machine: MachineConfig) -> float | None:
    """The champion's official total on these data, scored now if it was not; None if its edition is another."""
    known = champion.tags.get(total_tag(dataset.digest, split))
    if known is not None:
        return float(known)
    try:
        check_edition(champion, dataset, machine.store)
    except ValueError as error:
        log.warning("%s", error)
        return None
    log.info("%s has no score on %s yet: it is scored now", champion, dataset.name)
    predict_dataset(champion, dataset, machine)
    return evaluate(champion, dataset, split, machine).total

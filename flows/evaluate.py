"""Flow `evaluate-mtanet`: scores a registered model on a split of a data set, and compares it with the champion."""

from __future__ import annotations

from prefect import flow

from data.labels import Split
from data.store.access import check_store
from data.store.catalogue import read_catalogue
from tasks.config import MachineConfig
from tasks.scoring.champion import compare_with_champion
from tasks.scoring.crossfit import cross_fit_answers
from tasks.scoring.evaluate import evaluate, predict_dataset
from tasks.scoring.reports import report_scores
from tasks.scoring.result import Evaluation
from tasks.tracking import registry
from tasks.warehouse import publish


@flow(name="evaluate-mtanet", flow_run_name="evaluate-{model}-on-{dataset}-{split}")
def evaluate_mtanet(
    model: str = "champion",
    dataset: str = "sample",
    split: Split = Split.VALIDATION,
    machine: MachineConfig = MachineConfig(),
) -> Evaluation:
    """Scores a model version, given by number or alias, on a split of a data set in the store."""
    check_store(machine.store)
    known = read_catalogue(machine.store, dataset)
    version = registry.find_version(machine.store, model)
    predict_dataset(version, known, machine)
    evaluation = evaluate(version, known, split, machine)
    cross_fit_answers(version, known, split, machine)
    report_scores(evaluation, compare_with_champion(evaluation, known, machine))
    publish(machine)
    return evaluation

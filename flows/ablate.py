"""Flow `ablate-mtanet`: measures what each part of a recipe contributes, on the experiment's data."""

from __future__ import annotations

import re
from pathlib import Path

from prefect import flow

from data.store.access import check_store
from flows.train import ingest_what_can_be
from tasks.comparison.ablation import about, entries_of_ablation
from tasks.comparison.engine import run_comparison
from tasks.config import Experiment, MachineConfig
from tasks.warehouse import publish


@flow(name="ablate-mtanet", flow_run_name="ablate-{experiment.name}")
def ablate_mtanet(experiment: Experiment, seeds: int, machine: MachineConfig = MachineConfig(), only: str = "") -> Path:
    """Trains every variant from every seed and returns the page with the table. Finished work is never redone.

    With `only`, trains the whole recipe and the variants whose names contain this text.
    """
    check_store(machine.store)
    entries = entries_of_ablation(experiment, only)
    name = "-".join(["ablation", experiment.name, *re.findall(r"[\w.]+", only)])
    dataset = ingest_what_can_be(experiment, machine)
    page = run_comparison(name, entries, dataset, seeds, machine, notes=[about(experiment)])
    publish(machine)
    return page

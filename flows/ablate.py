"""Flow `ablate-mtanet`: measures what each part of a recipe contributes, on the experiment's data."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from data.store.access import check_store
from flows.train import ingest_what_can_be
from tasks.config import Experiment, MachineConfig
from tasks.scoring.ablation import ablate_recipe


@flow(name="ablate-mtanet", flow_run_name="ablate-{experiment.name}")
def ablate_mtanet(experiment: Experiment, seeds: int, machine: MachineConfig = MachineConfig(), only: str = "") -> Path:
    """Trains every variant from every seed and returns the file with the table. Finished work is never redone.

    With `only`, trains the whole recipe and the variants whose names contain this text.
    """
    check_store(machine.store)
    dataset = ingest_what_can_be(experiment, machine)
    return ablate_recipe(experiment, dataset, seeds, machine, only)

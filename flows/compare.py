"""Flow `compare-systems`: trains experiments from several seeds and says which is better beyond chance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from prefect import flow
from pydantic import Field

from data.store.access import check_store
from data.store.catalogue import check_name
from flows.train import ExperimentName, ingest_what_can_be
from tasks.comparison.engine import run_comparison
from tasks.comparison.entries import SAMPLES, entries_of
from tasks.config import MachineConfig
from tasks.warehouse import publish


@flow(name="compare-systems", flow_run_name="compare-{name}")
def compare_systems(
    experiments: list[ExperimentName | str] = SAMPLES,
    seeds: Annotated[int, Field(ge=1, le=20)] = 3,
    name: str = "systems",
    vary: str = "",
    settings: list[str] | None = None,
    machine: MachineConfig = MachineConfig(),
) -> Path:
    """Trains every experiment from every seed and returns the page of the comparison. Finished work is never redone.

    The first experiment is the baseline. `vary` is a setting with several values, such as
    `train.corruption.wrong_expressions=0,0.2,0.4`, and `settings` are settings for all.
    """
    check_store(machine.store)
    entries = entries_of(experiments, vary, settings or ())
    dataset = ingest_what_can_be(entries[0].experiment, machine)
    page = run_comparison(check_name(name), entries, dataset, seeds, machine)
    publish(machine)
    return page

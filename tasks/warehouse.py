"""The warehouse: SQL over the shards."""

from __future__ import annotations

import json
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from data import warehouse
from data.shards import write_file
from data.store import hold
from tasks.config import MachineConfig
from tasks.progress import log


@task(task_run_name="publish", cache_policy=NO_CACHE)
def publish(machine: MachineConfig) -> Path:
    """Builds the warehouse anew; gives its file."""
    path = warehouse.publish(machine.store)
    log.info("warehouse: %s is up to date", path)
    return path


def write_run(store: Path, name: str, facts: dict[str, object]) -> None:
    """Writes down the scores of a run, for the view `runs`."""
    path = store / "runs" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with hold(store, "runs", what="the scores of runs"):
        write_file(path, json.dumps(facts, indent=2, sort_keys=True) + "\n")

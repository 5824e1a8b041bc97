"""Publishes the warehouse, which answers SQL queries over the shards."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.warehouse import views
from tasks.config import MachineConfig
from tasks.progress import log


@task(task_run_name="publish", cache_policy=NO_CACHE)
def publish(machine: MachineConfig) -> Path:
    """Rebuilds the warehouse and returns its file."""
    path = views.publish(machine.store)
    log.info("warehouse: rebuilt %s", path)
    return path

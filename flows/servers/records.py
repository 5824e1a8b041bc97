"""Prefect's records of commands that died: their runs are marked as crashed, or they would run for ever.

A command tags its runs with its process. Runs that a worker starts have no such tag.
"""

from __future__ import annotations

import platform

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

_PREFIX = "process-"


def process_tag() -> str:
    """Names this process: machine, process id and start, because process ids are used again."""
    process = psutil.Process()
    return f"{_machine()}{process.pid}-{process.create_time():.0f}"


def crash_runs_of_dead_commands(client: SyncPrefectClient) -> None:
    """Marks the runs of commands on this machine that were killed. Those on other machines may be alive."""
    running = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=running))):
        tag = next((tag for tag in run.tags if tag.startswith(_machine())), None)
        if tag is not None and not _is_alive(tag):
            message = "the command was killed; run it again to resume"
            client.set_flow_run_state(run.id, Crashed(message=message), force=True)


def _machine() -> str:
    return f"{_PREFIX}{platform.node()}-"


def _is_alive(tag: str) -> bool:
    pid, _, start = tag.removeprefix(_machine()).partition("-")
    try:
        return f"{psutil.Process(int(pid)).create_time():.0f}" == start
    except (psutil.NoSuchProcess, ValueError):
        return False

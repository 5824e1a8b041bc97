"""Prepares a Prefect server, then becomes its worker: `python -m flows.servers.bring_up STORE MLFLOW_PORT`.

Creates the work pool, the limit on decoding, and an automation for runs whose machine died, unless they exist.
Registers the deployments of `prefect.yaml` on every start, because they contain the path of the project's folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed
from rich.console import Console

from data.machine import num_cores
from flows.servers.environment import prefect_api, wait_for
from flows.servers.records import crash_runs_of_dead_commands
from tasks.config import DECODE_LIMIT, SPARE_SLOTS
from tasks.tracking.views import AS_TRAINING, PAGES

POOL = "mtanet"
ZOMBIES = "crash-runs-without-a-heartbeat"
HEARTBEATS_MISSED_FOR = timedelta(minutes=10)
"""Three heartbeats, which are 180 s apart, plus a margin. A shorter time marked healthy trainings as crashed."""


def main() -> None:
    store, mlflow_port = Path(sys.argv[1]), int(sys.argv[2])
    wait_for(f"{prefect_api()}/health")
    with get_client(sync_client=True) as client:
        ensure_pool(client)
        client.upsert_global_concurrency_limit_by_name(DECODE_LIMIT, num_cores() + SPARE_SLOTS)
        ensure_zombie_automation(client)
        crash_leftovers(client)
        crash_runs_of_dead_commands(client)
    deploy_all()
    wait_for(f"http://127.0.0.1:{mlflow_port}/health")
    say_where(store, mlflow_port)
    os.environ[PAGES] = f"http://127.0.0.1:{mlflow_port}"
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--limit", "1"]
    os.execv(sys.executable, worker)


def ensure_pool(client: SyncPrefectClient) -> None:
    """Creates the work pool, which runs flows as processes on this machine, unless it exists."""
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))


def ensure_zombie_automation(client: SyncPrefectClient) -> None:
    """Marks a run as crashed when its heartbeats stop. Otherwise a run on a dead machine would never end."""
    if client.read_automations_by_name(ZOMBIES):
        return
    ended = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    crashed = ChangeFlowRunState(
        name="Crashed", state=StateType.CRASHED, message="no heartbeat: the machine or the worker died", force=False
    )
    automation = AutomationCore(
        name=ZOMBIES,
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat"} | ended,
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=HEARTBEATS_MISSED_FOR,
        ),
        actions=[crashed],
    )
    client.create_automation(automation)


def crash_leftovers(client: SyncPrefectClient) -> None:
    """Marks runs as crashed whose worker died; otherwise they would block their deployment, which allows one run.

    Only this machine can reach the server, and this process is its only worker: any run that is active in the pool
    before the worker starts must be dead.
    """
    alive = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING])
    for run in client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=alive)),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
    ):
        client.set_flow_run_state(run.id, Crashed(message="the worker ended; run it again to resume"), force=True)


def deploy_all() -> None:
    """Registers the deployments of `prefect.yaml`.

    Raises:
        RuntimeError: Prefect rejects a deployment.
    """
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"`prefect deploy --all` failed: {(done.stdout + done.stderr).strip()[-2000:]}")


def say_where(store: Path, mlflow_port: int) -> None:
    """Prints the addresses and how to use them."""
    console = Console(highlight=False, soft_wrap=True)
    console.print("mtanet is up")
    console.print(f"  runs and schedules   {prefect_api().removesuffix('/api')}")
    console.print(f"  models and scores    http://127.0.0.1:{mlflow_port}/#/experiments?{AS_TRAINING}")
    console.print(f"  store                {store}")
    console.print("  in another terminal  prefect deployment run train-mtanet/nightly --watch")
    console.print("  Ctrl-C stops everything")


if __name__ == "__main__":
    main()

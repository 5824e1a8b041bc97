from __future__ import annotations

import subprocess
import sys

import psutil
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Running

from flows.servers.records import crash_runs_of_dead_commands, process_tag


@flow
def asleep() -> None:
    pass


@pytest.mark.usefixtures("prefect_api")
def test_the_run_of_a_killed_command_is_crashed_and_that_of_a_living_one_goes_on() -> None:
    mine = process_tag()
    machine, pid, _ = mine.rsplit("-", 2)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        dead = f"{machine}-{child.pid}-{psutil.Process(child.pid).create_time():.0f}"
        child.kill()
    reused = f"{machine}-{pid}-1"
    expected = {
        mine: "Running",
        dead: "Crashed",
        reused: "Crashed",
        "process-elsewhere-1-1": "Running",
        "by hand": "Running",
    }
    with get_client(sync_client=True) as client:
        ids = {tag: client.create_flow_run(asleep, state=Running(), tags=[tag]).id for tag in expected}
        crash_runs_of_dead_commands(client)
        assert {tag: client.read_flow_run(run_id).state_name for tag, run_id in ids.items()} == expected
        for run_id in ids.values():
            client.delete_flow_run(run_id)

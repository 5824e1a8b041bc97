from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.states import Running

from data.machine import num_cores
from flows.evaluate import evaluate_mtanet
from flows.servers.bring_up import POOL, ZOMBIES, crash_leftovers, deploy_all, ensure_pool, ensure_zombie_automation
from flows.servers.environment import free_port, is_free, prefect_server, wait_for
from flows.servers.up import ROOT, check_ports, commands, up
from tasks.tracking.views import SERVER_ENDS

pytestmark = pytest.mark.slow

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_named_with_what_to_do(taken_port: int, tmp_path: Path) -> None:
    message = rf"port {taken_port} is in use, and MLflow needs it: .* with `mtanet up --mlflow-port`"
    with pytest.raises(ValueError, match=message):
        up(tmp_path, prefect_port=free_port(), mlflow_port=taken_port)
    with pytest.raises(ValueError, match=r"the Prefect server needs it: .* `mtanet up --prefect-port`"):
        check_ports({"the Prefect server": taken_port})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_deployments_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.servers.up.ROOT", tmp_path)
    with pytest.raises(ValueError, match=r"has no prefect\.yaml: install mtanet from its folder"):
        up(tmp_path, prefect_port=1, mlflow_port=2)


def test_nothing_listens_beyond_this_machine(tmp_path: Path) -> None:
    made = commands(tmp_path, prefect_port=1, mlflow_port=2)
    for name in ("prefect", "mlflow"):
        assert made[name][made[name].index("--host") + 1] == "127.0.0.1"


def test_waiting_ends_with_the_process_and_in_time() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(RuntimeError, match=rf"no answer from {url} after 0 s"):
        wait_for(url, timeout_s=0)
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        process.wait()
        with pytest.raises(RuntimeError, match="the server ended with exit code 3"):
            wait_for(url, process=process)


def test_a_server_that_cannot_start_is_told_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    monkeypatch.setenv(SERVER_ENDS, "1")  # so that it is taken away again
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        pytest.raises(RuntimeError, match=r"temporary Prefect server did not start: .* see .*server\.log"),
        prefect_server(tmp_path),
    ):
        pass


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["entrypoint"])
def test_a_deployment_is_of_a_flow_and_its_parameters_are_valid(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    flow.validate_parameters(_given(flow, deployment))


def _given(flow: Any, deployment: dict[str, Any]) -> dict[str, Any]:
    """What must be given by hand, as somebody might, and what the deployment gives."""
    by_hand = {"ingest": {"root": "somewhere"}, "videos": "somewhere"}
    needed = {name: by_hand[name] for name in flow.parameters.required or []}
    return {**needed, **deployment.get("parameters", {})}


def test_nightly_has_a_time_a_zone_and_one_run_at_a_time() -> None:
    (nightly,) = [deployment for deployment in DEPLOYMENTS if deployment["name"] == "nightly"]
    (schedule,) = nightly["schedules"]
    assert {"cron", "timezone"} <= set(schedule)
    assert nightly["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


@pytest.mark.usefixtures("prefect_api")
def test_what_is_made_ready_twice_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with get_client(sync_client=True) as client:
        for _ in range(2):
            ensure_pool(client)
            ensure_zombie_automation(client)
        assert [pool.name for pool in client.read_work_pools()] == [POOL]
        assert len(client.read_automations_by_name(ZOMBIES)) == 1
    monkeypatch.setattr("flows.servers.bring_up.sys.executable", "/bin/false")
    with pytest.raises(RuntimeError, match="`prefect deploy --all` failed"):
        deploy_all()


@pytest.mark.usefixtures("prefect_api")
def test_a_run_of_a_worker_that_ended_does_not_run_for_ever() -> None:
    with get_client(sync_client=True) as client:
        ensure_pool(client)
        flow_id = client.create_flow(evaluate_mtanet)
        deployment = client.create_deployment(flow_id, "leftover", work_pool_name=POOL)
        dead, waiting = (client.create_flow_run_from_deployment(deployment) for _ in range(2))
        client.set_flow_run_state(dead.id, Running(), force=True)
        crash_leftovers(client)
        assert client.read_flow_run(dead.id).state_name == "Crashed"
        assert client.read_flow_run(waiting.id).state_name == "Scheduled"
        client.delete_deployment(deployment)


def test_a_server_that_ends_by_itself_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> dict[str, list[str]]:
        return {"prefect": [sys.executable, "-c", "raise SystemExit(7)"], "worker": ["sleep", "60"]}

    monkeypatch.setattr("flows.servers.up.commands", broken)
    for name in ("PREFECT_API_URL", "MTANET_STORE"):
        monkeypatch.setenv(name, "")  # `up` sets them; restored afterwards
    with pytest.raises(RuntimeError, match=r"a server stopped unexpectedly with exit code 7; see above and .*logs"):
        up(tmp_path, prefect_port=free_port(), mlflow_port=free_port())


@pytest.mark.timeout(400)
def test_everything_comes_up_runs_a_flow_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    prefect_port, mlflow_port = free_port(), free_port()
    api = f"http://127.0.0.1:{prefect_port}/api"
    # Else the scheduler looks once a minute.
    environment = {**os.environ, "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2"}
    for name in ("PREFECT_API_URL", "PREFECT_HOME"):
        environment.pop(name, None)
    ports = ["--prefect-port", str(prefect_port), "--mlflow-port", str(mlflow_port)]
    command = [sys.executable, "-m", "flows.command", "up", "--store", str(tmp_path / "store"), *ports]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            said = _read_until(process.stdout, "Ctrl-C stops everything")
            assert f"http://127.0.0.1:{mlflow_port}" in said
            threading.Thread(target=process.stdout.read, daemon=True).start()
            deployed = {entry["entrypoint"] for entry in httpx.post(f"{api}/deployments/filter", json={}).json()}
            assert deployed == {deployment["entrypoint"] for deployment in DEPLOYMENTS}
            limit = httpx.get(f"{api}/v2/concurrency_limits/decode").json()
            assert limit["limit"] == num_cores()
            _wait_for_scheduled_run(api)
            _run_without_data(api, environment, tmp_path / "store")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
    assert is_free(prefect_port)
    assert is_free(mlflow_port)


def _read_until(lines: Any, end: str) -> str:
    said = []
    for line in lines:
        said.append(line)
        if end in line:
            return "".join(said)
    raise AssertionError("".join(said))


def _wait_for_scheduled_run(api: str) -> None:
    """Under SQLAlchemy 2.1 all is well but for this: no run is ever scheduled."""
    wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    for _ in range(60):
        if httpx.post(f"{api}/flow_runs/filter", json=wanted).json():
            return
        time.sleep(0.5)
    raise AssertionError("the schedule of nightly makes no run")


def _run_without_data(api: str, environment: dict[str, str], store: Path) -> None:
    """The worker finds the flow, and the flow finds the store, in which there is nothing yet."""
    command = [sys.executable, "-m", "prefect", "deployment", "run", "evaluate-mtanet/on-demand", "--watch"]
    environment = {**environment, "PREFECT_API_URL": api}
    watched = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert watched.returncode == 1, watched.stdout + watched.stderr
    wanted = {"flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}}
    (run,) = httpx.post(f"{api}/flow_runs/filter", json=wanted).json()
    assert f"no data set 'sample' in {store}" in run["state"]["message"]

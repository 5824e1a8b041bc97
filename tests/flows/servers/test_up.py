from __future__ import annotations

import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from flows.servers.environment import answers, free_port, is_free, prefect_server, server_commands, wait_for
from flows.servers.up import ROOT, check_ports, running_servers, up
from tasks.config import SPARE_SLOTS
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
    by = rf"in use by process {os.getpid()} \(.*\)"
    message = rf"port {taken_port} is {by}, and MLflow needs it: .* with `mtanet up --mlflow-port`"
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
    made = server_commands(tmp_path, prefect_port=1, mlflow_port=2)
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


def test_the_error_of_a_server_that_cannot_start_names_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@contextmanager
def started(store: Path, *, until: str = "") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`mtanet up` and the port of its Prefect server, once that answers or, with `until`, once this is printed."""
    prefect_port, mlflow_port = free_port(), free_port()
    # Else the scheduler looks once a minute.
    environment = {**os.environ, "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2"}
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    ports = ["--prefect-port", str(prefect_port), "--mlflow-port", str(mlflow_port)]
    command = [sys.executable, "-m", "flows.command", "up", "--store", str(store), *ports]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment, process_group=0
    ) as process:
        try:
            if until:
                assert process.stdout is not None
                assert f"http://127.0.0.1:{mlflow_port}" in _read_until(process.stdout, until)
            else:
                wait_for(f"http://127.0.0.1:{prefect_port}/api/health")
            yield process, prefect_port
        finally:
            process.kill()
            _wait_until(lambda: not running_servers(store))


def _wait_until(reached: Callable[[], bool], at_most_s: float = 10) -> None:
    end_s = time.monotonic() + at_most_s
    while not reached():
        assert time.monotonic() < end_s
        time.sleep(0.3)


@pytest.mark.timeout(200)
def test_a_closed_terminal_ends_all_servers_within_seconds(tmp_path: Path) -> None:
    with started(tmp_path) as (process, port):
        assert {kind for _, kind, _ in running_servers(tmp_path)} >= {"Prefect server", "parent of the servers"}
        start_s = time.monotonic()
        os.killpg(process.pid, signal.SIGHUP)
        assert process.wait(timeout=20) == 128 + signal.SIGHUP
        assert time.monotonic() - start_s < 5
        assert not running_servers(tmp_path)
        assert is_free(port)
        assert process.stdout is not None
        assert "Run the same command again to resume" in process.stdout.read()


@pytest.mark.timeout(200)
def test_servers_that_are_left_are_named_with_process_and_port(tmp_path: Path) -> None:
    home, port = tmp_path / "prefect", free_port()
    home.mkdir()
    environment = {**os.environ, "PREFECT_HOME": str(home)}
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as left:
        try:
            wait_for(f"http://127.0.0.1:{port}/api/health", process=left)
            named = rf"already running: Prefect server, process {left.pid} on port {port}\. .*`kill {left.pid}`"
            with pytest.raises(ValueError, match=named):
                up(tmp_path, prefect_port=free_port(), mlflow_port=free_port())
        finally:
            left.kill()


@pytest.mark.timeout(400)
def test_everything_comes_up_runs_a_flow_and_ends_with_its_parent(tmp_path: Path) -> None:
    store = tmp_path / "a store"
    with started(store, until="Ctrl-C stops everything") as (process, port):
        api = f"http://127.0.0.1:{port}/api"
        assert process.stdout is not None
        threading.Thread(target=process.stdout.read, daemon=True).start()
        deployed = {entry["entrypoint"] for entry in httpx.post(f"{api}/deployments/filter", json={}).json()}
        assert deployed == {deployment["entrypoint"] for deployment in DEPLOYMENTS}
        limit = httpx.get(f"{api}/v2/concurrency_limits/decode").json()
        assert limit["limit"] == num_cores() + SPARE_SLOTS
        _wait_for_scheduled_run(api)
        environment = {**os.environ, "PREFECT_API_URL": api}
        _run_without_data(api, environment, store)
        _start_a_run(environment)
        _wait_until(lambda: any(store.glob("sample/*.partial/videos/*/*")), at_most_s=100)
        process.kill()
        process.wait()
        _wait_until(lambda: not running_servers(store))
        assert not answers(f"{api}/health")
    with started(store, until="Ctrl-C stops everything") as (process, port):
        wanted = {"flow_runs": {"state": {"type": {"any_": ["CRASHED"]}}}}
        (run,) = httpx.post(f"http://127.0.0.1:{port}/api/flow_runs/filter", json=wanted).json()
        assert run["state"]["message"] == "the worker ended; run it again to resume"
        (pid,) = [pid for pid, kind, _ in running_servers(store) if kind == "Prefect server"]
        os.kill(pid, signal.SIGKILL)
        assert process.wait(timeout=20) == 1
        assert not running_servers(store)
        assert process.stdout is not None
        said = process.stdout.read()
        assert "prefect stopped unexpectedly with exit code -9" in said
        assert re.search(r"a server stopped unexpectedly; see above and .*logs", said)


def _start_a_run(environment: dict[str, str]) -> None:
    """A training whose sample takes minutes to render."""
    given = json.dumps({"experiment": {"name": "tiny", "sample": {"clips": 3, "seconds": 60}}})
    command = [sys.executable, "-m", "prefect", "deployment", "run", "train-mtanet/nightly", "--params", given]
    subprocess.run(command, capture_output=True, check=True, cwd=ROOT, env=environment)


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

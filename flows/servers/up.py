"""Runs a Prefect server, a worker for its deployments, and an MLflow server."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from rich.console import Console

from flows.servers.environment import is_free, set_environment

ROOT = Path(__file__).parent.parent.parent
"""The project's folder, with the deployments and Prefect's settings. Flow runs start here."""
_KINDS = {
    "prefect server start": "Prefect server",
    "mlflow server": "MLflow server",
    "mlflow.server": "MLflow server",
    "prefect worker start": "worker",
    "flows.servers.guard": "parent of the servers",
    "flow-run execute": "flow run",
    "prefect.flow_engine": "flow run",
    "prefect.engine": "flow run",
}
"""What the command line of a process says about it."""


def up(store: Path, *, prefect_port: int, mlflow_port: int) -> None:
    """Runs the servers and the worker until a signal ends this process; nothing that it started outlives it.

    Raises:
        ValueError: Servers of this store are running, a port is in use, or mtanet was not installed from the project's
            folder.
        RuntimeError: A server or the worker stopped unexpectedly.
    """
    if not (ROOT / "prefect.yaml").is_file():
        raise ValueError(f"{ROOT} has no prefect.yaml: install mtanet from its folder with `pip install -e .`")
    refuse_leftovers(store)
    check_ports({"the Prefect server": prefect_port, "MLflow": mlflow_port})
    set_environment(store, verbose=True)
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{prefect_port}/api"
    os.environ["MTANET_STORE"] = str(store.resolve())  # the default store of the flows that the worker runs
    logs = store.resolve() / "logs"
    for folder in (logs, store / "mlflow"):
        folder.mkdir(parents=True, exist_ok=True)
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"starting a Prefect server, MLflow and a worker (takes a minute the first time); logs in {logs}")
    command = [sys.executable, "-m", "flows.servers.guard", str(store.resolve()), str(prefect_port), str(mlflow_port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, start_new_session=True) as guard:
        # Leaving the block closes the guard's standard input, which ends it, and waits until it has ended.
        guard.wait()
    raise RuntimeError(f"a server stopped unexpectedly; see above and {logs}")


def refuse_leftovers(store: Path) -> None:
    """Refuses to start beside servers of the same store.

    Raises:
        ValueError: There are some; names each with its process id and ports, and how to end them.
    """
    found = running_servers(store)
    if found:
        named = "; ".join(f"{what}, process {pid}{_on(ports)}" for pid, what, ports in found)
        raise ValueError(
            f"servers of the store {store} are already running: {named}. Use them, or end them with Ctrl-C in the "
            f"terminal of their `mtanet up` or, if it is gone, with `kill {' '.join(str(pid) for pid, *_ in found)}`"
        )


def running_servers(store: Path) -> list[tuple[int, str, list[int]]]:
    """Process id, kind and ports of each process of a `mtanet up` for this store, whatever became of its terminal."""
    home = str((store / "prefect").resolve())
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            kind = next((kind for said, kind in _KINDS.items() if said in words), None)
            if kind is not None and process.environ().get("PREFECT_HOME") == home:
                found.append((process.pid, kind, _ports(process)))
    return found


def check_ports(ports: dict[str, int]) -> None:
    """Raises ValueError if a port is in use."""
    for who, port in ports.items():
        if not is_free(port):
            option = "--mlflow-port" if who == "MLflow" else "--prefect-port"
            raise ValueError(
                f"port {port} is in use{_by(port)}, and {who} needs it: stop the program that listens there, "
                f"or choose another port with `mtanet up {option}`"
            )


def _by(port: int) -> str:
    """The process that listens on a port, as far as this user may know."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if port in _ports(process):
                return f" by process {process.pid} ({process.name()})"
    return ""


def _ports(process: psutil.Process) -> list[int]:
    connections = process.net_connections(kind="tcp")
    return sorted({found.laddr.port for found in connections if found.status == psutil.CONN_LISTEN})


def _on(ports: list[int]) -> str:
    return f" on port {', '.join(map(str, ports))}" if ports else ""

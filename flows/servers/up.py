"""Runs a Prefect server, a worker for its deployments, and an MLflow server."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from honcho.manager import Manager
from honcho.printer import Printer
from rich.console import Console

from flows.servers.environment import is_free, set_environment

ROOT = Path(__file__).parent.parent.parent
"""The project's folder, with the deployments and Prefect's settings. Flow runs start here."""
ENDED_BY_CTRL_C, ENDED_BY_SIGTERM = 130, 143


def up(store: Path, *, prefect_port: int, mlflow_port: int) -> None:
    """Runs the servers and the worker until Ctrl-C.

    Raises:
        ValueError: A port is in use, or mtanet was not installed from the project's folder.
        RuntimeError: A server or the worker stopped unexpectedly.
    """
    if not (ROOT / "prefect.yaml").is_file():
        raise ValueError(f"{ROOT} has no prefect.yaml: install mtanet from its folder with `pip install -e .`")
    check_ports({"the Prefect server": prefect_port, "MLflow": mlflow_port})
    set_environment(store, verbose=True)
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{prefect_port}/api"
    os.environ["MTANET_STORE"] = str(store.resolve())  # the default store of the flows that the worker runs
    logs = store.resolve() / "logs"
    for folder in (logs, store / "mlflow"):
        folder.mkdir(parents=True, exist_ok=True)
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"starting a Prefect server, MLflow and a worker (takes a minute the first time); logs in {logs}")
    manager = Manager(Printer(sys.stdout, width=len("worker")))
    for name, command in commands(store, prefect_port=prefect_port, mlflow_port=mlflow_port).items():
        # The servers log a lot, so their logs go to files. The worker prints the logs of its runs.
        to = "" if name == "worker" else f" >> {shlex.quote(str(logs / f'{name}.log'))} 2>&1"
        manager.add_process(name, f"exec {shlex.join(command)}{to}", cwd=str(ROOT), env=_environment(name))
    manager.loop()
    if manager.returncode not in (ENDED_BY_CTRL_C, ENDED_BY_SIGTERM):
        raise RuntimeError(f"a server stopped unexpectedly with exit code {manager.returncode}; see above and {logs}")


def check_ports(ports: dict[str, int]) -> None:
    """Raises ValueError if a port is in use."""
    for who, port in ports.items():
        if not is_free(port):
            option = "--mlflow-port" if who == "MLflow" else "--prefect-port"
            raise ValueError(
                f"port {port} is in use, and {who} needs it: stop the program that listens there (is `mtanet up`"
                f" already running?), or choose another port with `mtanet up {option}`"
            )


def commands(store: Path, *, prefect_port: int, mlflow_port: int) -> dict[str, list[str]]:
    """The command line of each process, by name."""
    python = [sys.executable, "-m"]
    at = ["--host", "127.0.0.1", "--port"]
    database = f"sqlite:///{store.resolve()}/mlflow.db"
    artifacts = str((store / "mlflow").resolve())
    return {
        "prefect": [*python, "prefect", "server", "start", *at, str(prefect_port)],
        "mlflow": [
            *[*python, "mlflow", "server", "--workers", "1", *at, str(mlflow_port)],
            *["--backend-store-uri", database, "--artifacts-destination", artifacts],
        ],
        "worker": [*python, "flows.servers.bring_up", str(store.resolve()), str(mlflow_port)],
    }


def _environment(name: str) -> dict[str, str]:
    quiet = {
        "prefect": {"PREFECT_SERVER_LOGGING_LEVEL": "WARNING"},
        # Otherwise MLflow starts a job runner and seven more processes.
        "mlflow": {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_LOGGING_LEVEL": "WARNING"},
    }
    return {**os.environ, "PYTHONUNBUFFERED": "1", **quiet.get(name, {})}

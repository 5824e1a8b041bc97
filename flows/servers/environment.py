"""Sets the environment of Prefect and MLflow before either is imported, and finds or starts a Prefect server.

set_environment(store)
with prefect_server(store):        # uses a running server, or starts one that ends with this process
    from flows.train import train_mtanet
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from data.store.verify import check_database
from tasks.tracking.views import SERVER_ENDS

PREFECT_PORT = 4200
MLFLOW_PORT = 5000
STARTUP_TIMEOUT_S = 180
"""The first start migrates an empty database, which takes 10 s, or a minute on a busy machine."""

log = logging.getLogger("mtanet.prefect")


def set_environment(store: Path, *, verbose: bool = False) -> None:
    """Makes Prefect and MLflow keep their files in the store and log little. Variables that are already set stay."""
    level = "INFO" if verbose else "CRITICAL"
    defaults = {
        "PREFECT_HOME": str((store / "prefect").resolve()),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "mtanet",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": level,
        "PREFECT_LOGGING_INTERNAL_LEVEL": level,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "INFO" if verbose else "WARNING",
        # Waiting threads sleep. Spinning threads starve the Prefect server, and an epoch then takes ten times as long.
        "OMP_WAIT_POLICY": "PASSIVE",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def prefect_api() -> str:
    """The address of the Prefect API: `PREFECT_API_URL` if set, otherwise the address that `mtanet up` uses."""
    return os.environ.get("PREFECT_API_URL") or f"http://127.0.0.1:{PREFECT_PORT}/api"


def answers(url: str, *, timeout_s: float = 2) -> bool:
    try:
        return httpx.get(url, timeout=timeout_s).is_success
    except httpx.HTTPError:
        return False


def wait_for(url: str, *, process: subprocess.Popen[bytes] | None = None, timeout_s: float = STARTUP_TIMEOUT_S) -> None:
    """Waits until the address answers.

    Raises:
        RuntimeError: No answer within `timeout_s`, or the server process has ended.
    """
    end_s = time.monotonic() + timeout_s
    while not answers(url):
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"no answer from {url}: the server ended with exit code {process.returncode}")
        if time.monotonic() > end_s:
            raise RuntimeError(f"no answer from {url} after {timeout_s:.0f} s")
        time.sleep(0.2)


def is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def prefect_server(store: Path) -> Iterator[None]:
    """Finds a running Prefect server, or starts one that ends with this process and keeps its records in the store.

    The block runs while it starts, and is left when it answers. Prefect may be imported in the block but not before,
    because it reads the address on import. The server ends last, after Prefect has sent its remaining records. It
    replaces Prefect's own temporary server, which does not start if `pyproject.toml` names an address, and which keeps
    running when its parent process is killed.

    Raises:
        RuntimeError: The temporary server does not start; the message names its log.
    """
    if answers(f"{prefect_api()}/health"):
        os.environ["PREFECT_API_URL"] = prefect_api()
        log.info("using the Prefect server at %s", prefect_api())
        yield
        return
    log.info("no Prefect server found at %s; starting a temporary one for this run", prefect_api())
    port = free_port()
    os.environ[SERVER_ENDS] = "1"
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    log_path = store / "prefect" / "server.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log_file:
        command = [sys.executable, "-m", "flows.servers.server", str(port)]
        # In a session of its own, out of reach of a terminal's Ctrl-C: it ends after the command, not before.
        server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log_file, stderr=subprocess.STDOUT, start_new_session=True
        )
    atexit.register(_end, server)
    yield
    try:
        wait_for(f"{prefect_api()}/health", process=server)
    except RuntimeError as error:
        database = store / "prefect" / "prefect.db"
        if database.is_file():
            check_database(database)
        raise RuntimeError(f"the temporary Prefect server did not start: {error}; see {log_path}") from error


def server_commands(store: Path, *, prefect_port: int, mlflow_port: int) -> dict[str, list[str]]:
    """The command line of each process of `mtanet up`, by name."""
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


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    if server.stdin is not None:
        server.stdin.close()

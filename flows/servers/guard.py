"""The parent of everything that `mtanet up` starts: `python -m flows.servers.guard STORE PREFECT_PORT MLFLOW_PORT`.

It ends, and everything below it, flow runs included, when its standard input closes. The kernel closes it when
`mtanet up` ends, however that happens. It runs in a session of its own, so a terminal's signals do not reach it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import psutil

from flows.servers.environment import server_commands

TO_END_S = 3.0
"""Seconds that the processes have to end by themselves."""
_PR_SET_CHILD_SUBREAPER = 36
_QUIET = {
    "prefect": {"PREFECT_SERVER_LOGGING_LEVEL": "WARNING"},
    # Otherwise MLflow starts a job runner and seven more processes.
    "mlflow": {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_LOGGING_LEVEL": "WARNING"},
}


def main() -> NoReturn:
    store, prefect_port, mlflow_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _adopt_orphans()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: end_all(0))
    commands = server_commands(store, prefect_port=prefect_port, mlflow_port=mlflow_port)
    names = {start(name, command, store / "logs").pid: name for name, command in commands.items()}
    pid, status = os.wait()
    while pid not in names:
        pid, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    sys.stderr.write(f"{names[pid]} stopped unexpectedly with exit code {code}\n")
    end_all(1)


def start(name: str, command: list[str], logs: Path) -> subprocess.Popen[bytes]:
    """Starts a process; the servers log a lot, so their logs go to files. The worker prints the logs of its runs."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **_QUIET.get(name, {})}
    if name == "worker":
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    with (logs / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def end_all(code: int) -> NoReturn:
    """Ends every process below this one, then this one."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        processes = psutil.Process().children(recursive=True)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        psutil.wait_procs(processes, timeout=TO_END_S)
    os._exit(code)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    end_all(0)


def _adopt_orphans() -> None:
    """Makes a flow run whose worker died a child of this process, so that `end_all` finds it. Only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    main()

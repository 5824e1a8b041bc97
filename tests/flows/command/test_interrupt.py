"""Ctrl-C as a terminal sends it, to the whole process group, and SIGTERM, at every stage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from support.scored_store import make_store
from support.waiting import wait_until

from data.warehouse.views import publish
from flows.servers.environment import free_port

pytestmark = pytest.mark.slow

AT_MOST_S = 5.0
EXPERIMENT = """
[sample]
clips = 4
seconds = 2.0

[train]
layers = [1, 1, 1, 1]
width = 8
neck = 16
epochs = 6
batch_size = 16
"""


@contextmanager
def running(*arguments: str, store: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own; what is left of it is killed at the end."""
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment["PREFECT_API_URL"] = f"http://127.0.0.1:{free_port()}/api"
    command = [sys.executable, "-m", "flows.command", *arguments, "--store", str(store)]
    with (
        (store.parent / "said.txt").open("w") as said,
        subprocess.Popen(command, env=environment, stderr=said, stdout=said, text=True, process_group=0) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
            for left in processes_of(store):
                with suppress(psutil.NoSuchProcess):
                    left.kill()


def processes_of(store: Path) -> list[psutil.Process]:
    """All processes that work for a store: it is in their command line or in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(store) in word for word in words):
                found.append(process)
    return found


def said(store: Path) -> str:
    return (store.parent / "said.txt").read_text()


def interrupt(process: subprocess.Popen[str], store: Path, number: signal.Signals = signal.SIGINT) -> None:
    """Sends the signal to the group, and checks what is seen and left."""
    start_s = time.monotonic()
    os.killpg(process.pid, number)
    assert process.wait(timeout=60) == 128 + number, said(store)
    assert time.monotonic() - start_s < AT_MOST_S
    end_s = start_s + AT_MOST_S
    while (left := processes_of(store)) and time.monotonic() < end_s:
        time.sleep(0.3)
    assert not left
    text = said(store)
    assert text.count("Run the same command again to resume") == 1, text
    assert "Traceback" not in text
    assert text.rstrip().endswith("to resume"), text


def a_moment_after(pattern: str, store: Path, delay_s: float) -> Callable[[], bool]:
    """Becomes true this long after a new file of that pattern appears in the store."""
    seen_s: list[float] = []
    before = files_of(store, pattern)

    def reached() -> bool:
        if not seen_s and files_of(store, pattern) - before:
            seen_s.append(time.monotonic())
        return bool(seen_s) and time.monotonic() >= seen_s[0] + delay_s

    return reached


def files_of(store: Path, pattern: str) -> set[tuple[Path, int]]:
    found = set()
    for path in store.glob(pattern):
        with suppress(FileNotFoundError):
            found.add((path, path.stat().st_mtime_ns))
    return found


STAGES = {
    "rendering": "sample/*.partial/videos/*/*",
    "extraction": "detections/*.partial",
    "epochs": "models/*/epoch-*.safetensors",
    "predicting": "predictions/*",
    "scoring": "runs/*",
}


@pytest.mark.timeout(900)
def test_interrupted_at_every_stage_a_training_ends_within_seconds_and_resumes(tmp_path: Path) -> None:
    store = tmp_path / "store"
    experiment = tmp_path / "tiny.toml"
    experiment.write_text(EXPERIMENT)
    train = ("train", "--experiment", str(experiment))
    for number, pattern in enumerate(STAGES.values()):
        with running(*train, store=store) as process:
            wait_until(a_moment_after(pattern, store, 0.3 * (number % 3)), process, lambda: said(store))
            interrupt(process, store, signal.SIGTERM if number % 3 == 2 else signal.SIGINT)
    with running(*train, store=store) as process:
        assert process.wait(timeout=300) == 0, said(store)
    assert not list(store.rglob("*.partial"))


@pytest.mark.parametrize(
    ("command", "delay_s"),
    [
        (["sample"], 0),
        (["sample"], 3),
        (["report"], 0.5),
        (["rollback"], 0.5),
        (["people"], 0.2),
        (["evaluate", "--dataset", "set-a"], 0.5),
    ],
)
def test_interrupted_while_it_starts_a_command_ends_within_seconds(
    tmp_path: Path, command: list[str], delay_s: float
) -> None:
    store = tmp_path / "store"
    if command != ["sample"]:
        make_store(store)
    with running(*command, store=store) as process:
        wait_until(lambda: hears_signals(process), process, lambda: said(store))
        time.sleep(delay_s)
        interrupt(process, store)


def test_interrupted_as_soon_as_it_hears_a_command_ends_in_one_sentence() -> None:
    """By a signal right after the last handler is set, wherever that leaves the command."""
    code = (
        "import os, signal\n"
        "real = signal.signal\n"
        "def set_and_send(number, handler):\n"
        "    real(number, handler)\n"
        "    if number == signal.SIGHUP: os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal = set_and_send\n"
        "from flows.command.__main__ import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 130, done.stderr
    assert done.stderr == "Interrupted: finished work is kept. Run the same command again to resume\n"


def hears_signals(process: subprocess.Popen[str]) -> bool:
    """Whether the command has set its handlers; before, Python itself is starting."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)


def test_a_long_query_is_stopped_by_ctrl_c(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    publish(store)
    slow = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
    with running("sql", slow, store=store) as process:
        # After so much work it is at the query, however busy the machine is.
        wait_until(lambda: psutil.Process(process.pid).cpu_times().user > 3, process, lambda: said(store))
        start_s = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert time.monotonic() - start_s < AT_MOST_S
        assert said(store) == "Interrupted: the query was stopped\n"

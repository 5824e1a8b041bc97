"""Describes this machine in a few lines, and checks its GPU against its CPU."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from data.store.damage import DamagedError
from data.store.verify import checks
from data.text import counted
from flows.command.options import refuse_missing
from flows.servers.environment import MLFLOW_PORT, answers, is_free, prefect_api

PACKAGES = ("mtanet", "torch", "nvidia-dali-cuda120", "av", "prefect", "mlflow", "duckdb", "pyarrow", "anny")


def print_facts(store: Path, console: Console) -> None:
    """Prints versions, device, decoders, store and servers."""
    for name, value in facts(store).items():
        console.print(f"{name:10} {value}")


def print_gpu_verdict(console: Console) -> None:
    """Compares the GPU with the CPU on synthetic data, and prints each check and a verdict.

    Raises:
        ValueError: No GPU works with both DALI and PyTorch.
        RuntimeError: The GPU fails a check, or gives other results than the CPU.
    """
    from data.video.frames import resolve_device
    from model.checks.agreement import Verdict, compare_with_cpu

    device = resolve_device("gpu")
    names: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
    with TemporaryDirectory() as folder:
        for check in compare_with_cpu(device, Path(folder)):
            console.print(f"{check.verdict:7}  {check.name}: {check.found}", markup=False)
            names[check.verdict].append(check.name)
    wrong = [*names[Verdict.DIFFERS], *names[Verdict.FAILED]]
    num_checks = sum(map(len, names.values()))
    if wrong:
        raise RuntimeError(
            f"the GPU differs from the CPU in {len(wrong)} of {num_checks} checks: {', '.join(wrong)}; "
            "use --device cpu, or, if only decoding differs, --set decoder=pyav (ingest.decoder=pyav for train)"
        )
    by_pyav = names[Verdict.PYAV]
    agreeing = f"{len(names[Verdict.AGREES])} of" if by_pyav else "all"
    others = f"; PyAV replaces the GPU in the others: {', '.join(by_pyav)}" if by_pyav else ""
    console.print(f"verdict: the GPU agrees with the CPU in {agreeing} {num_checks} checks{others}", markup=False)


def print_store_verdict(store: Path, console: Console, progress: Console) -> None:
    """Checks every file of a store, with a progress bar, and prints what is damaged.

    Raises:
        ValueError: There is no store.
        RuntimeError: Something is damaged.
    """
    refuse_missing(store)
    todo = list(checks(store))
    num_bytes, num_damaged = sum(check.bytes for check in todo), 0
    with Progress(
        TextColumn("checking"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=progress, transient=True
    ) as bar:
        task = bar.add_task("checking", total=num_bytes)
        for check in todo:
            try:
                check.run()
            except DamagedError as error:
                num_damaged += 1
                console.print(str(error), markup=False)
            bar.advance(task, check.bytes)
    if num_damaged:
        raise RuntimeError(f"{num_damaged} of {counted(len(todo), 'files')} damaged; see above for what to do")
    without = sum(not check.has_hash for check in todo)
    if without:
        console.print(f"{counted(without, 'files')} of an earlier version without a hash: only the size was checked")
    console.print(f"verdict: {counted(len(todo), 'files')} ({num_bytes / 1e9:.2f} GB), all intact")


def facts(store: Path) -> dict[str, str]:
    """Versions, device, decoders, store and servers of this machine, by name."""
    from data.machine import num_cores
    from data.video.frames import resolve_device

    device = resolve_device("auto")
    frames_from = "NVDEC through DALI, or PyAV for videos that NVDEC cannot decode" if device == "gpu" else "PyAV"
    return {
        "versions": f"Python {platform.python_version()}, " + ", ".join(_version(name) for name in PACKAGES),
        "device": f"{device}, {num_cores()} cores",
        "frames": f"from {frames_from}",
        "store": _store(store),
        "prefect": _server(prefect_api().removesuffix("/api"), f"{prefect_api()}/health"),
        "mlflow": _server(f"http://127.0.0.1:{MLFLOW_PORT}", f"http://127.0.0.1:{MLFLOW_PORT}/health", MLFLOW_PORT),
    }


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} (not installed)"


def _store(store: Path) -> str:
    free = f"{shutil.disk_usage(store if store.is_dir() else Path.cwd()).free / 2**30:.0f} GiB free"
    if not store.is_dir():
        return f"{store} (does not exist yet), {free}"
    datasets = ", ".join(sorted(path.stem for path in store.glob("datasets/*.json"))) or "none"
    return f"{store}, {free}; data sets: {datasets}"


def _server(page: str, health: str, port: int | None = None) -> str:
    if answers(health):
        return f"answers at {page}"
    if port is not None and not is_free(port):
        return f"port {port} is used by another program"
    return f"not running at {page}; `mtanet up` starts it"

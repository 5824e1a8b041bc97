"""Printing to the terminal, progress while a flow runs, and commands that torchrun starts in several processes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from data.store.access import check_store
from flows.servers.environment import prefect_server, set_environment

if TYPE_CHECKING:
    from tasks.config import MachineConfig

# A pipe or file has no width, and a narrow default would break identifiers across lines.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, highlight=False, soft_wrap=True)
VERBOSE = "MTANET_VERBOSE"


def is_verbose() -> bool:
    return bool(os.environ.get(VERBOSE))


@contextmanager
def prefect(store: Path, check: Callable[[], object] | None = None) -> Iterator[None]:
    """Prepares to run flows in the block: sets the environment, starts a server if needed, shows progress.

    Args:
        store: The folder of all outputs.
        check: Called while the server starts; raises if the flows would only fail.

    Raises:
        ValueError: The store is not writable.
    """
    check_store(store)
    set_environment(store, verbose=is_verbose())
    os.environ["MTANET_STORE"] = str(store)
    _show_logs()
    with prefect_server(store):
        if check is not None:
            check()
        # Takes about as long as the start of the server, and goes on beside it.
        import tasks.ingest.videos  # noqa: F401
        from tasks.progress import bars_in_terminal

    from prefect import tags
    from prefect.client.orchestration import get_client

    from flows.servers.records import crash_runs_of_dead_commands, process_tag

    with get_client(sync_client=True) as client:
        crash_runs_of_dead_commands(client)
    with tags(process_tag()), bars_in_terminal(err) if err.is_terminal else nullcontext():
        yield


def _show_logs() -> None:
    """Shows the log lines of the stages without Prefect's prefix."""
    from rich.logging import RichHandler

    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    if err.is_terminal:
        handler = RichHandler(console=err, show_level=False, show_path=False, log_time_format="%H:%M:%S")
        handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("mtanet")
    handler.set_name("terminal")
    logger.handlers = [*(other for other in logger.handlers if other.name != "terminal"), handler]
    logger.propagate = False
    logger.setLevel(logging.INFO)


def as_team(machine: MachineConfig, work: Callable[[], None]) -> None:
    """Does the work in the only process, or in torchrun's first; the other processes help with the trainings.

    Only the first process talks to Prefect and MLflow and writes to the store. All processes read the store.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        work()
        return
    set_environment(machine.store, verbose=is_verbose())
    from data.video.frames import resolve_device
    from model.training.distributed import broadcast_job, join_process_group, rank

    with join_process_group(resolve_device(machine.device)):
        if rank() > 0:
            from tasks.training.epochs import follow

            follow()
        else:
            work()
            broadcast_job(None)

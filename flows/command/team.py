"""A command that torchrun starts in several processes: the first runs it, the others help with its trainings."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from flows.command.terminal import is_verbose
from flows.servers.environment import set_environment

if TYPE_CHECKING:
    from tasks.config import MachineConfig


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

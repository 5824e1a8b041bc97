"""Runs a function in two processes that find each other as torchrun's do."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from model.training.distributed import join_process_group


def in_two_processes(work: Callable[..., Any], folder: Path, *arguments: Any) -> list[Any]:
    """What the work returned in the first and in the second process; both must end well."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    answers = [folder / f"{rank}.pt" for rank in (0, 1)]
    processes = [
        context.Process(target=_process, args=(rank, port, answers[rank], work, *arguments)) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=240)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    return [torch.load(path, weights_only=False) for path in answers]


def _process(rank: int, port: int, answers: Path, work: Callable[..., Any], *arguments: Any) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1")
    os.environ["MASTER_PORT"] = str(port)
    with join_process_group("cpu"):
        found = work(*arguments)
    torch.save(found, answers)

"""The options that commands share, and the machine settings made from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.machine import DeviceChoice, num_cores

if TYPE_CHECKING:
    from tasks.config import MachineConfig


Store = Annotated[
    Path,
    typer.Option(envvar="MTANET_STORE", help="Folder of all outputs.", show_default="store"),
]
OnDevice = Annotated[DeviceChoice, typer.Option(help="`auto` uses a GPU if it finds one; `gpu` fails without one.")]
Workers = Annotated[
    int, typer.Option(min=1, help="Number of videos decoded in parallel.", show_default="the number of cores")
]
CORES = num_cores()
STORE = Path("store")


def machine_of(store: Path, device: DeviceChoice, workers: int) -> MachineConfig:
    from tasks.config import MachineConfig

    return MachineConfig(store=store, device=device, workers=workers)


def refuse_missing(store: Path) -> None:
    """For commands that need what is in a store.

    Raises:
        ValueError: There is no such folder.
    """
    if not store.is_dir():
        raise ValueError(f"{store}: no such store; give its folder with --store")

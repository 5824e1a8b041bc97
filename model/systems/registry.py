"""Builds the network of a system, and loads one from its checkpoint."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from data.labels import Edition
from data.settings import Settings
from model.network import Network
from model.systems.settings import SYSTEMS
from model.training.checkpoint import Checkpoint, read_checkpoint
from model.training.step import Method


def method_of(system: str) -> Method:
    """How a system is trained, from the module `method` of its folder."""
    method: Method = import_module(f"model.systems.{SYSTEMS[system].name}.method").METHOD
    return method


def build_network(edition: Edition, settings: Settings) -> Network:
    """A new network of the system that has such settings: see `Method.build`."""
    system = next(system for system in SYSTEMS.values() if type(settings) is system.settings)
    return method_of(system.name).build(edition, settings)


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint of any system, onto the CPU.

    Raises:
        ValueError: See `model.training.checkpoint.read_checkpoint`.
    """
    return read_checkpoint(path, method_of)

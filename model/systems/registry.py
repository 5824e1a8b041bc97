"""Builds the network of a system."""

from __future__ import annotations

from typing import overload

from data.labels import ACTION_UNITS, EXPRESSIONS, Edition
from model.architecture import Architecture
from model.network import MTANet, Network
from model.systems.expr_cnn import ExprCnn
from model.systems.settings import AnyArchitecture


@overload
def build_network(edition: Edition, architecture: Architecture) -> MTANet: ...
@overload
def build_network(edition: Edition, architecture: AnyArchitecture) -> Network: ...
def build_network(edition: Edition, architecture: AnyArchitecture) -> Network:
    """A new network for an edition's action units and expressions, with random weights from torch's generator."""
    kind = MTANet if isinstance(architecture, Architecture) else ExprCnn
    return kind(
        num_units=len(ACTION_UNITS[edition]), num_expressions=len(EXPRESSIONS[edition]), **architecture.model_dump()
    )

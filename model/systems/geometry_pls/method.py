"""How the map of distances is built; it is fitted at once, so the loop has no step for it."""

from __future__ import annotations

from typing import Any

from model.systems.geometry_pls.network import GeometryPls
from model.systems.geometry_pls.settings import GeometrySettings
from model.training.step import Method


def _network(*, num_units: int, num_expressions: int, **_: Any) -> GeometryPls:
    """The settings steer the fit alone."""
    return GeometryPls(num_units=num_units, num_expressions=num_expressions)


METHOD = Method("geometry_pls", GeometrySettings, _network, step=None)

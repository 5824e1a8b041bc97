"""Tallies as JSON-like values, so that scores can be compared again without predictions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from data.labels import Edition
from model.scores.tallies import Expressions, Floats, Moments, Tallies, Units


def to_json(tallies: Tallies) -> dict[str, Any]:
    """The tallies as JSON-like values; `from_json` reads them back."""
    values: dict[str, Any] = _listed(asdict(tallies))
    return values


def from_json(values: dict[str, Any]) -> Tallies:
    expressions, units = values["expressions"], values["units"]
    return Tallies(
        edition=Edition(values["edition"]),
        groups=tuple(values["groups"]),
        moments={name: Moments(**_arrays(moments)) for name, moments in values["moments"].items()},
        expressions=Expressions(**_arrays(expressions)) if expressions else None,
        units=Units(names=tuple(units.pop("names")), **_arrays(units)) if units else None,
        people=tuple(values["people"]),
    )


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(part) for name, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _arrays(values: dict[str, Any]) -> dict[str, Floats]:
    return {name: np.array(part, dtype=np.float64) for name, part in values.items()}

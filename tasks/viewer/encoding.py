"""Columns as compact text: base64 of small whole numbers, which a page turns into typed arrays. Shapes: F frames."""

from __future__ import annotations

import base64
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Code(NamedTuple):
    """How a number is stored: as a whole multiple of `step`, and `missing` if there is none."""

    kind: str
    step: float
    missing: int


PIXELS = Code("i2", 0.25, -32768)
SIGNED = Code("i2", 1 / 32000, -32768)
"""For valence and arousal."""
SHARE = Code("u1", 1 / 250, 255)
"""For probabilities."""
CHOICE = Code("u1", 1, 255)
"""For classes, and for yes and no."""


def code_of(name: str) -> Code:
    """The code of a column of `data.viewer.columns`."""
    if name in ("x", "y", "w", "h") or name.startswith("landmark_"):
        return PIXELS
    if name.endswith(("valence", "arousal")):
        return SIGNED
    if name.endswith("expression") or re.search(r"(label|decided)_au\d+$", name):
        return CHOICE
    return SHARE


def encoded(values_F: NDArray[Any], code: Code) -> dict[str, Any]:
    """A column: its kind, step, missing number and content."""
    limits = np.iinfo(code.kind)
    scaled_F = np.nan_to_num(np.round(np.asarray(values_F, np.float64) / code.step), nan=code.missing)
    whole_F = scaled_F.clip(limits.min, limits.max).astype(f"<{code.kind}")
    return {**code._asdict(), "data": base64.b64encode(whole_F.tobytes()).decode()}


def encoded_times(times_s_F: NDArray[np.float64]) -> dict[str, Any]:
    """Times without any loss."""
    return {
        "kind": "f8",
        "step": 1,
        "missing": None,
        "data": base64.b64encode(times_s_F.astype("<f8").tobytes()).decode(),
    }

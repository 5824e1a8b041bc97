"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, unit: str) -> str:
    """A number with its unit, given in the plural: `1 video`, `2 videos`."""
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"


def lasting(seconds: float) -> str:
    """A duration as people say it: `40 s`, `12 min`, `3 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

"""One trial of the comparison of devices."""

from __future__ import annotations

from pathlib import Path

from model.checks.agreement import Check, check, trials


def checked(name: str, folder: Path) -> Check:
    return check(name, trials("cpu", folder)[name])

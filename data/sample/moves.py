"""How someone moves through a clip beyond swaying in their place: crosses, leaves, comes back, turns to the side.

Letters: F frames.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from data.sample.curves import Floats, floats, smoothstep


class Move(StrEnum):
    """`CROSSES` means to the other person's place and back, `CROSSES_ONCE` for good after two thirds of the clip.

    `LEAVES` is for good, `ARRIVES` late, `RETURNS` after an absence, `TURNS` a full profile and back, `PASSES` once
    across the picture.
    """

    STAYS = "stays"
    CROSSES = "crosses"
    CROSSES_ONCE = "crosses_once"
    LEAVES = "leaves"
    ARRIVES = "arrives"
    RETURNS = "returns"
    TURNS = "turns"
    PASSES = "passes"


_STEP = 0.15
"""Share of the clip that a walk takes."""
_OUT, _ACROSS = 0.6, 1.5
"""Distance from a person's place to beyond the picture, and from beyond one side to beyond the other; in widths."""
_PROFILE = 1.45
"""Yaw of a full profile, in radians, added to the head's other movements."""


def shift(move: Move, time_s: Floats, middle: float, rng: np.random.Generator) -> Floats:
    """Displacement of a person from `middle`, in widths of the picture (F). The other person's mirrors it."""
    u_F = _shares(time_s, rng)
    out = -_OUT if middle < 0.5 else _OUT
    walks = {
        Move.CROSSES: (1 - 2 * middle) * (_from(0.3, u_F) - _from(0.6, u_F)),
        Move.CROSSES_ONCE: (1 - 2 * middle) * _from(0.6, u_F),
        Move.LEAVES: out * _from(0.5, u_F),
        Move.ARRIVES: out * (1 - _from(0.3, u_F)),
        Move.RETURNS: out * (_from(0.25, u_F) - _from(0.55, u_F)),
        Move.PASSES: np.sign(0.5 - middle) * _ACROSS * (np.clip((u_F - 0.1) / 0.8, 0, 1)) + out / 2,
    }
    return floats(walks.get(move, np.zeros_like(u_F)))


def turn(move: Move, time_s: Floats, rng: np.random.Generator) -> Floats:
    """Yaw that a move adds to the head, in radians (F)."""
    u_F = _shares(time_s, rng)
    side = rng.choice([-1, 1])
    profile_F = side * _PROFILE * (_from(0.25, u_F) - _from(0.55, u_F))
    return floats(profile_F if move is Move.TURNS else np.zeros_like(u_F))


def _shares(time_s: Floats, rng: np.random.Generator) -> Floats:
    """The time as a share of the clip, a little earlier or later."""
    return floats(time_s / max(float(time_s[-1]), 0.01) + rng.uniform(-0.04, 0.04))


def _from(start: float, u_F: Floats) -> Floats:
    return smoothstep(start, start + _STEP, u_F)

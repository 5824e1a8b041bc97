"""Smooth steps, noise and slow movements."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Floats = NDArray[np.float32]


def floats(values: ArrayLike) -> Floats:
    """The one kind of number of this package, float32."""
    return np.asarray(values, np.float32)


def smoothstep(start: float, end: float, values: Floats) -> Floats:
    """0 up to `start`, 1 from `end` on, S-shaped in between; falls if `start` > `end`."""
    t = np.clip((values - start) / (end - start), 0, 1)
    return floats(t * t * (3 - 2 * t))


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell_px: int) -> Floats:
    """A picture of random blots in -1..1, some `cell_px` wide."""
    coarse = rng.uniform(-1, 1, (height // cell_px + 2, width // cell_px + 2)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def sway(rng: np.random.Generator, time_s: Floats, amplitude: float, period_s: float) -> Floats:
    """A slow, irregular to and fro, at most 1.5 `amplitude` from 0."""
    slow, fast = (
        amplitude / k * np.sin(2 * np.pi * k * time_s / (period_s * rng.uniform(0.7, 1.4)) + rng.uniform(0, 2 * np.pi))
        for k in (1, 2)
    )
    return floats(slow + fast)

"""Where the picture of a video cuts to another shot, from small grey pictures of its frames.

Two frames are compared by their best correlation over small shifts, so that a camera that pans is not a cut; brightness
and contrast do not count, so that a flash or a fade is none either. A hard cut is a pair of frames that are much less
alike than the pairs before and after them, while the frames behind it do not return to the shot before it.

Shapes: F frames, H rows and W columns of a thumbnail, P pairs of frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.video.media import Frame
from data.video.pixels import part_of

HEIGHT, WIDTH = 27, 48
"""Size of a thumbnail, in px."""
MOST_SHIFT = 0.2
"""How far, in widths and heights of the picture, two frames may be shifted against each other."""
LEAST_CHANGE = 0.06
"""Frames that are less unlike than this are of one shot; 0 is the same picture, 1 nothing in common."""
OUTLIER = 3.0
"""How many times as unlike as its neighbours a pair of frames at a cut is."""
CLEAR, ALONE = 0.25, 1.25
"""A pair less unlike than the first is a movement unless it is that many times as unlike as the pairs beside it."""
NEIGHBOURS = 4
"""Pairs on each side that a pair is compared with."""
FLASH_FRAMES = 3
"""If one of this many frames after a change is like the frame before it, the change was a flash, not a cut."""
_LEAST_UNLIKE = 0.02
_FLAT_ENERGY = 1.5 * math.sqrt(HEIGHT * WIDTH)
"""A picture whose levels deviate by less than 1.5 has nothing to compare."""
_BLOCK = 1000
_REMEMBERED = 64
"""Pairs that are compared at once, and spectra that are kept."""

Thumbnails = NDArray[np.uint8]


def thumbnails(frames_HWC: Sequence[Frame]) -> Thumbnails:
    """Small grey pictures of frames of one size, on any device; FHW. Each px is the mean green of four points."""
    if not frames_HWC:
        return np.empty((0, HEIGHT, WIDTH), np.uint8)
    height, width = frames_HWC[0].shape[:2]
    rows_S1 = ((np.arange(HEIGHT * 2) + 0.5) * height / (HEIGHT * 2)).astype(np.int64)[:, None]
    columns_1S = ((np.arange(WIDTH * 2) + 0.5) * width / (WIDTH * 2)).astype(np.int64)[None]
    points = [
        part_of(frame, (rows_S1, columns_1S)) if isinstance(frame, Tensor) else frame[rows_S1, columns_1S]
        for frame in frames_HWC
    ]
    green_FSS = torch.stack([of_frame[..., 1] for of_frame in points]).cpu().numpy().astype(np.uint16)
    rows_FHS = green_FSS[:, 0::2] + green_FSS[:, 1::2]
    small: Thumbnails = ((rows_FHS[..., 0::2] + rows_FHS[..., 1::2] + 2) // 4).astype(np.uint8)
    return small


def find_cuts(thumbnails_FHW: Thumbnails) -> list[int]:
    """The first frame of every shot but the first, by hard cuts."""
    film = _Film(thumbnails_FHW)
    cuts = []
    for pair in film.changes():
        unlike = film.unlike(pair, pair + 1)
        before = [film.unlike(one, one + 1) for one in range(max(pair - NEIGHBOURS, 0), pair)]
        last = min(pair + 1 + NEIGHBOURS, len(thumbnails_FHW) - 1)
        after = [film.unlike(one, one + 1) for one in range(pair + 1, last)]
        usual = max(_LEAST_UNLIKE, *(float(np.median(pairs)) for pairs in (before, after) if pairs))
        beside = max([0.0, *before[-1:], *after[:1]])
        is_alone = unlike > CLEAR or unlike > ALONE * beside
        if unlike > OUTLIER * usual and is_alone and not film.returns(pair, unlike / 2):
            cuts.append(pair + 1)
    return cuts


def find_changes(thumbnails_FHW: Thumbnails) -> list[int]:
    """The frames that differ from the one before: all cuts, and fast movements and flashes too."""
    return [pair + 1 for pair in _Film(thumbnails_FHW).changes()]


class _Film:
    """The thumbnails of a video, and how unlike two of them are."""

    def __init__(self, thumbnails_FHW: Thumbnails) -> None:
        self._thumbnails_FHW = thumbnails_FHW
        self._prepared = lru_cache(maxsize=_REMEMBERED)(self._prepare)
        self.unlike = lru_cache(maxsize=_REMEMBERED)(self._unlike)

    def changes(self) -> list[int]:
        """The pairs of a frame and the next one that are unlike, by their first frames.

        Most pairs are alike without a shift, which takes no correlation over shifts to see.
        """
        pairs: list[int] = []
        for start in range(0, len(self._thumbnails_FHW) - 1, _BLOCK):
            pictures = self._thumbnails_FHW[start : start + _BLOCK + 1].astype(np.float32).reshape(-1, HEIGHT * WIDTH)
            pictures -= pictures.mean(axis=1, keepdims=True)
            energies = np.linalg.norm(pictures, axis=1)
            energies[energies < _FLAT_ENERGY] = np.inf  # compared with care below
            alike_P = (pictures[:-1] * pictures[1:]).sum(axis=1) / (energies[:-1] * energies[1:])
            pairs += [start + int(pair) for pair in np.flatnonzero(alike_P < 1 - LEAST_CHANGE)]
        return [pair for pair in pairs if self.unlike(pair, pair + 1) > LEAST_CHANGE]

    def returns(self, frame: int, most: float) -> bool:
        """Whether a frame soon after a change is at most so unlike one just before it."""
        befores = range(max(frame - 1, 0), frame + 1)
        afters = range(frame + 2, min(frame + 2 + FLASH_FRAMES, len(self._thumbnails_FHW)))
        return any(self.unlike(before, after) <= most for before in befores for after in afters)

    def _unlike(self, one: int, other: int) -> float:
        """1 less the largest correlation over small shifts; flat pictures are alike."""
        (spectrum, energy), (other_spectrum, other_energy) = self._prepared(one), self._prepared(other)
        if min(energy, other_energy) < _FLAT_ENERGY:
            return 0.0 if max(energy, other_energy) < _FLAT_ENERGY else 1.0
        correlation = np.fft.irfft2(spectrum * other_spectrum.conj(), s=(2 * HEIGHT, 2 * WIDTH))
        down, right = int(HEIGHT * MOST_SHIFT), int(WIDTH * MOST_SHIFT)
        near = np.roll(correlation, (down, right), axis=(0, 1))[: 2 * down + 1, : 2 * right + 1]
        return 1 - float(near.max() / (energy * other_energy))

    def _prepare(self, frame: int) -> tuple[NDArray[np.complex128], float]:
        """The spectrum of a thumbnail without its mean, and its energy."""
        picture = self._thumbnails_FHW[frame].astype(np.float64)
        picture -= picture.mean()
        return np.fft.rfft2(picture, s=(2 * HEIGHT, 2 * WIDTH)), float(np.linalg.norm(picture))

"""Where the picture of a video cuts to another shot, from small grey pictures of its frames.

Two frames are compared by their best correlation over small shifts, so that a camera that pans is not a cut; brightness
and contrast do not count, so that a flash or a fade is none either. A hard cut is a pair of frames that are much less
alike than the pairs before and after them, while the frames behind it do not return to the shot before it.

Shapes: F frames, H rows and W columns of a thumbnail, P pairs of frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from data.video.media import Frame

HEIGHT, WIDTH = 27, 48
"""Size of a thumbnail, in px."""
MOST_SHIFT = 0.2
"""How far, in widths and heights of the picture, two frames may be shifted against each other."""
LEAST_CHANGE = 0.1
"""Frames that are less unlike than this are of one shot; 0 is the same picture, 1 nothing in common."""
OUTLIER = 4.0
"""How many times as unlike as its neighbours a pair of frames at a cut is."""
NEIGHBOURS = 4
"""Pairs on each side that a pair is compared with."""
FLASH_FRAMES = 3
"""If one of this many frames after a change is like the frame before it, the change was a flash, not a cut."""
_LEAST_UNLIKE = 0.02
_POINTS = 3
"""Points in a cell, in each direction, of which the mean is taken."""
_FLAT = 1.5
"""Standard deviation of levels below which a picture has nothing to compare."""

Thumbnails = NDArray[np.uint8]


def thumbnails(frames_HWC: Sequence[Frame]) -> Thumbnails:
    """Small grey pictures of frames of one size, on any device; FHW. Each px is the mean green of some points."""
    if not frames_HWC:
        return np.empty((0, HEIGHT, WIDTH), np.uint8)
    height, width = frames_HWC[0].shape[:2]
    rows_S1 = ((np.arange(HEIGHT * _POINTS) + 0.5) * height / (HEIGHT * _POINTS)).astype(int)[:, None]
    columns_1S = ((np.arange(WIDTH * _POINTS) + 0.5) * width / (WIDTH * _POINTS)).astype(int)[None]
    green_FSS = torch.stack([frame[rows_S1, columns_1S][..., 1] for frame in frames_HWC]).float()
    cells_FHPWP = green_FSS.reshape(-1, HEIGHT, _POINTS, WIDTH, _POINTS)
    small: Thumbnails = cells_FHPWP.mean(dim=(2, 4)).round().to(torch.uint8).cpu().numpy()
    return small


def find_cuts(thumbnails_FHW: Thumbnails) -> list[int]:
    """The first frame of every shot but the first, by hard cuts."""
    num_frames = len(thumbnails_FHW)
    if num_frames < 2:
        return []
    spectra, energies = _prepared(thumbnails_FHW)
    unlike_P = 1 - _alike(spectra, energies, 1)
    cuts = []
    for pair in np.flatnonzero(unlike_P > LEAST_CHANGE):
        before = unlike_P[max(pair - NEIGHBOURS, 0) : pair]
        after = unlike_P[pair + 1 : pair + 1 + NEIGHBOURS]
        usual = max(np.median(before) if len(before) else 0, np.median(after) if len(after) else 0, _LEAST_UNLIKE)
        if unlike_P[pair] > OUTLIER * usual and not _returns(spectra, energies, int(pair), unlike_P[pair] / 2):
            cuts.append(int(pair) + 1)
    return cuts


def _returns(spectra: NDArray[np.complex128], energies: NDArray[np.float64], frame: int, most: float) -> bool:
    """Whether a frame soon after a change is at most so unlike one just before it."""
    befores = range(max(frame - 1, 0), frame + 1)
    afters = range(frame + 2, min(frame + 2 + FLASH_FRAMES, len(energies)))
    return any(1 - _likeness(spectra, energies, before, after) <= most for before in befores for after in afters)


def _prepared(thumbnails_FHW: Thumbnails) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """The spectrum of every thumbnail without its mean, and its energy."""
    pictures = thumbnails_FHW.astype(np.float64)
    pictures -= pictures.mean(axis=(1, 2), keepdims=True)
    energies = np.sqrt((pictures**2).sum(axis=(1, 2)))
    return np.fft.rfft2(pictures, s=(2 * HEIGHT, 2 * WIDTH)), energies


def _alike(spectra: NDArray[np.complex128], energies: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """The likeness of every frame and the one `step` frames later."""
    return np.array([_likeness(spectra, energies, frame, frame + step) for frame in range(len(energies) - step)])


def _likeness(spectra: NDArray[np.complex128], energies: NDArray[np.float64], one: int, other: int) -> float:
    """The largest correlation of two thumbnails over small shifts, in [-1, 1]; flat pictures are alike."""
    flat = _FLAT * np.sqrt(HEIGHT * WIDTH)
    if energies[one] < flat or energies[other] < flat:
        return 1.0 if energies[one] < flat and energies[other] < flat else 0.0
    correlation = np.fft.irfft2(spectra[one] * spectra[other].conj(), s=(2 * HEIGHT, 2 * WIDTH))
    down, right = int(HEIGHT * MOST_SHIFT), int(WIDTH * MOST_SHIFT)
    near = np.roll(correlation, (down, right), axis=(0, 1))[: 2 * down + 1, : 2 * right + 1]
    return float(near.max() / (energies[one] * energies[other]))

"""Trials of decoding: are a GPU's frames those of PyAV? On clips that carry their frame numbers in their pixels.

Shapes: F frames, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from data.numbered import ENCODERS, number_in, numbered, write_clip
from data.video import DALI_CPU_CODECS, NVDEC_CODECS, Decoder, Device, read_frames

Trial = Callable[[], tuple[bool, str]]
"""Gives whether a device does what the CPU does, and what was found."""

NUM_FRAMES = 130
"""Of a clip: more than one group of pictures, and the last chunk is a short one."""

_TWICE = np.ones((2, 2, 1), np.uint8)
"""Makes frames so large that every GPU takes them: HEVC has to have 144 lines."""
_COLOUR_LEVELS = 4.0
"""On average: DALI converts colours by BT.601, whatever the file says."""
_TIME_S = 2e-3


def video_trials(device: Device, folder: Path) -> dict[str, Trial]:
    """What can be tried, by name; `folder` takes the clips."""
    codecs = sorted(NVDEC_CODECS if device == "gpu" else DALI_CPU_CODECS)
    return {
        **{f"decode {codec}": partial(_decoding, codec, device, folder) for codec in codecs},
        "decode vp9 at a varying rate": partial(_decoding, "vp9", device, folder, _varying_ticks()),
    }


def _decoding(codec: str, device: Device, folder: Path, ticks: list[int] | None = None) -> tuple[bool, str]:
    name = f"{codec}{'-varying' if ticks else ''}.{'webm' if codec == 'vp8' else 'mp4'}"
    frames = (np.kron(numbered(number), _TWICE) for number in range(NUM_FRAMES))
    clip = write_clip(folder / name, frames, codec=ENCODERS[codec], ticks=ticks)
    dali: Decoder = "dali-gpu" if device == "gpu" else "dali-cpu"
    numbers, times_s, pixels = _read(clip, device, dali)
    _, true_times_s, true_pixels = _read(clip, "cpu", "pyav")
    if numbers != list(range(NUM_FRAMES)):
        wrong = next((place for place, number in enumerate(numbers) if place != number), len(numbers))
        return False, f"expected frames 0 to {NUM_FRAMES - 1}, found {len(numbers)}, the first wrong one at {wrong}"
    late_s = float(np.abs(np.subtract(times_s, true_times_s)).max())
    levels = float(np.abs(pixels.astype(float) - true_pixels).mean())
    found = f"{NUM_FRAMES} frames in order, times within {1000 * late_s:.1f} ms, colours {levels:.1f} levels apart"
    return late_s < _TIME_S and levels < _COLOUR_LEVELS, found


def _read(clip: Path, device: Device, decoder: Decoder) -> tuple[list[int], list[float], np.ndarray]:
    """The numbers that the frames spell, their times, and the last frame's pixels."""
    chunks = [*read_frames(clip, device=device, decoder=decoder)]
    frames = np.concatenate([chunk.frames_FHWC.cpu().numpy() for chunk in chunks])
    times_s = [time_s or 0.0 for chunk in chunks for time_s in chunk.times_s]
    return [number_in(frame[::2, ::2]) for frame in frames], times_s, frames[-1]


def _varying_ticks() -> list[int]:
    """In ms, by turns 40 and 60 apart."""
    return [40 * number + 20 * (number // 2) for number in range(NUM_FRAMES)]

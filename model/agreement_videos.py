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

_SKIP = 64
"""As many frames of a clip as a run that goes on leaves out, a multiple of the frames of a chunk."""
_TWICE = np.ones((2, 2, 1), np.uint8)
"""Makes frames so large that every GPU takes them: HEVC has to have 144 lines."""
_COLOUR_LEVELS = 4.0
"""On average over a frame: DALI converts colours by BT.601, whatever the file says."""
_TIME_S = 2e-3


def video_trials(device: Device, folder: Path) -> dict[str, Trial]:
    """What can be tried, by name; `folder` takes the clips."""
    codecs = sorted(NVDEC_CODECS if device == "gpu" else DALI_CPU_CODECS)
    codec = "h264" if device == "gpu" else "vp9"
    decoding = partial(_decoding, device, folder)
    return {
        **{f"decode {codec}": partial(decoding, codec) for codec in codecs},
        f"decode {codec} at a varying rate": partial(decoding, codec, ticks=_varying_ticks()),
        f"decode {codec} filmed sideways": partial(decoding, codec, rotation_deg=90),
        f"decode {codec} from frame {_SKIP} on": partial(decoding, codec, skip=_SKIP),
    }


def _decoding(
    device: Device, folder: Path, codec: str, *, ticks: list[int] | None = None, rotation_deg: int = 0, skip: int = 0
) -> tuple[bool, str]:
    clip = _numbered_clip(folder, codec, ticks, rotation_deg)
    times_s, pixels_FHWC = _read(clip, device, "dali-gpu" if device == "gpu" else "dali-cpu", skip)
    true_times_s, true_pixels_FHWC = _read(clip, "cpu", "pyav", skip)
    height_width, true_height_width = pixels_FHWC.shape[1:3], true_pixels_FHWC.shape[1:3]
    if height_width != true_height_width:
        return False, f"expected frames of {true_height_width} px, height and width, found {height_width}"
    numbers = [number_in(frame_HWC[::2, ::2]) for frame_HWC in pixels_FHWC]
    if numbers != [*range(skip, NUM_FRAMES)]:
        wrong = next((place for place, number in enumerate(numbers) if number != skip + place), len(numbers))
        expected = f"expected frames {skip} to {NUM_FRAMES - 1}"
        return False, f"{expected}, found {len(numbers)}, the first wrong one at {skip + wrong}"
    late_s = float(np.abs(np.subtract(times_s, true_times_s)).max())
    levels = _levels_apart(pixels_FHWC, true_pixels_FHWC)
    times_and_colours = f"times within {1000 * late_s:.1f} ms, colours of each {levels:.1f} levels apart at most"
    return late_s < _TIME_S and levels < _COLOUR_LEVELS, f"{len(numbers)} frames in order, {times_and_colours}"


def _numbered_clip(folder: Path, codec: str, ticks: list[int] | None, rotation_deg: int) -> Path:
    name = f"{codec}-{'varying' if ticks else 'even'}-{rotation_deg}.{'webm' if codec == 'vp8' else 'mp4'}"
    upright = (np.kron(numbered(number), _TWICE) for number in range(NUM_FRAMES))
    frames = (np.ascontiguousarray(np.rot90(frame_HWC, -rotation_deg // 90)) for frame_HWC in upright)
    return write_clip(folder / name, frames, codec=ENCODERS[codec], ticks=ticks, rotation_deg=rotation_deg)


def _read(clip: Path, device: Device, decoder: Decoder, skip: int) -> tuple[list[float], np.ndarray]:
    """The frames' times and pixels."""
    chunks = [*read_frames(clip, device=device, decoder=decoder, skip=skip)]
    times_s = [time_s or 0.0 for chunk in chunks for time_s in chunk.times_s]
    return times_s, np.concatenate([chunk.frames_FHWC.cpu().numpy() for chunk in chunks])


def _levels_apart(pixels_FHWC: np.ndarray, others_FHWC: np.ndarray) -> float:
    """Grey levels between two pictures on average; of the pair that is farthest apart."""
    pairs = zip(pixels_FHWC, others_FHWC, strict=True)
    return float(np.max([np.abs(one_HWC.astype(np.float32) - other_HWC).mean() for one_HWC, other_HWC in pairs]))


def _varying_ticks() -> list[int]:
    """In ms, by turns 40 and 60 apart."""
    return [40 * number + 20 * (number // 2) for number in range(NUM_FRAMES)]

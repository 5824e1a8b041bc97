"""Checks whether a GPU decodes and extracts like PyAV and a CPU, on clips that carry their frame numbers.

Shapes: F frames, N faces, B faces of a batch, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np

from data.batches.loader import face_batches
from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search
from data.machine import Device
from data.store.shards import read_manifest, read_table
from data.testing.drawn import with_face
from data.testing.numbered import ENCODERS, number_in, numbered, write_clip
from data.video.frames import DALI_CPU_CODECS, NVDEC_CODECS, Decoder, read_frames

Trial = Callable[[], tuple[bool, str]]
"""Returns whether a device agrees with the CPU, and the finding."""

NUM_FRAMES = 130
"""Frames of a clip: more than one group of pictures, and a short last chunk."""

_SKIP = 64
"""Number of frames that a resumed run skips, a multiple of the frames of a chunk."""
_TWICE = np.ones((2, 2, 1), np.uint8)
"""Enlarges frames so that every GPU accepts them: HEVC needs 144 lines."""
_COLOUR_LEVELS = 4.0
"""Mean over a frame: DALI always converts colours by BT.601."""
_TIME_S = 2e-3
_EXTRACTED_PX = 1.0
"""Slightly different colours move landmarks by about 0.2 px."""


def video_trials(device: Device, folder: Path) -> dict[str, Trial]:
    """All checks, by name; `folder` takes the clips."""
    codecs = sorted(NVDEC_CODECS if device == "gpu" else DALI_CPU_CODECS)
    codec = "h264" if device == "gpu" else "vp9"
    decoding = partial(_decoding, device, folder)
    return {
        **{f"decode {codec}": partial(decoding, codec) for codec in codecs},
        f"decode {codec} at a varying rate": partial(decoding, codec, ticks=_varying_ticks()),
        f"decode {codec} filmed sideways": partial(decoding, codec, rotation_deg=90),
        f"decode {codec} from frame {_SKIP} on": partial(decoding, codec, skip=_SKIP),
        "extraction": partial(_extraction, device, folder, codec),
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
    return times_s, np.stack([frame_HWC[:].cpu().numpy() for chunk in chunks for frame_HWC in chunk.frames_HWC])


def _levels_apart(pixels_FHWC: np.ndarray, others_FHWC: np.ndarray) -> float:
    """Mean difference in grey levels; of all pairs, that of the least similar one."""
    pairs = zip(pixels_FHWC, others_FHWC, strict=True)
    return float(np.max([np.abs(one_HWC.astype(np.float32) - other_HWC).mean() for one_HWC, other_HWC in pairs]))


def _varying_ticks() -> list[int]:
    """In ms, alternately 40 and 60 apart."""
    return [40 * number + 20 * (number // 2) for number in range(NUM_FRAMES)]


@dataclass(frozen=True)
class _Extracted:
    """The faces of a video's tracks, frame by frame."""

    decoder: str
    rows: list[tuple[int, str]]
    """Frame index and status."""
    landmarks_N52: np.ndarray
    crops_NHWC: np.ndarray


def _extraction(device: Device, folder: Path, codec: str) -> tuple[bool, str]:
    clip = write_clip(folder / "face.mp4", _frames_with_a_face(), codec=ENCODERS[codec])
    found = _extracted(clip, folder / "device", device, "dali")
    true = _extracted(clip, folder / "cpu", "cpu", "pyav")
    if not len(true.landmarks_N52):
        return False, "the CPU finds no face in its test clip"
    if found.rows != true.rows:
        pairs = zip_longest(true.rows, found.rows)
        row, (expected, other) = next((row, pair) for row, pair in enumerate(pairs) if pair[0] != pair[1])
        return False, f"expected in row {row} frame and status {expected}, found {other}"
    landmark_px = float(np.abs(found.landmarks_N52 - true.landmarks_N52).max())
    levels = _levels_apart(found.crops_NHWC, true.crops_NHWC)
    apart = f"landmarks within {landmark_px:.2f} px, each crop {levels:.1f} levels apart at most"
    agrees = landmark_px < _EXTRACTED_PX and levels < _COLOUR_LEVELS
    return agrees, f"by {found.decoder}, {len(true.rows)} rows, {len(true.landmarks_N52)} faces, {apart}"


def _frames_with_a_face() -> Iterator[np.ndarray]:
    """Frames of 192 x 320 px in which the face moves further per frame than the tolerance of landmarks, then
    disappears."""
    for number in range(40):
        frame_HWC = np.kron(numbered(number), _TWICE)
        middle_xy = (80 + 3 * number, 115)
        yield with_face(frame_HWC, middle_xy=middle_xy, height_px=110) if number < 30 else frame_HWC


def _extracted(clip: Path, store: Path, device: Device, decoder: Literal["pyav", "dali"]) -> _Extracted:
    faces = extract_video(clip, store, Search(detect_every=2), Casting(), device=device, decoder=decoder, threads=2)
    files = sorted(faces.glob("*.parquet"))
    rows = read_table(files, ["frame_index", "status", "landmarks"]).to_pylist()
    landmarks = [row["landmarks"] for row in rows if row["landmarks"] is not None]
    crops = [crops_BCHW.numpy() for file in files for _, crops_BCHW in face_batches(file, batch_size=16)]
    return _Extracted(
        decoder=read_manifest(faces)["decoder"],
        rows=[(row["frame_index"], row["status"]) for row in rows],
        landmarks_N52=np.array(landmarks).reshape(-1, 5, 2),
        crops_NHWC=np.concatenate([np.empty((0, 3, 112, 112)), *crops]).transpose(0, 2, 3, 1) * 127.5,
    )

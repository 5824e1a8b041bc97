"""A video file -> its frames, decoded by DALI: NVDEC on a GPU; VP8, VP9 and MJPEG on a CPU.

DALI numbers frames by the packets of the file and does not report repeated frames, so it only gets files with one frame
per packet, and its frames are counted. Shapes: F frames, H rows, W columns, C RGB.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import nvidia.dali.experimental.dynamic as ndd
import torch

from data.machine import Device
from data.video.media import Chunk, VideoFacts
from data.video.pixels import upright

NVDEC_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mjpeg"})
"""Without `mpeg4`: an H200 returned its frames in order, but with colours up to 7 grey levels off those of FFmpeg."""
DALI_CPU_CODECS = frozenset({"vp8", "vp9", "mjpeg"})
PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p", "nv12"})
"""NVDEC decodes 4:2:0 with eight bits; one rule for both devices."""


_FOR_GOOD = re.compile(r"unsupported|not supported|invalid data|number of input samples: 0", re.IGNORECASE)
"""Messages of DALI and FFmpeg about the file itself, rather than about a GPU out of memory or decoders. The last is
DALI's message for a codec that the GPU lacks: it then skips the only file.
"""


class DaliError(ValueError):
    """DALI failed on this video this time; PyAV may decode it."""


class NotForDaliError(DaliError):
    """DALI will always fail on this video."""


def read_with_dali(path: Path, facts: VideoFacts, device: Device, chunk: int, skip: int) -> Generator[Chunk]:
    """Every frame from index `skip` on.

    Raises:
        DaliError: DALI fails on the video.
        NotForDaliError: It always will, or returns more or fewer frames than there are packets.
    """
    with TemporaryDirectory() as folder:
        # a new name: DALI caches what it knows of a path, and would mistake a new file there for the old one
        alias = Path(folder) / path.name
        alias.symlink_to(path.resolve())
        yield from _read(alias, path, facts, device, chunk, skip)


def _read(alias: Path, path: Path, facts: VideoFacts, device: Device, chunk: int, skip: int) -> Generator[Chunk]:
    end = 0
    try:
        # one reader a file: with several, it leaves out those it cannot read; padding keeps the last, short sequence
        reader = ndd.experimental.readers.Video(
            device=device,
            filenames=[str(alias)],
            labels=[0],
            sequence_length=chunk,
            pad_mode="constant",
            enable_frame_num="sequence",
            enable_timestamps=True,
        )
        for video, _, frame_numbers, timestamps in reader.next_epoch(batch_size=1):
            numbers = np.asarray(frame_numbers.tensors[0].cpu()).ravel()
            numbers = numbers[numbers >= 0]  # the padding is numbered -1
            if numbers.tolist() != [*range(end, end + len(numbers))]:
                raise NotForDaliError(f"{path}: DALI returned frame numbers {numbers.tolist()} after {end} frames")
            end += len(numbers)
            if len(numbers) and numbers[0] >= skip:
                frames_FHWC = video.tensors[0].torch()[: len(numbers)]
                frames_HWC = tuple(upright(frame_HWC, facts.rotation_deg) for frame_HWC in frames_FHWC)
                times_s = np.asarray(timestamps.tensors[0].cpu()).ravel()[: len(numbers)]
                if device == "gpu":
                    torch.cuda.synchronize()  # another thread continues with them
                yield Chunk(frames_HWC, range(end - len(numbers), end), tuple(times_s.tolist()), 0)
    except RuntimeError as error:
        raise failure(path, str(error).replace(str(alias), path.name)) from error
    if end != facts.num_packets:
        raise NotForDaliError(f"{path}: DALI returned {end} frames for {facts.num_packets} packets")


def failure(path: Path, said: str) -> DaliError:
    """The error to raise for this message of DALI."""
    kind = NotForDaliError if _FOR_GOOD.search(said) else DaliError
    return kind(f"{path}: DALI cannot decode it: {said}")

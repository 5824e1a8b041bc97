"""Video file -> frames in display order, each with its index and its time.

There are two decoders. PyAV is the reference: it reads every codec, and frame i is the i-th frame that it returns. DALI
uses NVDEC on a GPU; on a CPU it decodes only VP8, VP9 and MJPEG. DALI is used only for videos in which both must agree
on frame numbers. Their colours differ by 1 to 2 grey levels, so the decoder's name is part of a data set's digest.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Literal

import nvidia.dali.backend as dali_backend
import torch

from data.machine import Device, DeviceChoice
from data.pipelining import ahead
from data.video.dali import DALI_CPU_CODECS, NVDEC_CODECS, PIXEL_FORMATS, DaliError, NotForDaliError, read_with_dali
from data.video.media import Chunk, Decoder, Frame, VideoFacts
from data.video.pyav import probe, read_with_pyav

__all__ = [
    "DALI_CPU_CODECS",
    "NVDEC_CODECS",
    "Chunk",
    "DaliError",
    "Decoder",
    "Frame",
    "NotForDaliError",
    "VideoFacts",
    "choose_decoder",
    "probe",
    "read_frames",
    "resolve_device",
]

_CHUNKS_AHEAD = 1


def resolve_device(device: DeviceChoice) -> Device:
    """The device to use: `auto` takes a GPU if DALI and PyTorch can both use it.

    Raises:
        ValueError: A GPU is requested but not available to both.
    """
    if device == "cpu":
        return "cpu"
    num_gpus: int = dali_backend.GetCUDADeviceCount()  # type: ignore[attr-defined]  # its stub lacks it
    if num_gpus > 0 and torch.cuda.is_available():
        return "gpu"
    if device == "auto":
        return "cpu"
    if num_gpus == 0:
        raise ValueError("device gpu: expected an NVIDIA GPU with its driver, found none; use device cpu or auto")
    raise ValueError(
        f"device gpu: PyTorch {torch.__version__} cannot use the GPU of this machine; install a CUDA build"
    )


def choose_decoder(
    facts: VideoFacts, *, device: Device, decoder: Literal["auto", "pyav", "dali"]
) -> tuple[Decoder, str]:
    """The decoder for a video, and the reason: `auto` is DALI on a GPU, `dali` is DALI on either device.

    PyAV decodes all videos whose frames DALI might number differently.

    Raises:
        ValueError: DALI is requested and cannot decode such videos on this device.
    """
    if decoder == "pyav":
        return "pyav", "asked for"
    if decoder == "auto" and device == "cpu":
        return "pyav", "the decoder on a CPU"
    codecs = NVDEC_CODECS if device == "gpu" else DALI_CPU_CODECS
    lacking = None
    if facts.codec not in codecs:
        lacking = f"DALI decodes {', '.join(sorted(codecs))} on a {device}, found {facts.codec}"
    elif facts.pixel_format not in PIXEL_FORMATS:
        lacking = f"DALI decodes 4:2:0 with 8 bits, found {facts.pixel_format}"
    if lacking and decoder == "dali":
        raise ValueError(f"{lacking}; use decoder auto or pyav")
    unfit = lacking or facts.not_for_dali or (facts.pixel_aspect != 1 and "its pixels are not square")
    if unfit:
        return "pyav", unfit
    return ("dali-gpu" if device == "gpu" else "dali-cpu"), "one frame a packet"


def read_frames(path: Path, *, device: Device, decoder: Decoder, chunk: int = 16, skip: int = 0) -> Generator[Chunk]:
    """Every frame from index `skip` on, in display order, decoded ahead in a thread.

    Frames before `skip`, a multiple of `chunk`, are decoded and dropped, because a seek could reach a different frame.
    Every chunk but the last has `chunk` frames; the last may be empty.

    Raises:
        ValueError: The file cannot be read as a video.
        DaliError: DALI fails on this video; PyAV may decode it.
        NotForDaliError: DALI will always fail on this video.
        OSError: The disk or the network fails.
    """
    assert skip % chunk == 0, f"skip {skip} is not a multiple of {chunk}: the chunks would be others than without skip"
    facts = probe(path)
    read = read_with_pyav if decoder == "pyav" else read_with_dali
    return ahead(read(path, facts, device, chunk, skip), num=_CHUNKS_AHEAD, name="decoder")

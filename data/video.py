"""Video file -> frames in display order, each with its index and its time.

Two decoders. PyAV is the reference: it reads every codec, frame i is the i-th frame that the decoder gives. DALI takes
NVDEC on a GPU; on a CPU it decodes only VP8, VP9 and MJPEG. The two differ by 1 to 2 grey levels (colour conversion),
so the name of the one that was used is part of what identifies a data set. Shapes: F frames, H rows, W columns, C RGB.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
import nvidia.dali.backend as dali_backend
import nvidia.dali.experimental.dynamic as ndd
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

Device = Literal["cpu", "gpu"]
Decoder = Literal["pyav", "dali-cpu", "dali-gpu"]

NVDEC_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg"})
DALI_CPU_CODECS = frozenset({"vp8", "vp9", "mjpeg"})

_CHUNKS_AHEAD = 2


@dataclass(frozen=True)
class VideoFacts:
    """What a video is, seen before it is decoded as a whole; the size is that of the upright picture."""

    codec: str
    width_px: int
    height_px: int
    rotation_deg: int
    """By which decoded frames are turned counter-clockwise to stand upright: 0, 90, 180 or 270."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a video."""

    frames_FHWC: Tensor
    """uint8 RGB on the device asked for."""
    frame_indices: range
    times_s: tuple[float | None, ...]
    """Seconds since the video's first frame, as the file's timestamps say; None where it has none."""
    damaged_packets: int
    """Packets that did not decode, from the start of the video to here; all of them on the last chunk."""
    undecoded: frozenset[int] = frozenset()
    """Of the frame indices those whose pixels are unknown: the video has the frame, but it did not decode."""


def resolve_device(device: Literal["auto", "cpu", "gpu"]) -> Device:
    """The device to work on: `auto` takes a GPU where DALI and PyTorch can both use one.

    Raises:
        ValueError: A GPU is asked for and there is none that both can use.
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


def probe(path: Path) -> VideoFacts:
    """The facts of a video, from its header and its first frame.

    Raises:
        ValueError: There is no such file, it is empty or not a video, or no frame of it decodes.
    """
    with _open(path) as container:
        frame = next(_decoded(container, []), None)
        if frame is None:
            raise ValueError(f"{path}: expected frames, found none that decodes; copy or download it again")
        rotation_deg = round(frame.rotation / 90) * 90 % 360
        width_px, height_px = (frame.width, frame.height) if rotation_deg % 180 == 0 else (frame.height, frame.width)
        codec = container.streams.best("video").codec_context.codec.canonical_name
        return VideoFacts(codec, width_px, height_px, rotation_deg)


def choose_decoder(codec: str, *, device: Device, decoder: Literal["auto", "pyav", "dali"]) -> Decoder:
    """The decoder for a codec: `auto` is DALI on a GPU that decodes it, otherwise PyAV.

    Raises:
        ValueError: DALI is asked for and does not decode the codec on this device.
    """
    codecs = NVDEC_CODECS if device == "gpu" else DALI_CPU_CODECS
    if decoder == "pyav" or (decoder == "auto" and (device == "cpu" or codec not in codecs)):
        return "pyav"
    if codec not in codecs:
        known = ", ".join(sorted(codecs))
        raise ValueError(f"DALI decodes {known} on a {device}, found {codec}; use decoder auto or pyav")
    return "dali-gpu" if device == "gpu" else "dali-cpu"


def read_frames(path: Path, *, device: Device, decoder: Decoder, chunk: int = 16, skip: int = 0) -> Iterator[Chunk]:
    """Every frame from number `skip` on, in display order, decoded ahead in a thread.

    Frames before `skip`, a multiple of `chunk`, are decoded and dropped: a seek could land on another frame. Every
    chunk but the last has `chunk` frames; the last may have none.

    Raises:
        ValueError: The file cannot be read as a video, or DALI fails on it.
    """
    assert skip % chunk == 0, f"skip {skip} is not a multiple of {chunk}: the chunks would be others than without skip"
    facts = probe(path)
    read = _read_with_pyav if decoder == "pyav" else _read_with_dali
    return _ahead(read(path, facts, device, chunk, skip))


def _open(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise ValueError(f"{path}: expected a video, found no such file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: expected a video, found 0 bytes; copy or download it again")
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: expected a video, found {error.strerror}; copy it again or move it away") from error
    if container.streams.best("video") is None:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        container.close()
        raise ValueError(f"{path}: expected a video stream, found {kinds}; move it away")
    return container


def _decoded(container: av.container.InputContainer, damaged: list[str]) -> Iterator[av.VideoFrame]:
    """Every frame of the video stream; what was wrong with a packet that did not decode is added to `damaged`."""
    stream = container.streams.best("video")
    # frame threads would conceal damage differently from run to run, and decoding is not what takes the time
    stream.codec_context.thread_count = 1
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            damaged.append(str(error))
            packet = None
        try:
            yield from stream.decode(packet)  # None gives what the decoder still holds
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            damaged.append(str(error))
        if packet is None:
            return


def _read_with_pyav(path: Path, facts: VideoFacts, device: Device, chunk: int, skip: int) -> Generator[Chunk]:
    damaged: list[str] = []
    pending: list[av.VideoFrame] = []
    start_s: float | None = None
    num_frames = 0
    with _open(path) as container:
        for frame in _decoded(container, damaged):
            if len(pending) == chunk:
                yield _chunk_of(pending, num_frames, start_s, len(damaged), facts, device)
                pending = []
            start_s = frame.time if num_frames == 0 else start_s
            num_frames += 1
            if num_frames > skip:
                pending.append(frame)
        yield _chunk_of(pending, num_frames, start_s, len(damaged), facts, device)


def _chunk_of(
    frames: list[av.VideoFrame],
    end: int,
    start_s: float | None,
    damaged_packets: int,
    facts: VideoFacts,
    device: Device,
) -> Chunk:
    sideways = facts.rotation_deg % 180 != 0
    width_px, height_px = (facts.height_px, facts.width_px) if sideways else (facts.width_px, facts.height_px)
    pixels_FHWC = np.empty((len(frames), height_px, width_px, 3), np.uint8)
    # one for all frames: setting up the conversion costs more than a frame's; a stream keeps its first frame's size
    converter = VideoReformatter()
    for pixels_HWC, frame in zip(pixels_FHWC, frames, strict=True):
        pixels_HWC[:] = converter.reformat(frame, width_px, height_px, "rgb24", threads=1).to_ndarray()
    times_s = tuple(None if frame.time is None or start_s is None else frame.time - start_s for frame in frames)
    frames_FHWC = _upright(torch.from_numpy(pixels_FHWC), facts.rotation_deg)
    on_device_FHWC = frames_FHWC.cuda() if device == "gpu" else frames_FHWC
    return Chunk(on_device_FHWC, range(end - len(frames), end), times_s, damaged_packets)


def _read_with_dali(path: Path, facts: VideoFacts, device: Device, chunk: int, skip: int) -> Generator[Chunk]:
    # one reader a file: with several, it leaves out those it cannot read; padding keeps the last, short sequence
    reader = ndd.experimental.readers.Video(
        device=device,
        filenames=[str(path)],
        labels=[0],
        sequence_length=chunk,
        pad_mode="constant",
        enable_frame_num="sequence",
        enable_timestamps=True,
    )
    try:
        for video, _, frame_numbers, timestamps in reader.next_epoch(batch_size=1):
            numbers = np.asarray(frame_numbers.tensors[0].cpu()).ravel()
            numbers = numbers[numbers >= 0]  # the padding is numbered -1
            if len(numbers) and numbers[0] >= skip:
                frames_FHWC = _upright(video.tensors[0].torch()[: len(numbers)], facts.rotation_deg)
                times_s = np.asarray(timestamps.tensors[0].cpu()).ravel()[: len(numbers)]
                if device == "gpu":
                    torch.cuda.synchronize()  # another thread goes on with them
                yield Chunk(frames_FHWC, range(int(numbers[0]), int(numbers[-1]) + 1), tuple(times_s.tolist()), 0)
    except RuntimeError as error:
        raise ValueError(f"{path}: DALI cannot decode it, use decoder pyav: {error}") from error


def _upright(frames_FHWC: Tensor, rotation_deg: int) -> Tensor:
    return torch.rot90(frames_FHWC, rotation_deg // 90, dims=(1, 2)).contiguous() if rotation_deg else frames_FHWC


def _ahead(chunks: Generator[Chunk]) -> Iterator[Chunk]:
    waiting: queue.Queue[Chunk | Exception | None] = queue.Queue(_CHUNKS_AHEAD)
    stopped = threading.Event()

    def put(item: Chunk | Exception | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def decode() -> None:
        try:
            with closing(chunks):
                for chunk in chunks:
                    put(chunk)
                    if stopped.is_set():
                        return
            put(None)
        except Exception as error:
            put(error)

    thread = threading.Thread(target=decode, name="decoder", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()

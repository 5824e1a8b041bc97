"""A video -> every face in it, with its crop and its owner's look, in parts that outlive a killed run.

A part holds `PART_FRAMES` frames and appears whole. A run that goes on decodes and drops the frames of the parts that
are there; its chunks are the same as an unbroken run's, so its parts are too, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from data.crops import appearances, cut_faces, encode_jpegs
from data.faces import NO_FACES, FaceDetector
from data.schema import DETECTIONS, Status
from data.shards import read_table, write_folder, write_manifest, write_parquet
from data.video import Chunk, Decoder, Device, read_frames

VERSION = 2
"""Part of the digest: raised when the same video and knobs give other detections than before."""
PART_FRAMES = 1000
CHUNK_FRAMES = 8
"""Frames decoded and searched together: of 1920 x 1080 they take 50 MB, and up to four chunks are alive at once."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What decides which faces are found, and how their crops are stored."""

    min_score: float
    detection_size: int
    jpeg_quality: int


def write_detections(
    video: Path,
    folder: Path,
    search: Search,
    *,
    device: Device,
    decoder: Decoder,
    facts: dict[str, Any],
    threads: int,
    progress: Callable[[int], None],
    check: Callable[[], None],
) -> None:
    """Fills the folder with parts; its manifest has `facts`, `num_frames` and `damaged_packets`.

    `check` is called before a part is kept, and raises if the frames may not be those of the video any more.

    Raises:
        ValueError: The video cannot be read.
    """
    detector = FaceDetector(device=device, min_score=search.min_score, detection_size=search.detection_size)
    with _torch_threads(threads), write_folder(folder, resume=True) as partial:
        num_frames = PART_FRAMES * _num_whole_parts(partial)
        damaged_packets = 0
        progress(num_frames)
        pending: list[pa.Table] = []
        for chunk in read_frames(video, device=device, decoder=decoder, chunk=CHUNK_FRAMES, skip=num_frames):
            pending.append(_table(chunk, detector, search.jpeg_quality, device))
            num_frames, damaged_packets = chunk.frame_indices.stop, chunk.damaged_packets
            if num_frames % PART_FRAMES == 0:
                check()
                _write_part(pending, partial, num_frames // PART_FRAMES - 1)
            progress(len(chunk.frame_indices))
        check()
        _write_part(pending, partial, num_frames // PART_FRAMES)
        write_manifest(partial, {**facts, "num_frames": num_frames, "damaged_packets": damaged_packets})


def _table(chunk: Chunk, detector: FaceDetector, jpeg_quality: int, device: Device) -> pa.Table:
    """A row for every face of the chunk, and one for every frame without any."""
    found = [
        NO_FACES if index in chunk.undecoded else faces
        for index, faces in zip(chunk.frame_indices, detector.detect(chunk.frames_FHWC), strict=True)
    ]
    owners = [number for number, faces in enumerate(found) for _ in faces.scores_F]
    jpegs: list[bytes] = []
    looks: list[Any] = []
    if owners:
        landmarks_N52 = np.concatenate([faces.landmarks_F52 for faces in found])
        jpegs = encode_jpegs(cut_faces(chunk.frames_FHWC, owners, landmarks_N52, device=device), quality=jpeg_quality)
        looks = [*appearances(chunk.frames_FHWC, owners, np.concatenate([faces.boxes_F4 for faces in found]))]
    pixels = iter(zip(jpegs, looks, strict=True))
    rows: list[dict[str, Any]] = []
    for frame_index, time_s, faces in zip(chunk.frame_indices, chunk.times_s, found, strict=True):
        frame = {"frame_index": frame_index, "time_s": time_s}
        if not len(faces.scores_F):
            is_lost = frame_index in chunk.undecoded
            rows.append({**frame, "status": (Status.DECODE_ERROR if is_lost else Status.NO_FACE).value})
        for box_4, landmarks_52, score in zip(faces.boxes_F4, faces.landmarks_F52, faces.scores_F, strict=True):
            face_jpeg, look_L = next(pixels)
            box = dict(zip("xywh", box_4.tolist(), strict=True))
            rows.append(
                {
                    **frame,
                    "status": Status.OK.value,
                    "box": box,
                    "landmarks": landmarks_52.ravel().tolist(),
                    "score": float(score),
                    "appearance": look_L.tolist(),
                    "face_jpeg": face_jpeg,
                }
            )
    return pa.Table.from_pylist(rows, schema=DETECTIONS)


def _write_part(pending: list[pa.Table], folder: Path, number: int) -> None:
    """Writes what is pending, if there is any, and empties it."""
    table = pa.concat_tables(pending, promote_options="none").combine_chunks() if pending else None
    if table is not None and len(table):
        write_parquet(table, folder / f"part-{number:05d}.parquet")
    pending.clear()


def _num_whole_parts(folder: Path) -> int:
    """How many parts need not be made again: those before the first that is missing or, as a video's last, short."""
    return next(number for number in count() if not _is_whole(folder / f"part-{number:05d}.parquet", number))


def _is_whole(part: Path, number: int) -> bool:
    last = PART_FRAMES * (number + 1) - 1
    return part.is_file() and read_table([part], ["frame_index"])["frame_index"][-1].as_py() == last


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    """Several videos at once are faster than several threads at one video; training has its own number."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

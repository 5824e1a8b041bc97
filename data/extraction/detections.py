"""A video -> every face in it, with its crop and a descriptor of its colours, in parts that outlive a killed run.

A part holds `PART_FRAMES` frames and is written in one piece. A resumed run decodes but skips the frames of existing
parts; its chunks are those of an unbroken run, so its parts are identical byte for byte.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from data.extraction.chips import cut_chips
from data.extraction.search import Seen, search_frames
from data.extraction.settings import Search
from data.faces.crops import appearances, cut_faces, encode_jpegs
from data.faces.detector import NO_FACES, FaceDetector, Faces
from data.machine import Device, keep_freed_memory
from data.pipelining import ahead, in_order
from data.schema import CHIP, DETECTIONS
from data.store.shards import read_table, write_folder, write_manifest, write_parquet
from data.video.frames import Chunk, Decoder, read_frames
from data.video.shots import HEIGHT, WIDTH, Thumbnails, find_cuts, thumbnails

VERSION = 9
"""Part of the digest: raised when the same video and settings give different detections than before."""
PART_FRAMES = 1000
_THUMBNAILS = ".thumbnails"
"""Suffix of the files that hold the small pictures of a part's frames, until its cuts are known."""
_WINDOW_BYTES = 70_000_000
_LONGEST_WINDOW = 25
_WINDOWS_IN_USE = 7
"""Windows that wait between two steps, and those that are decoded, searched, cropped and written."""

_torch_lock = threading.Lock()
_torch_threads: list[int] = []
"""PyTorch's number of threads before, once for every video that is being searched."""


def window_frames(width_px: int, height_px: int, *, at_least: int = 1) -> int:
    """Number of frames of this size that are decoded and searched together: the window of `search`.

    As many as fit the memory (about seven windows are in use at once), but at least `at_least`; it divides the number
    of frames of a part.
    """
    assert at_least <= PART_FRAMES, f"{at_least} frames at once: expected {PART_FRAMES} at most, those of a part"
    longest = min(_LONGEST_WINDOW, PART_FRAMES // 2, _WINDOW_BYTES // (3 * width_px * height_px))
    divisors = [number for number in range(1, PART_FRAMES + 1) if PART_FRAMES % number == 0]
    fitting = max((number for number in divisors if number <= longest), default=1)
    return fitting if fitting >= at_least else min(number for number in divisors if number >= at_least)


def memory_bytes(width_px: int, height_px: int, *, at_least: int = 1) -> int:
    """Memory of the frames that are in use at once while such a video is read."""
    return _WINDOWS_IN_USE * window_frames(width_px, height_px, at_least=at_least) * 3 * width_px * height_px


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
    """Fills the folder with parts; its manifest has `facts`, `num_frames` and `damaged_packets`, and, if people
    are recognised, the `cuts`: first frames of further shots.

    Decoding, searching, cropping and writing run in parallel. `check` is called before a part is written, and raises if
    the video may have changed.

    Raises:
        ValueError: The video cannot be read.
    """
    keep_freed_memory()
    window = window_frames(facts["width_px"], facts["height_px"], at_least=search.detect_every)
    with write_folder(folder, resume=True) as partial_folder:
        num_frames = PART_FRAMES * _num_whole_parts(partial_folder)
        damaged_packets = 0
        progress(num_frames)
        pending: list[_Done] = []
        chunks = read_frames(video, device=device, decoder=decoder, chunk=window, skip=num_frames)
        tables = _tables(chunks, search, device=device, threads=threads)
        with closing(ahead(tables, num=1, name="search")) as tables_ahead:
            for done in tables_ahead:
                pending.append(done)
                num_frames, damaged_packets = done.frame_indices.stop, done.damaged_packets
                if num_frames % PART_FRAMES == 0:
                    check()
                    _write_part(pending, partial_folder, num_frames // PART_FRAMES - 1)
                progress(len(done.frame_indices))
        check()
        _write_part(pending, partial_folder, num_frames // PART_FRAMES)
        found = {"cuts": _cuts(partial_folder)} if search.identity else {}
        write_manifest(partial_folder, {**facts, "num_frames": num_frames, "damaged_packets": damaged_packets, **found})


@dataclass(frozen=True)
class _Done:
    """A chunk without its pixels."""

    frame_indices: range
    damaged_packets: int
    rows: pa.Table
    thumbnails: pa.Table | None
    """Of each frame, null if it was not decoded; None if nobody is recognised."""


def _tables(chunks: Generator[Chunk], search: Search, *, device: Device, threads: int) -> Generator[_Done]:
    detector = FaceDetector(device=device, min_score=search.min_score, detection_size=search.detection_size)
    work = partial(_table, search=search, device=device)
    with closing(chunks), searchers(threads) as pool:
        seen = search_frames(chunks, detector, search, part_frames=PART_FRAMES, pool=pool)
        yield from in_order(pool, work, seen, num=1)


def _table(found: tuple[Chunk, Sequence[Seen]], *, search: Search, device: Device) -> _Done:
    """A row for every face of the chunk, and one for every frame without any."""
    chunk, seen = found
    thumbnails_FHW = thumbnails(chunk.frames_HWC if search.identity else [])
    faces = _face_columns(chunk, [of_frame.faces for of_frame in seen], thumbnails_FHW, search, device)
    num_faces_F = np.array([len(of_frame.faces.scores_F) for of_frame in seen], np.int64)
    frame_R = np.repeat(np.arange(len(seen)), np.maximum(num_faces_F, 1))
    has_face_R = num_faces_F[frame_R] > 0
    face_R = pa.array(np.cumsum(has_face_R) - 1, mask=~has_face_R)  # a row without a face takes nulls
    frames = pa.table(
        {
            "frame_index": pa.array(chunk.frame_indices, pa.int32()),
            "time_s": pa.array(chunk.times_s, pa.float64()),
            "status": pa.array([of_frame.status.value for of_frame in seen], pa.string()),
        }
    ).take(pa.array(frame_R))
    rows = [*frames.columns, *faces.take(face_R).columns]
    schema = DETECTIONS.append(CHIP) if search.identity else DETECTIONS
    pictures = _pictures(chunk, thumbnails_FHW) if search.identity else None
    return _Done(chunk.frame_indices, chunk.damaged_packets, pa.table(rows, schema=schema), pictures)


def _pictures(chunk: Chunk, thumbnails_FHW: Thumbnails) -> pa.Table:
    decoded = [
        None if index in chunk.undecoded else picture_HW.tobytes()
        for index, picture_HW in zip(chunk.frame_indices, thumbnails_FHW, strict=True)
    ]
    return pa.table(
        {"frame_index": pa.array(chunk.frame_indices, pa.int32()), "thumbnail": pa.array(decoded, pa.binary())}
    )


def _face_columns(
    chunk: Chunk, faces: Sequence[Faces], thumbnails_FHW: Thumbnails, search: Search, device: Device
) -> pa.Table:
    """The stored columns of each face, frame by frame."""
    owners = [number for number, of_frame in enumerate(faces) for _ in of_frame.scores_F]
    boxes_N4, landmarks_N52, scores_N = (
        np.concatenate(parts)
        for parts in zip(
            *((of_frame.boxes_F4, of_frame.landmarks_F52, of_frame.scores_F) for of_frame in (NO_FACES, *faces)),
            strict=True,
        )
    )
    jpegs = encode_jpegs(cut_faces(chunk.frames_HWC, owners, landmarks_N52, device=device), quality=search.jpeg_quality)
    looks_NL = appearances(chunk.frames_HWC, owners, boxes_N4)
    columns = {
        "box": pa.StructArray.from_arrays([pa.array(of_N) for of_N in boxes_N4.T], names=list("xywh")),
        "landmarks": _lists(landmarks_N52.reshape(-1, 10)),
        "score": pa.array(scores_N),
        "appearance": _lists(looks_NL),
        "face_jpeg": pa.array(jpegs, pa.binary()),
    }
    if search.identity:
        chips = cut_chips(chunk, faces, looks_NL, jpegs, thumbnails_FHW, device=device)
        columns["chip_jpeg"] = pa.array(chips, pa.binary())
    return pa.table(columns)


def _lists(values_NK: np.ndarray) -> pa.ListArray:
    starts_N = np.arange(len(values_NK) + 1, dtype=np.int32) * values_NK.shape[1]
    return pa.ListArray.from_arrays(pa.array(starts_N), pa.array(values_NK.ravel()))


def _write_part(pending: list[_Done], folder: Path, number: int) -> None:
    """Writes the pending rows, if any, and clears them; thumbnails first, since a part is complete with its rows."""
    for suffix, tables in (
        (_THUMBNAILS, [done.thumbnails for done in pending if done.thumbnails is not None]),
        (".parquet", [done.rows for done in pending]),
    ):
        table = pa.concat_tables(tables, promote_options="none").combine_chunks() if tables else None
        if table is not None and len(table):
            write_parquet(table, folder / f"part-{number:05d}{suffix}")
    pending.clear()


def _cuts(folder: Path) -> list[int]:
    """The first frames of further shots, from the thumbnails of all parts."""
    files = sorted(folder.glob(f"*{_THUMBNAILS}"))
    if not files:
        return []
    pictures = read_table(files)
    decoded = pictures.filter(pictures["thumbnail"].is_valid())
    levels = np.frombuffer(b"".join(decoded["thumbnail"].to_pylist()), np.uint8)
    found = find_cuts(levels.reshape(-1, HEIGHT, WIDTH))
    cuts: list[int] = decoded["frame_index"].take(pa.array(found, pa.int64())).to_pylist()
    return cuts


def drop_thumbnails(folder: Path) -> None:
    """Deletes what only the cuts were found with; not before the folder is complete, since a resumed run needs it."""
    for file in folder.glob(f"*{_THUMBNAILS}"):
        file.unlink()


def _num_whole_parts(folder: Path) -> int:
    """Number of complete parts, up to the first that is missing or, as the last of a video, short."""
    return next(number for number in count() if not _is_whole(folder / f"part-{number:05d}.parquet", number))


def _is_whole(part: Path, number: int) -> bool:
    last = PART_FRAMES * (number + 1) - 1
    return part.is_file() and read_table([part], ["frame_index"])["frame_index"][-1].as_py() == last


@contextmanager
def searchers(threads: int) -> Iterator[Executor]:
    """Threads that each use one core for PyTorch; threads that share a frame would wait for each other."""
    with _torch_lock:
        _torch_threads.append(_torch_threads[0] if _torch_threads else torch.get_num_threads())
    try:
        with ThreadPoolExecutor(threads, "search", initializer=_take_one_core) as pool:
            yield pool
    finally:
        with _torch_lock:
            before = _torch_threads.pop()
            if not _torch_threads:
                torch.set_num_threads(before)  # also for threads to come, since several videos are searched in parallel


def _take_one_core() -> None:
    """And leave it to the decoder, which is one thread, whenever that has work: the search would wait for it later."""
    torch.set_num_threads(1)
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)

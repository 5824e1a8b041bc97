"""The data set's own crops, `cropped_aligned/<track>/00001.jpg`, as face shards, for users without the raw videos.

Crop n (counted from 1) shows frame n - 1; a missing number is a frame without a face.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import simplejpeg

from data import schema
from data.annotations.findings import refuse
from data.annotations.listing import CROP_SUFFIXES, video_of
from data.schema import FACE_SIZE_PX, FACES, Status
from data.store.access import hold
from data.store.hashes import folder_hash, known_folder_hash
from data.store.shards import ROWS_PER_GROUP, digest, is_whole, parquet_writer, write_folder, write_manifest

SOURCE = "crops"
"""The `source` of a faces folder that was made from crops."""
VERSION = 1
"""Part of the digest: raised when the same crops give different rows than before."""


def take_crops(
    first: Path, store: Path, *, track_ids: Sequence[str], progress: Callable[[int], None] | None = None
) -> Path:
    """The folder with a file of faces per track of a video, made from its crops if it is missing.

    The crops are stored unchanged. All tracks have a row for every number up to the largest one of the video; later
    frames are unknown. A crop that cannot be decoded gets the status `decode_error`. There are no times, boxes or
    scores.

    Args:
        first: The crops of one of the video's tracks; those of the other tracks are beside it.
        store: The folder of all outputs.
        track_ids: The tracks of the video.
        progress: Called with the number of rows done since the last call.

    Raises:
        ValueError: A folder is missing, or contains files that are not crops of 112 x 112 px; all are listed.
    """
    video_id = video_of(first.name, {})
    crops = {track_id: list_crops(first.parent / track_id) for track_id in sorted(track_ids)}
    hashes = {track_id: folder_hash(first.parent / track_id, of.values(), store) for track_id, of in crops.items()}
    folder = _folder_of(video_id, hashes, store)
    with hold(store, f"faces-{folder.name}", what=f"the crops of {video_id}"):
        if is_whole(folder):
            return folder
        num_frames = max(max(of) for of in crops.values())
        problems: list[str] = []
        with write_folder(folder) as partial:
            counts = {}
            for track_id, of in crops.items():
                counts[track_id] = Counter({status.value: 0 for status in Status})
                with parquet_writer(partial / f"{track_id}.parquet", FACES) as writer:
                    for table in _tables(track_id, video_id, of, num_frames, problems):
                        writer.write_table(table)
                        counts[track_id].update(table["status"].to_pylist())
                        if progress is not None:
                            progress(table.num_rows)
            refuse(problems, str(first.parent))
            facts = {"video_id": video_id, "source": SOURCE, "sha256": digest(hashes), "num_frames": num_frames}
            write_manifest(partial, {**facts, "file": first.parent.name, "tracks": counts})
    return folder


def taken_crops(first: Path, store: Path, *, track_ids: Sequence[str]) -> Path | None:
    """The folder that `take_crops` would return at once, without opening a crop; None if there is none."""
    hashes = {}
    with suppress(ValueError, OSError):  # told when the crops are taken
        for track_id in sorted(track_ids):
            crops = list_crops(first.parent / track_id)
            hashes[track_id] = known_folder_hash(first.parent / track_id, crops.values(), store)
        folder = _folder_of(video_of(first.name, {}), hashes, store)
        return folder if None not in hashes.values() and is_whole(folder) else None
    return None


def _folder_of(video_id: str, hashes: Mapping[str, str | None], store: Path) -> Path:
    return store / "faces" / digest("crops", schema.VERSION, VERSION, video_id, hashes)


def list_crops(folder: Path) -> dict[int, Path]:
    """The crops of a track by number, in order.

    Raises:
        ValueError: The folder is missing, contains no crops, or a picture has no number or a duplicate one.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected the crops of a track, found no such folder")
    pictures = [path for path in folder.iterdir() if path.suffix.lower() in CROP_SUFFIXES and path.name[0] != "."]
    crops: dict[int, Path] = {}
    problems = []
    for path in sorted(pictures):
        number = int(path.stem) if re.fullmatch(r"[0-9]{1,9}", path.stem) else 0
        if number < 1:
            problems.append(f"{path}: expected a frame's number from 00001 on; rename or remove it")
        elif crops.setdefault(number, path) != path:
            problems.append(f"{path}: {crops[number].name} has the same number; remove one")
    refuse(problems, str(folder))
    if not crops:
        raise ValueError(f"{folder}: expected crops such as 00001.jpg, found none")
    return dict(sorted(crops.items()))


def _tables(
    track_id: str, video_id: str, crops: Mapping[int, Path], num_frames: int, problems: list[str]
) -> Iterator[pa.Table]:
    for start in range(0, num_frames, ROWS_PER_GROUP):
        frame_index = range(start, min(start + ROWS_PER_GROUP, num_frames))
        jpegs = [_read_crop(crops.get(index + 1), problems) for index in frame_index]
        columns = {
            "track_id": pa.repeat(track_id, len(jpegs)),
            "video_id": pa.repeat(video_id, len(jpegs)),
            "frame_index": pa.array(np.arange(frame_index.start, frame_index.stop, dtype=np.int32)),
            "status": pa.array([status.value for status, _ in jpegs]),
            "face_jpeg": pa.array([jpeg for _, jpeg in jpegs], pa.binary()),
        }
        yield pa.table([columns.get(field.name, pa.nulls(len(jpegs), field.type)) for field in FACES], schema=FACES)


def _read_crop(path: Path | None, problems: list[str]) -> tuple[Status, bytes | None]:
    """The bytes of a crop unless it is missing or damaged; crops of the wrong kind are added to the problems."""
    if path is None:
        return Status.NO_FACE, None
    jpeg = path.read_bytes()
    try:
        height_px, width_px, colours, _ = simplejpeg.decode_jpeg_header(jpeg)
        simplejpeg.decode_jpeg(jpeg)
    except ValueError:
        return Status.DECODE_ERROR, None
    if (height_px, width_px) != (FACE_SIZE_PX, FACE_SIZE_PX) or colours not in ("YCbCr", "RGB"):
        expected = f"expected {FACE_SIZE_PX} x {FACE_SIZE_PX} px in colour, as the data set's aligned crops are"
        problems.append(f"{path}: {expected}, found {width_px} x {height_px} {colours}")
    return Status.OK, jpeg

"""Video -> one file of aligned faces per track, in two passes.

The first decodes the video once and stores every face in it (`data.detections`); the second says who is who and copies
the faces of each track, a row for every frame. Both stand under digests of all that decides them, so what exists is not
made again: the video counts by its content, not its name.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from data import detections, schema
from data.detections import Search, write_detections
from data.people import FrameFaces, Person, find_people
from data.schema import FACES, Status
from data.shards import (
    ROWS_PER_GROUP,
    digest,
    file_sha256,
    is_whole,
    parquet_files,
    parquet_writer,
    read_manifest,
    read_table,
    write_file,
    write_folder,
    write_manifest,
)
from data.tracks import assign_tracks, check_names, name_people
from data.video import Device, VideoFacts, choose_decoder, probe

VERSION = 1
"""Part of the digest: raised when the same detections give other tracks than before."""
ASSUMED_HZ = 25.0
"""Frame rate for following people where a file has no timestamps; it is not stored."""
KNOWN_VIDEOS = "videos.json"
"""In the store: hash and facts of each video file, so that a rerun need not read it."""

_known_videos_lock = threading.Lock()
_folder_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def extract_video(
    video: Path,
    store: Path,
    *,
    track_ids: Sequence[str] | None,
    device: Device,
    decoder: Literal["auto", "pyav", "dali"],
    min_score: float,
    detection_size: int,
    jpeg_quality: int,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """The folder with a file of faces per track of the video; made only if it is not there, and then from where it was.

    Args:
        video: Its stem is the `video_id`.
        store: The folder of all that is made.
        track_ids: The annotated tracks of this video, or None: then a track per person found.
        device: Where frames are searched and faces cut.
        decoder: `auto` takes DALI on a GPU that decodes the codec, and PyAV otherwise.
        min_score: A face is a detection with at least this score.
        detection_size: Longer side, in px, of the frames that the detector sees.
        jpeg_quality: Of the crops.
        threads: That PyTorch may use for this video on a CPU.
        progress: Called with the number of frames done since the last call.

    Raises:
        ValueError: The file is not a video that can be read, or the track names do not say who is who.
    """
    if track_ids is not None:
        check_names(track_ids)
    known = know_video(video, store)
    search = Search(min_score=min_score, detection_size=detection_size, jpeg_quality=jpeg_quality)
    decoder_name = choose_decoder(known.facts.codec, device=device, decoder=decoder)
    detections_id = digest("detections", schema.VERSION, detections.VERSION, known.sha256, decoder_name, asdict(search))
    tracks = None if track_ids is None else sorted(track_ids)
    folder = store / "faces" / digest("faces", VERSION, detections_id, video.stem, tracks)
    with _folder_locks[detections_id]:  # two files with the same content share their detections
        if is_whole(folder):
            return folder
        found = store / "detections" / detections_id
        if not is_whole(found):
            facts = {**known.facts_for_manifest, **asdict(search), "decoder": decoder_name, "device": device}
            write_detections(
                video,
                found,
                search,
                device=device,
                decoder=decoder_name,
                facts=facts,
                threads=threads,
                progress=progress or (lambda _: None),
            )
        _write_tracks(video, found, folder, tracks)
    return folder


@dataclass(frozen=True)
class KnownVideo:
    """A video file's content and what `probe` says of it."""

    bytes: int
    mtime_ns: int
    sha256: str
    facts: VideoFacts

    @property
    def facts_for_manifest(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "bytes": self.bytes, **asdict(self.facts)}


def know_video(video: Path, store: Path) -> KnownVideo:
    """Hash and facts of a video file, read from it only if its size or its time of change is new.

    Raises:
        ValueError: The file is not a video that can be read.
    """
    name, path = str(video.resolve()), store / KNOWN_VIDEOS
    status = video.stat() if video.is_file() else None
    with _known_videos_lock:
        entry = _read_known(path).get(name)
    if status and entry and (entry["bytes"], entry["mtime_ns"]) == (status.st_size, status.st_mtime_ns):
        return KnownVideo(**{**entry, "facts": VideoFacts(**entry["facts"])})
    facts = probe(video)
    status = video.stat()
    known = KnownVideo(status.st_size, status.st_mtime_ns, file_sha256(video), facts)
    with _known_videos_lock:
        store.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps({**_read_known(path), name: asdict(known)}, indent=1, sort_keys=True) + "\n")
    return known


def _read_known(path: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return known


def _write_tracks(video: Path, found: Path, folder: Path, track_ids: Sequence[str] | None) -> None:
    manifest = read_manifest(found)
    files = parquet_files(found)
    people = find_people(_frames(files))
    if track_ids is None:
        tracks = name_people(video.stem, people)
    else:
        tracks = assign_tracks(track_ids, people, manifest["width_px"])
    with write_folder(folder) as partial:
        counts = {
            track_id: _write_track(partial, files, video.stem, track_id, person) for track_id, person in tracks.items()
        }
        facts = {key: value for key, value in manifest.items() if key != "files"}
        who = {"tracks": counts, "people": _describe(people, tracks)}
        write_manifest(partial, {**facts, **who, "video_id": video.stem, "file": video.name, "detections": found.name})


def _describe(people: Sequence[Person], tracks: Mapping[str, Person | None]) -> list[dict[str, Any]]:
    """The most prominent people, and whose track each is: by what margin the choice was made."""
    owners = {id(person): track_id for track_id, person in tracks.items()}
    return [
        {
            "track_id": owners.get(id(person)),
            "num_frames": len(person.faces),
            "x_px": round(person.x_px, 1),
            "size_px": round(person.size_px, 1),
        }
        for person in people[:10]
    ]


def _frames(files: Sequence[Path]) -> Iterator[FrameFaces]:
    """The frames that have faces, one part in memory at a time."""
    for file in files:
        table = read_table([file], ["frame_index", "time_s", "status", "box", "appearance"])
        table = table.filter(pa.compute.equal(table["status"], Status.OK.value))
        boxes_N4 = np.stack([table["box"].combine_chunks().field(name).to_numpy() for name in "xywh"], axis=1)
        looks_N = table["appearance"].combine_chunks()
        looks_NL = looks_N.flatten().to_numpy().reshape(len(table), -1) if len(table) else np.empty((0, 1))
        start = 0
        times_s = table["time_s"].to_pylist()
        for frame_index, group in groupby(table["frame_index"].to_pylist()):
            end = start + len(list(group))
            time_s = frame_index / ASSUMED_HZ if times_s[start] is None else times_s[start]
            yield FrameFaces(frame_index, time_s, boxes_N4[start:end], looks_NL[start:end])
            start = end


def _write_track(
    folder: Path, files: Sequence[Path], video_id: str, track_id: str, person: Person | None
) -> dict[str, int]:
    """Writes a row for every frame, with the person's face where there is one; returns the rows by status."""
    row_of_frame = {face.frame_index: face.row for face in person.faces} if person else {}
    counts = dict.fromkeys((status.value for status in Status), 0)
    first_row = 0
    with parquet_writer(folder / f"{track_id}.parquet", FACES) as writer:
        for file in files:
            part = read_table([file])
            rows = np.flatnonzero(part["status"].to_numpy() == Status.OK.value)
            frame_index_N, first_N = np.unique(part["frame_index"].to_numpy(), return_index=True)
            numbers = [row_of_frame.get(frame_index) for frame_index in frame_index_N.tolist()]
            chosen = pa.array([None if number is None else rows[number - first_row] for number in numbers], pa.int64())
            faces = part.take(chosen)
            status = faces["status"].fill_null(Status.NO_FACE.value)
            columns = {
                "track_id": pa.array([track_id] * len(numbers)),
                "video_id": pa.array([video_id] * len(numbers)),
                "frame_index": pa.array(frame_index_N),
                "time_s": part["time_s"].take(pa.array(first_N)),
                "status": status,
                **{name: faces[name] for name in ("box", "landmarks", "score", "face_jpeg")},
            }
            writer.write_table(pa.table(columns, schema=FACES), row_group_size=ROWS_PER_GROUP)
            for value in status.to_pylist():
                counts[value] += 1
            first_row += len(rows)
    return counts

"""Detections of a video -> a file of faces per track with a row per frame, and a manifest that explains each choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data.extraction.detections import window_frames
from data.extraction.embeddings import embed
from data.extraction.gaps import Filled, cut_gaps, fill_gap, find_gaps
from data.extraction.settings import Casting
from data.machine import Device
from data.schema import FACES, Status
from data.store.embeddings import read_embeddings
from data.store.shards import (
    ROWS_PER_GROUP,
    is_whole,
    parquet_files,
    parquet_writer,
    read_manifest,
    read_table,
    write_folder,
    write_manifest,
)
from data.tracks.assignment import Choice, assign_tracks, name_people
from data.tracks.description import describe, explain, place_of
from data.tracks.doubts import doubts
from data.tracks.fragments import ASSUMED_HZ, FrameFaces, link
from data.tracks.hints import hinted_people
from data.tracks.people import Person, find_people


def write_tracks(
    video: Path, found: Path, folder: Path, casting: Casting, *, device: Device, check: Callable[[], None]
) -> None:
    """Fills the folder with a file per track, from the complete folder of the video's detections.

    `check` is called after the video is read again to fill gaps, and raises if the video may have changed.

    Raises:
        ValueError: A hint does not fit, or the video cannot be read again.
    """
    manifest, files = read_manifest(found), parquet_files(found)
    by_face = partial(embed, found) if manifest.get("identity") else None
    cuts = manifest.get("cuts", ())
    people = find_people(frames_with_faces(files), cuts, by_face)
    if casting.track_ids is None:
        choices = name_people(video.stem, people)
    else:
        hinted = hinted_people(casting.own_hints, people)
        choices = assign_tracks(sorted(casting.track_ids), people, manifest["width_px"], hinted, cuts)
    gaps = _gaps(files, people, choices, casting.fill_gaps_s)
    jpegs = cut_gaps(
        video,
        gaps,
        device=device,
        decoder=manifest["decoder"],
        chunk=window_frames(manifest["width_px"], manifest["height_px"]),
        jpeg_quality=manifest["jpeg_quality"],
    )
    if jpegs:
        check()
    with write_folder(folder) as written:
        counts = {
            track_id: _write_track(
                written, files, (track_id, video.stem), choice.person, _Patches(track_id, gaps[track_id], jpegs)
            )
            for track_id, choice in choices.items()
        }
        facts = {key: value for key, value in manifest.items() if key != "files"}
        embedded = read_embeddings(found) or {}
        found_doubts = doubts(people, choices)
        about = {
            "video_id": video.stem,
            "file": video.name,
            "detections": found.name,
            "tracks": counts,
            "fill_gaps_s": casting.fill_gaps_s,
            "people": describe(people, choices),
            "choices": {track_id: explain(choice, people) for track_id, choice in choices.items()},
            "embedded": {
                track_id: [face.row for face in choice.person.faces if face.row in embedded]
                for track_id, choice in choices.items()
                if choice.person and embedded
            },
            "doubts": [doubt.text for doubt in found_doubts],
            "doubt_faces": [[place_of(person) for person in doubt.people] for doubt in found_doubts],
        }
        write_manifest(written, {**facts, **about})


def embed_again(found: Path) -> bool:
    """Makes the embeddings of a folder of detections again; False if it is not there, or was made without chips."""
    if not is_whole(found) or not read_manifest(found).get("identity"):
        return False
    embed(found, link(frames_with_faces(parquet_files(found)), read_manifest(found)["cuts"]))
    return True


def _gaps(
    files: Sequence[Path], people: Sequence[Person], choices: Mapping[str, Choice], longest_s: float
) -> dict[str, dict[int, Filled]]:
    """The faces that fill gaps, by track and frame."""
    pairs = {
        track_id: find_gaps(choice.person, people, longest_s=longest_s) if choice.person and longest_s else []
        for track_id, choice in choices.items()
    }
    rows = sorted({face.row for ends in pairs.values() for pair in ends for face in pair})
    landmarks: dict[int, np.ndarray] = {}
    lost: set[int] = set()
    if rows:
        faces = read_table(files, ["frame_index", "status", "landmarks"])
        is_lost = pa.compute.equal(faces["status"], Status.DECODE_ERROR.value)
        lost = set(faces.filter(is_lost)["frame_index"].to_pylist())
        faces = faces.filter(faces["landmarks"].is_valid())["landmarks"]
        landmarks = {row: np.array(faces[row].as_py()).reshape(5, 2) for row in rows}
    return {
        track_id: {
            index: face
            for ends in of_track
            for index, face in fill_gap(*ends, landmarks).items()
            if index not in lost  # it has no pixels to cut a face from
        }
        for track_id, of_track in pairs.items()
    }


def frames_with_faces(files: Sequence[Path]) -> Iterator[FrameFaces]:
    """The frames that have faces, one part in memory at a time."""
    for file in files:
        table = read_table([file], ["frame_index", "time_s", "box", "appearance", "score"])
        table = table.filter(table["box"].is_valid())
        boxes_N4 = np.stack([table["box"].combine_chunks().field(name).to_numpy() for name in "xywh"], axis=1)
        looks_N = table["appearance"].combine_chunks()
        looks_NL = looks_N.flatten().to_numpy().reshape(len(table), -1) if len(table) else np.empty((0, 1))
        start = 0
        times_s, scores = table["time_s"].to_pylist(), table["score"].to_pylist()
        for frame_index, group in groupby(table["frame_index"].to_pylist()):
            end = start + len(list(group))
            time_s = frame_index / ASSUMED_HZ if times_s[start] is None else times_s[start]
            yield FrameFaces(frame_index, time_s, boxes_N4[start:end], looks_NL[start:end], scores[start:end])
            start = end


@dataclass(frozen=True, eq=False)
class _Patches:
    """The filled rows of a track."""

    track_id: str
    faces: Mapping[int, Filled]
    jpegs: Mapping[tuple[str, int], bytes]

    def row(self, frame_index: int) -> dict[str, Any]:
        face = self.faces[frame_index]
        return {
            "status": Status.INTERPOLATED.value,
            "box": dict(zip("xywh", face.box_4.tolist(), strict=True)),
            "landmarks": face.landmarks_52.ravel().tolist(),
            "score": None,
            "face_jpeg": self.jpegs[self.track_id, frame_index],
        }


_OF_FACE = ("status", "box", "landmarks", "score", "face_jpeg")


def _write_track(
    folder: Path, files: Sequence[Path], names: tuple[str, str], person: Person | None, patches: _Patches
) -> dict[str, int]:
    """Writes a row for every frame, with the person's face if found; returns the number of rows by status."""
    track_id, video_id = names
    row_of_frame = {face.frame_index: face.row for face in person.faces} if person else {}
    counts = dict.fromkeys((status.value for status in Status), 0)
    first_row = 0
    with parquet_writer(folder / f"{track_id}.parquet", FACES) as writer:
        for file in files:
            part = read_table([file])
            rows = np.flatnonzero(part["box"].is_valid().to_numpy())
            frame_index_N, first_N = np.unique(part["frame_index"].to_numpy(), return_index=True)
            numbers = [row_of_frame.get(frame_index) for frame_index in frame_index_N.tolist()]
            chosen = pa.array([None if number is None else rows[number - first_row] for number in numbers], pa.int64())
            faces = _patched(part.take(chosen).select(_OF_FACE), frame_index_N.tolist(), patches)
            columns = {
                "track_id": pa.array([track_id] * len(numbers)),
                "video_id": pa.array([video_id] * len(numbers)),
                "frame_index": pa.array(frame_index_N),
                "time_s": part["time_s"].take(pa.array(first_N)),
                "status": pa.compute.coalesce(faces["status"], _without_face(part["status"].take(pa.array(first_N)))),
                **{name: faces[name] for name in _OF_FACE[1:]},
            }
            writer.write_table(pa.table(columns, schema=FACES), row_group_size=ROWS_PER_GROUP)
            for value in columns["status"].to_pylist():
                counts[value] += 1
            first_row += len(rows)
    return counts


def _without_face(statuses: pa.ChunkedArray) -> pa.ChunkedArray:
    """The status of a frame in which this track has no face, even if it shows other faces."""
    is_lost = pa.compute.equal(statuses, Status.DECODE_ERROR.value)
    return pa.compute.if_else(is_lost, Status.DECODE_ERROR.value, Status.NO_FACE.value)


def _patched(faces: pa.Table, frame_indices: Sequence[int], patches: _Patches) -> pa.Table:
    """The faces of a part, with filled ones put into the gaps."""
    places = {index: place for place, index in enumerate(frame_indices) if index in patches.faces}
    if not places:
        return faces
    order = list(range(len(faces)))
    for number, place in enumerate(places.values()):
        order[place] = len(faces) + number
    added = pa.Table.from_pylist([patches.row(index) for index in places], schema=faces.schema)
    return pa.concat_tables([faces, added]).take(pa.array(order))

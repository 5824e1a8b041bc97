"""The same people in several videos, by the embeddings of their tracks: a leak that no file name shows.

Shapes: T tracks, E values of an embedding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from data.labels import Split
from data.schema import Status
from data.store.catalogue import Dataset, read_catalogues
from data.store.embeddings import read_embeddings
from data.store.shards import read_manifest

PEOPLE = pa.schema(
    [
        ("dataset", pa.string()),
        ("video_id", pa.string()),
        ("track_id", pa.string()),
        ("num_faces", pa.int64()),
        ("subject", pa.string()),
    ]
)
"""A track, and the person it shows: of one subject are tracks of several videos that show the same person by their
faces. NULL where nobody was recognised.
"""

SAME = 0.36
"""Tracks of different videos whose mean embeddings are at most so far apart show one person; groups of tracks count by
their mean distance (docs/people.md)."""
PERHAPS = 0.45
_HELD_OUT = {Split.VALIDATION, Split.TEST}
_NEVER = 10.0
"""Distance of tracks of one video: they are different people."""


@dataclass(frozen=True)
class Pair:
    """Two tracks of different videos that show one person, or perhaps do."""

    track_id: str
    other_track_id: str
    distance: float
    is_same: bool
    splits: tuple[str, str]
    """The splits that each track is in, in any task; empty without labels."""
    is_leak: bool
    """Whether one of them trains, and the other one validates or tests."""

    @property
    def is_same_leak(self) -> bool:
        return self.is_same and self.is_leak


def track_embeddings(folders: Iterable[Path], store: Path) -> dict[str, np.ndarray]:
    """The mean embedding, E, of every track in folders of faces; of tracks without one, none."""
    means = {}
    for folder in folders:
        manifest = read_manifest(folder)
        rows_of = manifest.get("embedded", {})
        known = (read_embeddings(store / "detections" / manifest["detections"]) if rows_of else None) or {}
        for track_id, rows in rows_of.items():
            if found := [known[row] for row in rows if row in known]:
                means[track_id] = np.mean(found, axis=0)
    return means


def find_subjects(embeddings: Mapping[str, np.ndarray], video_ids: Mapping[str, str]) -> dict[str, str]:
    """The subject of each of these tracks: the name of the first track, by name, that shows the same person."""
    track_ids = sorted(embeddings)
    if len(track_ids) < 2:
        return {track_id: track_id for track_id in track_ids}
    distance_TT = _distances(track_ids, embeddings, video_ids)
    cluster_T = fcluster(linkage(squareform(distance_TT, checks=False), "average"), SAME, "distance")
    first = dict(reversed([*zip(cluster_T.tolist(), track_ids, strict=True)]))
    return {track_id: first[cluster] for cluster, track_id in zip(cluster_T.tolist(), track_ids, strict=True)}


def remembered_subjects(store: Path, faces: Collection[str]) -> dict[str, str]:
    """The subjects that data sets in the store have for the tracks of these folders of faces.

    They stay when the embeddings are deleted.
    """
    return {
        track_id: subject
        for dataset in read_catalogues(store)
        for video in dataset.videos
        if video.faces in faces
        for track_id, subject in zip(video.tracks, video.subjects, strict=False)
        if subject is not None
    }


def find_pairs(dataset: Dataset, embeddings: Mapping[str, np.ndarray], store: Path) -> list[Pair]:
    """Pairs of tracks of different videos that show one person, or perhaps do; the nearest first.

    `embeddings` are those of `track_embeddings`.
    """
    video_ids = {track_id: video.video_id for video in dataset.videos for track_id in video.tracks}
    track_ids = sorted(embeddings.keys() & video_ids.keys())
    if len(track_ids) < 2:
        return []
    subjects = find_subjects({track_id: embeddings[track_id] for track_id in track_ids}, video_ids)
    distance_TT = _distances(track_ids, embeddings, video_ids)
    labels = dataset.labels_folder(store)
    tasks_of = read_manifest(labels)["split_of"] if labels else {}
    split_of = {track_id: {of["used"] for of in tasks.values()} for track_id, tasks in tasks_of.items()}
    pairs = []
    for one, other in zip(*np.nonzero(np.triu(distance_TT <= PERHAPS, 1)), strict=True):
        names = track_ids[int(one)], track_ids[int(other)]
        splits = [split_of.get(name, set()) for name in names]
        is_leak = any(Split.TRAIN in side and beside & _HELD_OUT for side, beside in permutations(splits))
        pairs.append(
            Pair(
                *names,
                float(distance_TT[one, other]),
                subjects[names[0]] == subjects[names[1]],
                (", ".join(sorted(splits[0])), ", ".join(sorted(splits[1]))),
                is_leak,
            )
        )
    return sorted(pairs, key=lambda pair: pair.distance)


def _distances(track_ids: list[str], embeddings: Mapping[str, np.ndarray], video_ids: Mapping[str, str]) -> np.ndarray:
    distance_TT: np.ndarray = squareform(pdist(np.stack([embeddings[track_id] for track_id in track_ids])))
    videos_T = np.array([video_ids[track_id] for track_id in track_ids])
    distance_TT[(videos_T[:, None] == videos_T) & ~np.eye(len(track_ids), dtype=bool)] = _NEVER
    return distance_TT


def people_rows(store: Path, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """The rows of the table `people`."""
    rows = []
    for dataset in datasets:
        for video in dataset.videos:
            counts = read_manifest(store / "faces" / video.faces).get("tracks", {})
            for track_id, subject in zip(video.tracks, video.subjects or [None] * len(video.tracks), strict=True):
                of_track = counts.get(track_id, {})
                num_faces = sum(of_track.get(status.value, 0) for status in (Status.OK, Status.INTERPOLATED))
                about = {"dataset": dataset.name, "video_id": video.video_id, "track_id": track_id}
                rows.append({**about, "num_faces": num_faces, "subject": subject})
    return rows

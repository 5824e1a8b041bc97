"""Refuses or reports videos that one task trains on and another holds out; and lists what a version trained on."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from data.annotations.splits import Leak, find_leaks, training_videos
from data.store.catalogue import Dataset
from data.store.shards import read_manifest
from tasks.progress import log
from tasks.tracking import runs
from tasks.tracking.registry import Version

SHOWN = 3
TRAINING_VIDEOS = "training_videos.json"
"""Artifact of a run with the videos it trained on and their hashes, because names are not unique."""


def refuse_leaks(dataset: Dataset, store: Path) -> list[Leak]:
    """The leaks between the tasks of a data set: none, unless it was ingested with `splits = "official"`.

    Raises:
        ValueError: There are some, though the splits are not the official ones; names videos.
    """
    folder = dataset.labels_file(store).parent
    video_ids = {track_id: video.video_id for video in dataset.videos for track_id in video.tracks}
    leaks = find_leaks(folder, video_ids)
    if not leaks:
        return []
    told = "; ".join(map(str, leaks[:SHOWN])) + (f"; and {len(leaks) - SHOWN} more" if len(leaks) > SHOWN else "")
    rule = read_manifest(folder)["splits"]["rule"]
    if rule != "official":
        raise ValueError(
            f"{dataset.name}: one task trains on videos that another holds out, although the splits are {rule}: {told}."
            f" Delete {folder} and ingest again; to train on the official splits despite the leak, set splits=official"
        )
    log.warning("%s: scores will be too good, because the official splits leak: %s", dataset.name, told)
    return leaks


def note_training_videos(dataset: Dataset, store: Path, run_id: str) -> None:
    """Keeps with a run which videos of its data set train at least one task."""
    train = training_videos(dataset.labels_file(store).parent)
    hashes = {video.video_id: video.sha256 for video in dataset.videos if video.video_id in train}
    runs.log_text(store, run_id, TRAINING_VIDEOS, json.dumps(hashes, indent=2, sort_keys=True) + "\n")


def videos_seen(version: Version, dataset: Dataset, video_ids: Collection[str], store: Path) -> list[str]:
    """Those videos of a data set that a version was trained on; none if its run does not record them."""
    noted = runs.logged_text(store, version.run_id, TRAINING_VIDEOS)
    hashes = set(json.loads(noted).values()) if noted else set()
    return [video.video_id for video in dataset.videos if video.video_id in video_ids and video.sha256 in hashes]

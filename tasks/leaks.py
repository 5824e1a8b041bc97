"""No video that a task holds out trains another one, or the run says so."""

from __future__ import annotations

from pathlib import Path

from data.leaks import Leak, find_leaks
from data.shards import read_manifest
from tasks.catalogue import Dataset
from tasks.progress import log

SHOWN = 3


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
            f"{dataset.name}: videos that a task holds out train another, though the splits are {rule}: {told}. "
            f"Delete {folder} and ingest again; to train on the official splits, leak and all, say splits=official"
        )
    log.warning("%s: scores will flatter, for the official splits leak: %s", dataset.name, told)
    return leaks

"""What lies under a root, its labels, and what of it is usable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from data import affwild2
from data.annotations import read_counts, write_labels
from data.labels import Task
from data.schema import Status
from data.shards import parquet_files, read_manifest, read_table
from tasks.catalogue import Dataset, Video, write_catalogue
from tasks.config import IngestConfig, MachineConfig
from tasks.progress import log


@task(task_run_name="discover", cache_policy=NO_CACHE)
def discover(ingest: IngestConfig) -> affwild2.AffWild2:
    """The videos and annotations under the root.

    Raises:
        ValueError: No root is given, or what is there is not Aff-Wild2.
    """
    if ingest.root is None:
        raise ValueError("no data: give the folder of Aff-Wild2 as ingest.root (`--root`), or an experiment [sample]")
    tree = affwild2.discover(ingest.root, ingest.edition)
    log.info(
        "%s: %d videos, %d annotation files, edition %s",
        ingest.root, len(tree.videos), len(tree.annotations), tree.edition,
    )  # fmt: skip
    return tree


@task(task_run_name="labels", cache_policy=NO_CACHE)
def align_labels(tree: affwild2.AffWild2, ingest: IngestConfig, machine: MachineConfig) -> Path:
    """The labels folder of a root."""
    return write_labels(tree, machine.store, splits=ingest.splits)


@task(task_run_name="catalogue", cache_policy=NO_CACHE)
def catalogue(
    name: str,
    root: Path,
    videos: Mapping[str, Path],
    faces: Mapping[str, Path],
    machine: MachineConfig,
    *,
    tree: affwild2.AffWild2 | None = None,
    labels: Path | None = None,
) -> Dataset:
    """Writes down what the data set is made of now."""
    entries = []
    for video_id, folder in sorted(faces.items()):
        manifest = read_manifest(folder)
        path = videos[video_id].relative_to(root).as_posix() if root.is_dir() else videos[video_id].name
        tracks = tuple(file.stem for file in parquet_files(folder))
        entries.append(Video(video_id, path, folder.name, manifest["sha256"], tracks))
    dataset = Dataset(
        name=name,
        root=str(root),
        videos=tuple(entries),
        edition=tree.edition if tree else None,
        labels=labels.name if labels else None,
    )
    write_catalogue(dataset, machine.store)
    return dataset


def quality_table(dataset: Dataset, store: Path) -> list[dict[str, Any]]:
    """Per track: frames by status, labelled rows by task, and how many rows the labels have beyond the last frame."""
    counts = read_counts(dataset.labels_file(store).parent) if dataset.labels else {}
    rows = []
    for file in dataset.faces_files(store):
        statuses = Counter(read_table([file], ["status"])["status"].to_pylist())
        num_frames = sum(statuses.values())
        tasks = counts.get(file.stem, {})
        surplus = max(task["rows"] for task in tasks.values()) - num_frames if tasks else 0
        rows.append(
            {
                "track": file.stem,
                "frames": num_frames,
                **{status.value: statuses[status.value] for status in Status},
                **{f"{task} labels": tasks.get(task, {}).get("labelled", 0) for task in Task},
                "label rows beyond the video": max(0, surplus),
                "frames beyond the labels": max(0, -surplus),
            }
        )
    return rows


def quality_summary(rows: list[dict[str, Any]]) -> str:
    """The table's totals as a sentence."""
    sums = {name: sum(row[name] for row in rows) for name in rows[0] if name != "track"}
    odd = [row["track"] for row in rows if row["label rows beyond the video"] > 1 or row["frames beyond the labels"]]
    frames = (
        f"{len(rows)} tracks, {sums['frames']} frames: {sums['ok']} with a face, {sums['interpolated']} interpolated, "
        f"{sums['no_face']} without, {sums['decode_error']} damaged"
    )
    labels = ", ".join(f"{sums[f'{task} labels']} {task}" for task in Task)
    # One row more than frames is how the data set is; anything else is worth a look.
    return f"{frames}; labelled rows: {labels}; tracks with labels of another length: {', '.join(odd) or 'none'}"

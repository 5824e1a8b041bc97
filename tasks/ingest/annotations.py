"""What lies under a root, its labels, and what of it is usable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.annotations import discovery
from data.annotations.alignment import read_overlap, write_labels
from data.annotations.findings import Kind
from data.labels import Task
from data.store.shards import parquet_files, read_manifest
from tasks.catalogue import Dataset, FailedVideo, Video, write_catalogue
from tasks.config import IngestConfig, MachineConfig
from tasks.ingest.videos import Extracted
from tasks.progress import log
from tasks.quality.page import track_counts
from tasks.quality.report import quality_rows


@task(task_run_name="discover", cache_policy=NO_CACHE)
def discover(ingest: IngestConfig) -> discovery.AffWild2:
    """The videos and annotations under the root.

    Raises:
        ValueError: No root is given, or what is there is not Aff-Wild2.
    """
    if ingest.root is None:
        raise ValueError("no data: give the folder of Aff-Wild2 as ingest.root (`--root`), or an experiment [sample]")
    tree = discovery.discover(ingest.root, ingest.edition, faces_from=ingest.faces_from, annotations=ingest.annotations)
    log.info(
        "%s: %d videos%s, %d annotation files, edition %s",
        ingest.root,
        len(tree.videos),
        " as crops" if tree.crops else "",
        len(tree.annotations) + len(tree.mtl),
        tree.edition,
    )
    for evidence in tree.evidence:
        log.info("edition %s: %s", tree.edition, evidence)
    for tests in tree.tests:
        known, unknown = len(tests.track_ids), tests.num_without_video
        log.info("%s: %d test tracks, %d more without a video", tests.path.name, known, unknown)
    if tree.unused:
        log.warning("not used, though they look like annotations: %s", ", ".join(map(str, tree.unused[:10])))
    return tree


@task(task_run_name="labels", cache_policy=NO_CACHE)
def align_labels(tree: discovery.AffWild2, ingest: IngestConfig, machine: MachineConfig) -> Path:
    """The labels folder of a root."""
    folder = write_labels(
        tree,
        machine.store,
        splits=ingest.splits,
        split_seed=ingest.split_seed,
        validation_share=ingest.validation_share,
        mtl_conflicts=ingest.mtl_conflicts,
    )
    for row in read_overlap(folder):
        log.info("tasks share %s%s", row, f" (a leak, unless guarded; splits = {ingest.splits})" if row.is_leak else "")
    return folder


@task(task_run_name="catalogue", cache_policy=NO_CACHE)
def catalogue(
    name: str,
    root: Path,
    videos: Mapping[str, Path],
    faces: Extracted,
    machine: MachineConfig,
    *,
    tree: discovery.AffWild2 | None = None,
    labels: Path | None = None,
) -> Dataset:
    """Writes down what the data set is made of now, and what failed."""
    below = {
        video_id: path.relative_to(root).as_posix() if root.is_dir() else path.name for video_id, path in videos.items()
    }
    entries = []
    for video_id, folder in sorted(faces.folders.items()):
        tracks = tuple(file.stem for file in parquet_files(folder))
        entries.append(Video(video_id, below[video_id], folder.name, read_manifest(folder)["sha256"], tracks))
    failed = [
        FailedVideo(video_id, below[video_id], reason, tuple(tree.tracks(video_id)) if tree else ())
        for video_id, reason in sorted(faces.reasons.items())
    ]
    dataset = Dataset(
        name=name,
        root=str(root),
        videos=tuple(entries),
        edition=tree.edition if tree else None,
        labels=labels.name if labels else None,
        failed=tuple(failed),
    )
    write_catalogue(dataset, machine.store)
    return dataset


def quality_table(dataset: Dataset, store: Path) -> list[dict[str, Any]]:
    """Per track: frames by status, labelled rows by task, and how many rows the labels have beyond the last frame.

    A video that failed has a row for each of its annotated tracks, or for itself, without frames.
    """
    counts = track_counts(quality_rows(dataset, store))
    failures = {track: video.reason for video in dataset.failed for track in video.tracks or (video.video_id,)}
    rows = []
    for track in [*(file.stem for file in dataset.faces_files(store)), *failures]:
        of = counts[track]
        beyond = [max(of[task, kind] for task in Task) for kind in (Kind.ONE_ROW_MORE, Kind.ROWS_BEYOND_VIDEO)]
        without_rows = [of[task, Kind.FRAMES_BEYOND_ROWS] for task in Task if of[task, Kind.ROWS]]
        rows.append(
            {
                "track": track,
                "frames": of[None, Kind.FRAMES],
                "ok": of[None, Kind.FACES] - of[None, Kind.INTERPOLATED],
                **{kind.value: of[None, kind] for kind in (Kind.NO_FACE, Kind.INTERPOLATED, Kind.DECODE_ERROR)},
                **{f"{task} labels": of[task, Kind.LABELLED] for task in Task},
                "label rows beyond the video": max(beyond),
                "frames beyond the labels": min(without_rows, default=0),
                "its video failed": failures.get(track, ""),
            }
        )
    return rows


def quality_summary(rows: list[dict[str, Any]]) -> str:
    """The table's totals as a sentence."""
    sums = {name: sum(row[name] for row in rows) for name in rows[0] if name not in ("track", "its video failed")}
    failed = [row["track"] for row in rows if row["its video failed"]]
    odd = [row["track"] for row in rows if row["label rows beyond the video"] > 1 or row["frames beyond the labels"]]
    frames = (
        f"{len(rows)} tracks, {sums['frames']} frames: {sums['ok']} with a face, {sums['interpolated']} interpolated, "
        f"{sums['no_face']} without, {sums['decode_error']} damaged"
    )
    labels = ", ".join(f"{sums[f'{task} labels']} {task}" for task in Task)
    # One row more than frames is how the data set is; anything else is worth a look.
    without_video = f"; tracks whose video failed: {', '.join(failed)}" if failed else ""
    another_length = f"tracks with labels of another length: {', '.join(odd) or 'none'}"
    return f"{frames}; labelled rows: {labels}; {another_length}{without_video}"

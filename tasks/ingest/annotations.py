"""Finds the files under a root, aligns their labels and writes the data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from data.annotations import discovery
from data.annotations.alignment import read_overlap, write_labels
from data.annotations.findings import Kind
from data.annotations.splits import SplitSettings, groups_of, recording_of
from data.annotations.videos import ContentOf, Videos
from data.extraction.cropped import list_crops
from data.labels import Task
from data.store.catalogue import Dataset, FailedVideo, Video, is_sample, write_catalogue
from data.store.hashes import file_hash, folder_hash
from data.store.shards import parquet_files, read_manifest
from data.text import counted
from data.warehouse.quality_rows import Row
from data.warehouse.subjects import find_pairs, find_subjects, remembered_subjects, track_embeddings
from tasks.config import IngestConfig, MachineConfig
from tasks.ingest.videos import Extracted
from tasks.progress import log
from tasks.quality.page import track_counts


@task(task_run_name="discover", cache_policy=NO_CACHE)
def discover(ingest: IngestConfig, machine: MachineConfig) -> discovery.AffWild2:
    """The videos and annotations under the root.

    Raises:
        ValueError: No root is given, or its content does not look like Aff-Wild2.
    """
    if ingest.root is None:
        raise ValueError("no data: give the folder of Aff-Wild2 with --root, or an experiment with [sample]")
    tree = discovery.discover(
        ingest.root,
        ingest.edition,
        faces_from=ingest.faces_from,
        annotations=ingest.annotations,
        content_of=content_of(machine.store),
    )
    log.info(
        "%s: %s%s, %s, edition %s",
        ingest.root,
        counted(len(tree.videos), "videos"),
        " as crops" if tree.crops else "",
        counted(len(tree.annotations) + len(tree.mtl), "annotation files"),
        tree.edition,
    )
    say_copies(tree.copies)
    for evidence in tree.evidence:
        log.info("edition %s: %s", tree.edition, evidence)
    for tests in tree.tests:
        known, unknown = len(tests.track_ids), tests.num_without_video
        log.info("%s: %s, %d more without a video", tests.path.name, counted(known, "test tracks"), unknown)
    if tree.unused:
        log.warning("ignored files that look like annotations: %s", ", ".join(map(str, tree.unused[:10])))
    return tree


def say_copies(copies: Mapping[str, Sequence[Path]]) -> None:
    if copies:
        several = "1 video is" if len(copies) == 1 else f"{len(copies)} videos are"
        log.info("%s there more than once with the same content; each is read once", several)


def content_of(store: Path) -> ContentOf:
    """The hash of a video or folder of crops, remembered in the store."""

    def hash_of(path: Path) -> str:
        return folder_hash(path, list_crops(path).values(), store) if path.is_dir() else file_hash(path, store)

    return hash_of


@task(task_run_name="labels", cache_policy=NO_CACHE)
def align_labels(
    tree: discovery.AffWild2, ingest: IngestConfig, machine: MachineConfig, faces: Extracted | None = None
) -> Path:
    """The labels folder of a root; with faces, videos that show the same person are on one side."""
    groups = None
    if faces is not None:
        subject_of = _subjects(_embeddings(tree.root, faces, machine.store), faces, machine.store)
        found = {
            video: [subject_of[name] for name in tree.tracks(video) if name in subject_of] for video in tree.videos
        }
        groups = {video: group for video, group in groups_of(found).items() if group != recording_of(video)}
    splitting = ingest.part(SplitSettings)
    folder = write_labels(tree, machine.store, splitting, mtl_conflicts=ingest.mtl_conflicts, groups=groups)
    for row in read_overlap(folder):
        log.info("tasks share %s%s", row, f" (a leak, unless guarded; splits = {ingest.splits})" if row.is_leak else "")
    return folder


def _embeddings(root: Path, faces: Extracted, store: Path) -> dict[str, np.ndarray]:
    """The mean embedding of each track in which somebody was recognised; none of rendered heads: they are too alike."""
    return {} if is_sample(root, store) else track_embeddings(faces.folders.values(), store)


def _subjects(embeddings: Mapping[str, np.ndarray], faces: Extracted, store: Path) -> dict[str, str]:
    """The subject of each track in whose faces somebody was recognised, now or before."""
    video_ids = {file.stem: video_id for video_id, folder in faces.folders.items() for file in parquet_files(folder)}
    remembered = remembered_subjects(store, {folder.name for folder in faces.folders.values()})
    if embeddings and (deleted := remembered.keys() - embeddings.keys()):
        log.warning(
            "%s cannot be compared with those of new videos, because what recognises people was deleted: see `mtanet"
            " people`",
            counted(len(deleted), "tracks"),
        )
    return {**remembered, **find_subjects(embeddings, video_ids)}


@task(task_run_name="catalogue", cache_policy=NO_CACHE)
def catalogue(
    name: str,
    root: Path,
    videos: Videos,
    faces: Extracted,
    machine: MachineConfig,
    *,
    tree: discovery.AffWild2 | None = None,
    labels: Path | None = None,
) -> Dataset:
    """Writes the data set: its videos, labels and failed videos."""
    below = {video_id: _below(root, path) for video_id, path in videos.files.items()}
    embeddings = _embeddings(root, faces, machine.store)
    entries, subject_of = [], _subjects(embeddings, faces, machine.store)
    for video_id, folder in sorted(faces.folders.items()):
        tracks = tuple(file.stem for file in parquet_files(folder))
        copies = tuple(_below(root, path) for path in videos.copies.get(video_id, ()))
        subjects = tuple(subject_of.get(track) for track in tracks)
        sha256 = read_manifest(folder)["sha256"]
        entries.append(Video(video_id, below[video_id], folder.name, sha256, tracks, copies, subjects))
    failed = [
        FailedVideo(video_id, below[video_id], reason, tuple(tree.tracks(video_id)) if tree else ())
        for video_id, reason in sorted(faces.reasons.items())
    ]
    dataset = Dataset(
        name=name,
        root=os.path.abspath(root),  # noqa: PTH100  (without following links)
        videos=tuple(entries),
        edition=tree.edition if tree else None,
        labels=labels.name if labels else None,
        failed=tuple(failed),
    )
    write_catalogue(dataset, machine.store)
    if leaks := [pair for pair in find_pairs(dataset, embeddings, machine.store) if pair.is_same_leak]:
        log.warning(
            "%s of tracks of training and held-out videos show the same person, such as %s and %s: see `mtanet people`,"
            " and splits = subject_disjoint",
            counted(len(leaks), "pairs"),
            leaks[0].track_id,
            leaks[0].other_track_id,
        )
    return dataset


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if root.is_dir() else path.name


def quality_table(dataset: Dataset, findings: Sequence[Row]) -> list[dict[str, Any]]:
    """For each track: frames by status, labelled rows by task, and label rows beyond the last frame.

    A failed video has a row without frames for each of its annotated tracks, or one row if it has no tracks.
    """
    counts = track_counts(findings)
    failures = {track: video.reason for video in dataset.failed for track in video.tracks or (video.video_id,)}
    rows = []
    for track in [*(track for video in dataset.videos for track in video.tracks), *failures]:
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
                "frames beyond the labels": max(without_rows, default=0),
                "its video failed": failures.get(track, ""),
            }
        )
    return rows


def quality_summary(rows: list[dict[str, Any]]) -> str:
    """The totals of the table in one sentence."""
    sums = {name: sum(row[name] for row in rows) for name in rows[0] if name not in ("track", "its video failed")}
    failed = [row["track"] for row in rows if row["its video failed"]]
    odd = [row["track"] for row in rows if row["label rows beyond the video"] > 1 or row["frames beyond the labels"]]
    frames = (
        f"{counted(len(rows), 'tracks')}, {counted(sums['frames'], 'frames')}: {sums['ok']} with a face, "
        f"{sums['interpolated']} interpolated, {sums['no_face']} without, {sums['decode_error']} damaged"
    )
    labels = ", ".join(f"{sums[f'{task} labels']} {task}" for task in Task)
    # One extra row is normal in this data set; any other difference is worth a look.
    without_video = f"; tracks whose video failed: {', '.join(failed)}" if failed else ""
    lengths = (
        f"annotation files that do not match their video's length: {', '.join(odd)}"
        if odd
        else "every annotation file matches its video's length"
    )
    return f"{frames}; labelled rows: {labels}; {lengths}{without_video}"

"""Finds the files of an Aff-Wild2 data set: videos or crops, annotation files and test lists.

The rows of the files are read in `data.annotations.alignment`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from data.annotations.editions import Evidence, FileKind, editions_of, first_line, folder_editions, plain, recognise
from data.annotations.findings import refuse
from data.annotations.listing import ListedTracks, Listing, list_folder, read_test_lists, video_of
from data.annotations.mtl import split_of, tracks_in
from data.annotations.videos import ContentOf, content_hash, videos_of_crops, videos_of_folder
from data.labels import Edition, Split, Task

_SPLIT_FOLDERS = {"trainingset": Split.TRAIN, "trainset": Split.TRAIN, "validationset": Split.VALIDATION}
_TASK_FOLDER = re.compile(
    r"(va|expr|au)(set|estimationchallenge|classificationchallenge|recognitionchallenge|detectionchallenge)$"
)


@dataclass(frozen=True)
class AnnotationFile:
    """The labels of one task for one track."""

    path: Path
    task: Task
    split: Split
    track_id: str


@dataclass(frozen=True)
class MtlFile:
    """The labels of all tasks for some frames of some tracks."""

    path: Path
    split: Split
    track_ids: tuple[str, ...]


@dataclass(frozen=True)
class AffWild2:
    """The files found under a root."""

    root: Path
    edition: Edition
    evidence: tuple[Evidence, ...]
    """The files and folders that determined the edition."""
    videos: Mapping[str, Path]
    """Files, or in a set of crops the folder of one of the video's tracks."""
    copies: Mapping[str, tuple[Path, ...]]
    """Other places with the same video, as older releases have it in several sets' folders."""
    crops: Mapping[str, Path]
    """The crops folder of each track, if the data set has no videos."""
    annotations: tuple[AnnotationFile, ...]
    mtl: tuple[MtlFile, ...]
    tests: tuple[ListedTracks, ...]
    unused: tuple[Path, ...]
    """Text files that look like annotations but are not in a task and split folder, or were not selected."""

    def video_id(self, track_id: str) -> str:
        """The video that shows the track's person."""
        return video_of(track_id, self.videos)

    def tracks(self, video_id: str) -> list[str]:
        """The tracks of a video that are annotated, in a test list or there as crops, by name."""
        return self._tracks.get(video_id, [])

    @cached_property
    def splits(self) -> dict[tuple[str, Task], Split]:
        """Each task's own split of its tracks."""
        tests = {(track_id, task): Split.TEST for of in self.tests for task in of.tasks for track_id in of.track_ids}
        several = {(track_id, task): file.split for file in self.mtl for task in Task for track_id in file.track_ids}
        return {**tests, **several, **{(file.track_id, file.task): file.split for file in self.annotations}}

    @cached_property
    def _tracks(self) -> dict[str, list[str]]:
        tracks = defaultdict(list)
        for track_id in sorted({*self.crops, *(track_id for track_id, _ in self.splits)}):
            tracks[self.video_id(track_id)].append(track_id)
        return dict(tracks)


def discover(
    root: Path,
    edition: Edition | None = None,
    *,
    faces_from: Literal["auto", "videos", "crops"] = "auto",
    annotations: Literal["auto", "per_task", "mtl"] = "auto",
    content_of: ContentOf = content_hash,
) -> AffWild2:
    """Finds videos and annotation files under a root; case, spaces and underscores in folder names do not matter.

    Args:
        root: Contains the annotations and the videos or crops, at any depth.
        edition: Overrides recognition. If a folder names this edition, files in folders that name another are ignored.
        faces_from: `auto` takes the videos if there are any, otherwise the folders of crops.
        annotations: Which files to use if both kinds exist: one file per track and task, or multi-task files.
        content_of: The hash of a video or folder of crops, which tells copies from others of the same name.

    Raises:
        ValueError: No videos, no annotations, annotations without their video, two files for the same labels, or an
            unrecognised edition; all problems are listed together.
    """
    listing = list_folder(root)
    are_crops = faces_from == "crops" or (faces_from == "auto" and not listing.videos and bool(listing.crops))
    crops: dict[str, Path] = {}
    if are_crops:
        found, crops = videos_of_crops(listing, content_of)
    else:
        found = videos_of_folder(listing, content_of)
    videos = found.files
    per_task, mtl, unused = _choose_annotations(listing, edition, annotations)

    def is_there(track_id: str) -> bool:
        return track_id in crops if are_crops else video_of(track_id, videos) in videos

    tests = read_test_lists(listing.texts, is_there, of_mtl=bool(mtl))
    refuse(_problems(root, is_there, per_task, mtl, tests), str(root))
    kinds: list[tuple[Path, FileKind]] = [(file.path, file.task) for file in per_task]
    recognised = recognise(root, kinds + [(file.path, "mtl") for file in mtl], edition)
    return AffWild2(
        root=root,
        edition=recognised.edition,
        evidence=recognised.evidence,
        videos=videos,
        copies=found.copies,
        crops=crops,
        annotations=tuple(per_task),
        mtl=tuple(mtl),
        tests=tuple(tests),
        unused=tuple(unused),
    )


def _choose_annotations(
    listing: Listing, edition: Edition | None, annotations: Literal["auto", "per_task", "mtl"]
) -> tuple[list[AnnotationFile], list[MtlFile], list[Path]]:
    """The annotation files of the selected kind, and other files that look like annotations."""
    per_task, mtl, unused = _annotation_files(listing)
    per_task, others = _of_edition(listing.root, per_task, edition)
    unused += others
    if per_task and mtl and annotations == "auto":
        raise ValueError(
            f"{listing.root}: annotations per task ({len(per_task)} files, such as {per_task[0].path}) and multi-task "
            f"files ({', '.join(str(file.path) for file in mtl)}); choose one with ingest.annotations = "
            '"per_task" or "mtl"'
        )
    if annotations == "mtl":
        per_task, unused = [], unused + [file.path for file in per_task]
    elif annotations == "per_task":
        mtl, unused = [], unused + [file.path for file in mtl]
    if not per_task and not mtl:
        raise ValueError(
            f"{listing.root}: no annotation files; expected <task folder>/<split folder>/<track>.txt, where a task"
            " folder is VA_Set, EXPR_Set or AU_Set and a split folder Training_Set or Validation_Set, or multi-task"
            " files such as train_set.txt"
        )
    return per_task, mtl, unused


def _annotation_files(listing: Listing) -> tuple[list[AnnotationFile], list[MtlFile], list[Path]]:
    """Files per task, multi-task files, and files that look like either but are in the wrong place."""
    per_task, mtl, unused = [], [], []
    for path in listing.texts:
        folders = [plain(part) for part in path.relative_to(listing.root).parts[:-1]]
        tasks = [match[1] for folder in folders if (match := _TASK_FOLDER.search(folder))]
        splits = [_SPLIT_FOLDERS[folder] for folder in folders if folder in _SPLIT_FOLDERS]
        if tasks and splits:
            per_task.append(AnnotationFile(path, Task(tasks[-1]), splits[-1], path.stem))
        elif (split := split_of(path)) is not None:
            mtl.append(MtlFile(path, split, tracks_in(path)))
        elif any(editions_of(kind, first_line(path)) for kind in (*Task, "mtl")):
            unused.append(path)
    return per_task, mtl, unused


def _of_edition(
    root: Path, files: Sequence[AnnotationFile], edition: Edition | None
) -> tuple[list[AnnotationFile], list[Path]]:
    """The files of the requested edition if releases are side by side, and the paths of the others."""
    said = {file: {of for editions in folder_editions(root, file.path).values() for of in editions} for file in files}
    if edition is None or not any(edition in editions for editions in said.values()):
        return list(files), []
    kept = [file for file in files if not said[file] or edition in said[file]]
    return kept, [file.path for file in files if file not in set(kept)]


def _problems(
    root: Path,
    is_there: Callable[[str], bool],
    per_task: Sequence[AnnotationFile],
    mtl: Sequence[MtlFile],
    tests: Sequence[ListedTracks],
) -> list[str]:
    """Labels without their video, and labels of a track and task from two places."""
    problems = []
    places: dict[tuple[str, Task], Path] = {}
    claims: list[tuple[Path, str, tuple[Task, ...]]]
    claims = [(file.path, file.track_id, (file.task,)) for file in per_task]
    claims += [(file.path, track_id, tuple(Task)) for file in mtl for track_id in file.track_ids]
    orphans = [(path, track_id) for path, track_id, _ in claims if not is_there(track_id)]
    for path, track_id in orphans:
        of = "" if path.stem == track_id else f" ({track_id})"
        problems.append(
            f"{path}: no video{of} for this annotation under {root}; add the video or its crops, or remove the file"
        )
    claims += [(file.path, track_id, file.tasks) for file in tests for track_id in file.track_ids]
    for path, track_id, tasks in claims:
        for task in tasks:
            other = places.setdefault((track_id, task), path)
            if other != path:
                problems.append(
                    f"track {track_id} has two files for {task}: {other} and {path}; remove "
                    "one, or choose between releases with ingest.edition"
                )
                break
    return problems

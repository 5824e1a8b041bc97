"""Decides which tracks train and which are held out, from their names and the folders of their annotations."""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data.labels import Split, Task
from data.settings import Settings
from data.store.shards import read_manifest, read_table
from data.text import counted

Splits = dict[tuple[str, Task], Split]
"""The split of each (track, task) that has labels or is in a test list."""


class SplitSettings(Settings):
    """Which tracks train and which are held out."""

    splits: Literal["guarded", "official", "subject_disjoint"] = "guarded"
    """`guarded`: a video that any task holds out trains no task. `official`: each task's own split. `subject_disjoint`:
    new random splits, with all people and tasks of a recording on one side."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of `subject_disjoint`: a different seed gives different splits."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the recordings that validate with `subject_disjoint`, in (0, 1)."""

    @property
    def key(self) -> dict[str, object]:
        """Everything that the splits depend on."""
        if self.splits == "subject_disjoint":
            return {"rule": self.splits, "seed": self.split_seed, "validation_share": self.validation_share}
        return {"rule": self.splits}


@dataclass(frozen=True)
class Overlap:
    """Videos that one task has in one split and another task (or person) in another: a row of the overlap table."""

    task: Task
    split: Split
    other_task: Task
    other_split: Split
    num_videos: int

    @property
    def is_leak(self) -> bool:
        """Whether one of the two trains on videos that the other holds out."""
        sides = {self.split, self.other_split}
        return Split.TRAIN in sides and bool(sides & {Split.VALIDATION, Split.TEST})

    def __str__(self) -> str:
        videos = counted(self.num_videos, "videos")
        return f"{videos}: {self.task} {self.split}, {self.other_task} {self.other_split}"


def choose_splits(
    official: Splits, video_ids: Mapping[str, str], settings: SplitSettings, groups: Mapping[str, str] | None = None
) -> Splits:
    """Applies the chosen rule to the official splits.

    Args:
        official: The official split of each track and task.
        video_ids: The video of every track.
        groups: The group of every video, whose people are on one side; by default its recording.
        settings: `official` keeps them; for the other rules see `guarded` and `subject_disjoint`.
    """
    if settings.splits == "official":
        return dict(official)
    if settings.splits == "guarded":
        return guarded(official, video_ids)
    return subject_disjoint(
        official, video_ids, groups, seed=settings.split_seed, validation_share=settings.validation_share
    )


def guarded(official: Splits, video_ids: Mapping[str, str]) -> Splits:
    """The official splits without the leak between tasks: a video that any task holds out trains no other task.

    The official splits differ per task: in edition 2020, 57 videos train VA and validate EXPR. A network trained
    jointly on them would be scored on faces it has seen. Such labels get the split `held_out`.

    Args:
        official: The official split of each track and task.
        video_ids: The video of every track; all people of a video are held out together.
    """
    held_out = {video_ids[track_id] for (track_id, _), split in official.items() if split is not Split.TRAIN}
    return {
        (track_id, task): Split.HELD_OUT if split is Split.TRAIN and video_ids[track_id] in held_out else split
        for (track_id, task), split in official.items()
    }


def subject_disjoint(
    official: Splits,
    video_ids: Mapping[str, str],
    groups: Mapping[str, str] | None = None,
    *,
    seed: int,
    validation_share: float,
) -> Splits:
    """New random splits in which all tracks and tasks of a recording, or of recordings of one person, are on one side.

    Every combination of tasks is divided in about the same proportion. Recordings that a task has in its test set stay
    there and are `held_out` for the other tasks.

    Args:
        official: The official split of each track and task.
        video_ids: The video of every track.
        groups: The group of every video; by default its recording.
        seed: Different seeds give different splits.
        validation_share: Share of the recordings that validate, between 0 and 1; at least one validates and one trains.

    Raises:
        ValueError: There are fewer than two recordings.
    """
    group_of = {track_id: (groups or {}).get(video, recording_of(video)) for track_id, video in video_ids.items()}
    tasks_of: dict[str, set[Task]] = defaultdict(set)
    for track_id, task in official:
        tasks_of[group_of[track_id]].add(task)
    tests = {group_of[track_id] for (track_id, _), split in official.items() if split is Split.TEST}
    drawn = sorted(tasks_of.keys() - tests, key=lambda name: (sorted(tasks_of[name]), _draw(seed, name)))
    if len(drawn) < 2:
        raise ValueError(f"subject_disjoint needs at least two recordings, found {len(drawn)}; use another split")
    # Walking the combinations in turn, every (1 / share)-th one validates: each gets its share, to within one.
    steps = [math.floor(_draw(seed, "") + index * validation_share) for index in range(len(drawn) + 1)]
    validate = {name for index, name in enumerate(drawn) if steps[index + 1] > steps[index]}
    by_chance = sorted(drawn, key=lambda name: _draw(seed, name))
    validate = validate or {by_chance[0]}
    validate -= {by_chance[-1]} if len(validate) == len(drawn) else set()

    def side(track_id: str, split: Split) -> Split:
        recording = group_of[track_id]
        if recording in tests:
            return Split.TEST if split is Split.TEST else Split.HELD_OUT
        return Split.VALIDATION if recording in validate else Split.TRAIN

    return {(track_id, task): side(track_id, split) for (track_id, task), split in official.items()}


def recording_of(video_id: str) -> str:
    """The recording that a video belongs to: `video45_1` to `video45_7`, or `2-30-640x360-1` and `-2`, share people."""
    return re.sub(r"^(video\d+)_\d+$|^(\d+-\d+-\d+x\d+)-\d+$", r"\1\2", video_id)


def groups_of(subjects: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Which videos belong together: those of one recording, or that share a subject, directly or through others.

    Args:
        subjects: The subjects in each video.

    Returns:
        For each video the name of the first recording of its group, by name.
    """
    videos = sorted(subjects)
    number = {video: index for index, video in enumerate(videos)}
    first: dict[tuple[str, str], int] = {}
    links = []
    for video in videos:
        for key in [("recording", recording_of(video)), *(("subject", name) for name in subjects[video])]:
            links.append((number[video], first.setdefault(key, number[video])))
    rows, columns = zip(*links, strict=True) if links else ((), ())
    shape = (len(videos), len(videos))
    _, group_V = connected_components(coo_array((np.ones(len(links)), (rows, columns)), shape), directed=False)
    names: dict[int, str] = {}
    for video, group in zip(videos, group_V.tolist(), strict=True):
        names[group] = min(names.get(group, recording_of(video)), recording_of(video))
    return {video: names[group] for video, group in zip(videos, group_V.tolist(), strict=True)}


def overlap(splits: Splits, video_ids: Mapping[str, str]) -> list[Overlap]:
    """The table of videos that two tasks share, or that one task has in two splits with different people."""
    videos: dict[tuple[Task, Split], set[str]] = defaultdict(set)
    for (track_id, task), split in splits.items():
        videos[task, split].add(video_ids[track_id])
    pairs = combinations(product(Task, Split), 2)
    rows = [Overlap(*one, *other, len(videos[one] & videos[other])) for one, other in pairs]
    return [row for row in rows if row.num_videos]


def _draw(seed: int, name: str) -> float:
    """A pseudo-random number in [0, 1) for a name; the same on every machine and independent of other names."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:6], "big") / 2**48


@dataclass(frozen=True)
class Leak:
    """A video, or a recording where those were divided, that one task trains on and one holds out."""

    name: str
    trains: Task
    held_out_by: Task
    split: Split

    def __str__(self) -> str:
        return f"{self.name} trains {self.trains} and is in the {self.split} split of {self.held_out_by}"


def find_leaks(labels: Path, video_ids: Mapping[str, str]) -> list[Leak]:
    """One leak for each video that has any, by name.

    It is searched in the label rows themselves, so that a wrong rule or an edited shard cannot hide it, and in the test
    lists, which have no rows.

    Args:
        labels: The folder of a labels shard.
        video_ids: The video of every track that has faces.
    """
    manifest = read_manifest(labels)
    recordings = manifest["splits"]["rule"] == "subject_disjoint"
    groups = manifest.get("groups", {})

    def name_of(video_id: str) -> str:
        return groups.get(video_id, recording_of(video_id)) if recordings else video_id

    sides: dict[str, set[tuple[Task, Split]]] = defaultdict(set)
    columns = {task: f"split_{task}" for task in Task}
    table = read_table([labels / "labels.parquet"], ["video_id", *columns.values()])
    for row in table.group_by(table.column_names).aggregate([]).to_pylist():
        sides[name_of(row["video_id"])] |= {
            (task, Split(row[column])) for task, column in columns.items() if row[column] is not None
        }
    for track_id, tasks in manifest["split_of"].items():
        name = name_of(video_ids.get(track_id, track_id))
        sides[name] |= {(Task(task), Split.TEST) for task, of in tasks.items() if of["used"] == Split.TEST}
    return [leak for name, found in sorted(sides.items()) if (leak := _leak(name, found)) is not None]


def training_videos(labels: Path) -> set[str]:
    """The videos of a labels shard that at least one task trains on."""
    table = read_table([labels / "labels.parquet"], ["video_id", *(f"split_{task}" for task in Task)])
    rows = table.group_by(table.column_names).aggregate([]).to_pylist()
    return {row["video_id"] for row in rows if Split.TRAIN in {row[f"split_{task}"] for task in Task}}


def _leak(name: str, sides: set[tuple[Task, Split]]) -> Leak | None:
    trains = [task for task, split in sides if split is Split.TRAIN]
    held_out = [(task, split) for task, split in sides if split in (Split.VALIDATION, Split.TEST)]
    return Leak(name, min(trains), *min(held_out)) if trains and held_out else None

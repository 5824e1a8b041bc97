"""Does any video train one task that another holds out? Read from the labels as training will read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.annotations.splits import recording_of
from data.labels import Split, Task
from data.store.shards import read_manifest, read_table


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

    Looked for in the rows themselves, so that what a rule promised, an edited shard or a wrong rule cannot hide it; and
    in the test lists, which have no rows.

    Args:
        labels: The folder of a labels shard.
        video_ids: The video of every track that has faces.
    """
    manifest = read_manifest(labels)
    recordings = manifest["splits"]["rule"] == "subject_disjoint"
    sides: dict[str, set[tuple[Task, Split]]] = defaultdict(set)
    columns = {task: f"split_{task}" for task in Task}
    table = read_table([labels / "labels.parquet"], ["video_id", *columns.values()])
    for row in table.group_by(table.column_names).aggregate([]).to_pylist():
        name = recording_of(row["video_id"]) if recordings else row["video_id"]
        sides[name] |= {(task, Split(row[column])) for task, column in columns.items() if row[column] is not None}
    for track_id, tasks in manifest["split_of"].items():
        video_id = video_ids.get(track_id, track_id)
        name = recording_of(video_id) if recordings else video_id
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

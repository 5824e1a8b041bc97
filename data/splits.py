"""Who trains and who is held out, from the names of tracks and the folders of their annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from data.labels import Split, Task

Splits = dict[tuple[str, Task], Split]
"""The split of each (track, task) that has an annotation file."""


def guarded(official: Splits, video_ids: Mapping[str, str]) -> Splits:
    """The official splits, less the leak between tasks: a video that any task holds out trains no other task.

    The official splits differ per task: in edition 2020, 57 videos train VA and are EXPR's validation. Trained
    jointly on them, a network has seen the faces it is scored on. Such labels get the split `held_out`.

    Args:
        official: Each task's own split.
        video_ids: The video of every track; all people of a video are held out together.
    """
    held_out = {video_ids[track_id] for (track_id, _), split in official.items() if split is not Split.TRAIN}
    return {
        (track_id, task): Split.HELD_OUT if split is Split.TRAIN and video_ids[track_id] in held_out else split
        for (track_id, task), split in official.items()
    }


def overlap(official: Splits, video_ids: Mapping[str, str]) -> list[tuple[Task, Task, int]]:
    """How many videos train the first task and are held out by the second, for each pair that shares any."""
    videos = {
        (task, trains): {
            video_ids[track_id]
            for (track_id, of), split in official.items()
            if of is task and (split is Split.TRAIN) == trains
        }
        for task in Task
        for trains in (True, False)
    }
    pairs: Iterable[tuple[Task, Task]] = ((one, other) for one in Task for other in Task)
    counts = [(one, other, len(videos[one, True] & videos[other, False])) for one, other in pairs]
    return [row for row in counts if row[2]]

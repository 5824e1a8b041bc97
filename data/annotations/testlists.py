"""Lists of the tracks in a challenge's test set, and whose video a track is of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.annotations.editions import plain
from data.labels import Task

_LIST = re.compile(r"(?:(va|valence)|(expr)|(au|action)|(mtl|multitask)).*testset(release)?$")


@dataclass(frozen=True)
class ListedTracks:
    """Tracks that have no labels for some tasks because they test them."""

    path: Path
    tasks: tuple[Task, ...]
    track_ids: tuple[str, ...]
    """Those whose video is there."""
    num_without_video: int


def video_of(track_id: str, videos: Mapping[str, Path]) -> str:
    """Only a last `_left` or `_right` is a person; `_1`, `_2` and the like are part of a video's name."""
    return track_id if track_id in videos else re.sub(r"_(left|right)$", "", track_id)


def read_test_lists(texts: Iterable[Path], is_there: Callable[[str], bool], *, of_mtl: bool) -> list[ListedTracks]:
    """The test lists of the annotations that count: those of other challenges divide the videos in another way.

    Args:
        texts: All text files.
        is_there: Whether there are frames of a track.
        of_mtl: Whether multi-task files count, or those per task.
    """
    lists = []
    for path in texts:
        match = _LIST.match(plain(path.stem))
        if match and bool(match[4]) == of_mtl:
            tasks = tuple(task for task, said in zip(Task, match.groups()[:3], strict=True) if said or of_mtl)
            names = _names_in(path, is_there, is_release=bool(match[5]))
            known = tuple(name for name in names if is_there(name))
            lists.append(ListedTracks(path, tasks, known, len(names) - len(known)))
    return lists


def _names_in(path: Path, is_there: Callable[[str], bool], *, is_release: bool) -> list[str]:
    """The tracks of a list: of a line what stands before a comma, and of a picture's name the folder.

    Lists up to 2020 have a header, releases mostly not; every track's name has a digit, and no header does.
    """
    lines = path.read_bytes().decode("utf-8-sig", "replace").splitlines()
    names = [line.partition(",")[0].partition("/")[0].strip() for line in lines]
    if names and not is_there(names[0]) and not (is_release and re.search(r"\d", names[0])):
        names = names[1:]
    return sorted({name for name in names if name})

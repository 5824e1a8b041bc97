"""Lists videos, text files and folders of crops under a folder, in one walk that does not visit every crop."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from data.annotations.editions import plain
from data.labels import Task

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".ogv"),
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg"),
)
"""The endings of video files, in any case: those of every container in docs/videos.md."""
CROP_SUFFIXES = (".jpg", ".jpeg")


@dataclass
class Listing:
    """Paths below a root, in order of their names; videos and crops by name, since a name may come twice."""

    root: Path
    videos: defaultdict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    texts: list[Path] = field(default_factory=list)
    crops: defaultdict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """Folders of aligned crops, one per track."""
    unaligned: list[Path] = field(default_factory=list)
    """Folders of crops that are not aligned."""


def list_folder(root: Path) -> Listing:
    """The files under a folder at any depth. Links are followed; hidden files and folders are ignored.

    Raises:
        ValueError: The folder does not exist.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; give the folder that holds the videos")
    listing = Listing(root)
    for folder, tracks, files in _walk(root):
        for name in files:
            path = folder / name
            if path.suffix.lower() in VIDEO_SUFFIXES:
                listing.videos[path.stem].append(path)
            elif path.suffix.lower() == ".txt":
                listing.texts.append(path)
        for track_id in tracks:
            if "aligned" in _cropped_parent(folder):
                listing.crops[track_id].append(folder / track_id)
            else:
                listing.unaligned.append(folder / track_id)
    return listing


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder with the names of its folders of crops and of its files."""
    seen = set()
    for name, subfolders, files in os.walk(root, followlinks=True):
        folder = Path(name)
        if (real := folder.resolve()) in seen:
            subfolders.clear()
            continue
        seen.add(real)
        visible = sorted(name for name in subfolders if not name.startswith((".", "__MACOSX")))
        tracks = [name for name in visible if _cropped_parent(folder) and _holds_crops(folder / name)]
        subfolders[:] = [name for name in visible if name not in tracks]
        yield folder, tracks, sorted(name for name in files if not name.startswith("."))


def _cropped_parent(folder: Path) -> str:
    """The plain name of the nearest folder that is called after crops, such as `cropped_aligned`, or nothing."""
    return next((name for part in reversed(folder.parts) if "cropped" in (name := plain(part))), "")


def _holds_crops(folder: Path) -> bool:
    """Whether one of the first files in a folder is a crop; a folder may have 47,434 of them."""
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(CROP_SUFFIXES) for entry in islice(entries, 10))


_LIST = re.compile(r"(?:(va|valence)|(expr)|(au|action)|(mtl|multitask)).*testset(release)?$")


@dataclass(frozen=True)
class ListedTracks:
    """Tracks that have no labels for some tasks because they test them."""

    path: Path
    tasks: tuple[Task, ...]
    track_ids: tuple[str, ...]
    """The tracks whose video exists."""
    num_without_video: int


def video_of(track_id: str, videos: Mapping[str, Path]) -> str:
    """Only a last `_left` or `_right` is a person; `_1`, `_2` and the like are part of a video's name."""
    return track_id if track_id in videos else re.sub(r"_(left|right)$", "", track_id)


def read_test_lists(texts: Iterable[Path], is_there: Callable[[str], bool], *, of_mtl: bool) -> list[ListedTracks]:
    """The test lists that belong to the selected annotations; those of other challenges split the videos differently.

    Args:
        texts: All text files.
        is_there: Whether a track has frames.
        of_mtl: Whether multi-task files are selected, or files per task.
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
    """The tracks in a list. A line's track is the text before a comma, or the folder of a picture's path.

    Lists up to 2020 have a header, later ones mostly not. Every track name has a digit, and no header does.
    """
    lines = path.read_bytes().decode("utf-8-sig", "replace").splitlines()
    names = [line.partition(",")[0].partition("/")[0].strip() for line in lines]
    if names and not is_there(names[0]) and not (is_release and re.search(r"\d", names[0])):
        names = names[1:]
    return sorted({name for name in names if name})

"""What lies under a folder: videos, text files and folders of crops, in one walk that does not look at every crop."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from data.annotations.editions import plain

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
CROP_SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Listing:
    """Paths below a root, in order of their names; videos and crops by name, since a name may come twice."""

    root: Path
    videos: defaultdict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    texts: list[Path] = field(default_factory=list)
    crops: defaultdict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """Folders of aligned crops, one a track."""
    unaligned: list[Path] = field(default_factory=list)
    """Folders of crops that are not aligned."""


def list_folder(root: Path) -> Listing:
    """What lies under a folder at any depth; links are followed, hidden files and folders passed over.

    Raises:
        ValueError: There is no such folder.
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
    """Whether there is a crop among the first things in a folder: it may have 47,434 of them."""
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(CROP_SUFFIXES) for entry in islice(entries, 10))

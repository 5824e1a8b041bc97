"""Finds the videos of a data set, as files or folders of crops; several of the same name and content are one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.annotations.findings import refuse
from data.annotations.listing import CROP_SUFFIXES, VIDEO_SUFFIXES, Listing, list_folder, video_of
from data.store.shards import digest, file_sha256

ContentOf = Callable[[Path], str]


def content_hash(path: Path) -> str:
    """The hash of a file, or of a folder of crops."""
    if not path.is_dir():
        return file_sha256(path)
    crops = sorted(crop for crop in path.iterdir() if crop.suffix.lower() in CROP_SUFFIXES)
    return digest([(crop.name, file_sha256(crop)) for crop in crops])


@dataclass(frozen=True)
class Videos:
    """Videos by their id (the file name without its ending)."""

    files: Mapping[str, Path]
    copies: Mapping[str, tuple[Path, ...]]
    """Other files of the same name and content. They are not read again."""


def find_videos(paths: Sequence[Path], content_of: ContentOf = content_hash) -> Videos:
    """Videos given as files, and all those in folders, at any depth.

    Raises:
        ValueError: A path does not exist, a folder has no video, or two different videos have the same name.
    """
    check_paths(paths)
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        if path.is_file():
            found[path.stem].append(path)
            continue
        for video_id, files in _listed(list_folder(path)).items():
            found[video_id] += files
    return _once(found, str(paths[0]) if len(paths) == 1 else f"{paths[0]} and others", content_of)


def check_paths(paths: Sequence[Path]) -> None:
    """Refuses a path that does not exist.

    Raises:
        ValueError: A path does not exist.
    """
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder; give video files, or folders that hold them")


def videos_of_folder(listing: Listing, content_of: ContentOf) -> Videos:
    """The video files of a folder, at any depth.

    Raises:
        ValueError: It has no video, or two different videos have the same name.
    """
    return _once(_listed(listing), str(listing.root), content_of)


def _listed(listing: Listing) -> Mapping[str, Sequence[Path]]:
    if not listing.videos:
        suffixes = ", ".join(VIDEO_SUFFIXES)
        raise ValueError(f"{listing.root}: no videos in this folder or below; expected files ending in {suffixes}")
    return listing.videos


def _once(found: Mapping[str, Sequence[Path]], where: str, content_of: ContentOf) -> Videos:
    kept, copies, problems = _one_of_each(found, "videos named", content_of)
    refuse(problems, where)
    return Videos(kept, copies)


def videos_of_crops(listing: Listing, content_of: ContentOf) -> tuple[Videos, dict[str, Path]]:
    """The crops folder of each video's first track, with those of its other tracks beside it; and of each track."""
    if not listing.crops:
        hint = f"; {listing.unaligned[0].parent} holds crops that are not aligned" if listing.unaligned else ""
        raise ValueError(
            f"{listing.root}: no crops in this folder or below; expected cropped_aligned/<track>/00001.jpg{hint}"
        )
    _, copies, problems = _one_of_each(listing.crops, "folders with crops of track", content_of)
    tracks_of: dict[str, list[str]] = defaultdict(list)
    for track_id in sorted(listing.crops):
        tracks_of[video_of(track_id, {})].append(track_id)
    crops: dict[str, Path] = {}
    for track_ids in tracks_of.values():
        places = [{path.parent: path for path in listing.crops[track_id]} for track_id in track_ids]
        together = [parent for parent in places[0] if all(parent in of for of in places)]
        if not together:
            first, *others = (next(iter(of.values())) for of in places)
            other = next((path for path in others if path.parent != first.parent), first)
            problems.append(
                f"{other}: the crops of another person in this video are in {first}; put both into one folder"
            )
            continue
        crops |= {track_id: of[together[0]] for track_id, of in zip(track_ids, places, strict=True)}
    refuse(problems, str(listing.root))
    firsts = {video_id: crops[track_ids[0]] for video_id, track_ids in tracks_of.items()}
    again = {
        video_id: tuple(path for path in (firsts[video_id], *listing.crops[track_ids[0]]) if path != firsts[video_id])
        for video_id, track_ids in tracks_of.items()
        if track_ids[0] in copies
    }
    return Videos(firsts, again), crops


def _one_of_each(
    found: Mapping[str, Sequence[Path]], what: str, content_of: ContentOf
) -> tuple[dict[str, Path], dict[str, tuple[Path, ...]], list[str]]:
    """The first file or folder of each name, others of the same content, and a problem for each of another content."""
    kept, copies, problems = {}, {}, []
    for name, paths in sorted(found.items()):
        kept[name], *others = {path.resolve(): path for path in paths}.values()
        if not others:
            continue
        others_of = [path for path in others if not _is_same(kept[name], path, content_of)]
        if others_of:
            problems.append(
                f"found {len(others) + 1} {what} {name} with different content: "
                f"{', '.join(map(str, (kept[name], *others_of)))}; remove or rename all but one"
            )
        copies[name] = tuple(others)
    return kept, copies, problems


def _is_same(one: Path, other: Path, content_of: ContentOf) -> bool:
    if one.is_file() and one.stat().st_size != other.stat().st_size:
        return False  # which spares the reading
    return content_of(one) == content_of(other)

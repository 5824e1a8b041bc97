"""A video of the store by its name, by one of its tracks, or by its file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from data.store.catalogue import Dataset, Video, read_catalogues
from data.store.shards import file_sha256


@dataclass(frozen=True)
class Found:
    """A video of a data set, and where its file is."""

    video: Video
    dataset: Dataset
    path: Path
    track_id: str | None = None
    """The track that was asked for, if it was one."""


def find_video(store: Path, name: str) -> Found:
    """A video by its name or the name of a track in it, or by its file, wherever that is now.

    Raises:
        ValueError: There is none in the store, it could not be read, or its file has gone or changed.
    """
    known = [(dataset, video) for dataset in read_catalogues(store) for video in dataset.videos]
    found = next(_named(known, name), None)
    if found is not None:
        return _with_file(found)
    path = Path(name)
    if path.is_file():
        sha256 = file_sha256(path)
        alike = sorted(
            ((dataset, video) for dataset, video in known if video.sha256 == sha256),
            key=lambda pair: pair[1].video_id != path.stem,
        )
        if alike:
            dataset, video = alike[0]
            return Found(video, dataset, path)
        raise ValueError(f"{path}: not a video of {store}; predict it first: mtanet predict {path}")
    _refuse_failed(store, name)
    names = sorted({word for _, video in known for word in (video.video_id, *video.tracks)})
    close = get_close_matches(name, names, n=3) or names[:3]
    hint = f"; expected a video, a track or a file, such as {', '.join(close)}" if close else ""
    raise ValueError(f"no video '{name}' in {store}{hint}")


def _named(known: list[tuple[Dataset, Video]], name: str) -> Iterator[Found]:
    for dataset, video in known:
        if video.video_id == name:
            yield Found(video, dataset, _place(dataset, video), name if name in video.tracks else None)
    for dataset, video in known:
        if name in video.tracks:
            yield Found(video, dataset, _place(dataset, video), name)


def _place(dataset: Dataset, video: Video) -> Path:
    root = Path(dataset.root)
    return root if root.is_file() else root / video.path


def _with_file(found: Found) -> Found:
    """The same, if its file is the one that was read."""
    video_id, path = found.video.video_id, found.path
    if path.is_dir():
        raise ValueError(f"video {video_id}: only its crops were read, from {path}; ingest the video to view it")
    if not path.is_file():
        raise ValueError(f"video {video_id}: no file {path}; give the file's new place instead of the name")
    if file_sha256(path) != found.video.sha256:
        raise ValueError(f"video {video_id}: {path} has changed since it was read; ingest or predict it again")
    return found


def _refuse_failed(store: Path, name: str) -> None:
    for dataset in read_catalogues(store):
        for video in dataset.failed:
            if name in (video.video_id, *video.tracks):
                raise ValueError(f"video {video.video_id} could not be read: {video.reason}")

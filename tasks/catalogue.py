"""What a data set is made of now: `store/datasets/<name>.json`, replaced at once by each ingest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.labels import Edition
from data.store.access import hold
from data.store.shards import digest, parquet_files, write_file


@dataclass(frozen=True)
class Video:
    """A video of a data set; `faces` is the digest of its face shard."""

    video_id: str
    path: str
    faces: str
    sha256: str
    tracks: tuple[str, ...]


@dataclass(frozen=True)
class FailedVideo:
    """A video that is not in the data set, with its annotated tracks."""

    video_id: str
    path: str
    reason: str
    """Why, and what to do."""
    tracks: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """Videos with their face shards and, unless they are unlabelled, the digest of the labels shard."""

    name: str
    root: str
    videos: tuple[Video, ...]
    edition: Edition | None = None
    labels: str | None = None
    failed: tuple[FailedVideo, ...] = ()

    @property
    def digest(self) -> str:
        """Names the faces and labels, whatever the data set is called and wherever it lies."""
        return digest("dataset", sorted(video.faces for video in self.videos), self.labels)

    def is_synthetic(self, store: Path) -> bool:
        """Whether it is a sample that was made in this store: no real person's face."""
        return Path(self.root).resolve().parent == (store / "sample").resolve()

    def faces_folders(self, store: Path) -> list[Path]:
        return [store / "faces" / video.faces for video in self.videos]

    def faces_files(self, store: Path) -> list[Path]:
        """One file a track."""
        return [file for folder in self.faces_folders(store) for file in parquet_files(folder)]

    def labels_file(self, store: Path) -> Path:
        """The labels of all tracks.

        Raises:
            ValueError: The data set has none.
        """
        if self.labels is None:
            raise ValueError(f"the data set {self.name} has no labels; ingest it with its annotations")
        return store / "labels" / self.labels / "labels.parquet"


def catalogue_path(store: Path, name: str) -> Path:
    return store / "datasets" / f"{name}.json"


def write_catalogue(dataset: Dataset, store: Path) -> None:
    """Makes this what the data set is from now on."""
    path = catalogue_path(store, dataset.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "root": dataset.root,
        "edition": dataset.edition,
        "labels": dataset.labels,
        "videos": _by_id(dataset.videos),
        "failed": _by_id(dataset.failed),
    }
    content = json.dumps(facts, indent=2, sort_keys=True) + "\n"
    with hold(store, "datasets", what="what data sets are made of"):
        if not path.is_file() or path.read_text() != content:
            write_file(path, content)


def read_catalogue(store: Path, name: str) -> Dataset:
    """A data set by its name.

    Raises:
        ValueError: There is none of that name.
    """
    path = catalogue_path(store, name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none yet"
        raise ValueError(f"no data set '{name}' in {store}: expected one of {known}; `mtanet ingest` makes one")
    facts = json.loads(path.read_text())
    return Dataset(
        name=name,
        root=facts["root"],
        videos=tuple(Video(**entry) for entry in _entries(facts["videos"])),
        edition=Edition(facts["edition"]) if facts["edition"] else None,
        labels=facts["labels"],
        failed=tuple(FailedVideo(**entry) for entry in _entries(facts.get("failed", {}))),
    )


def _by_id(videos: Sequence[Video | FailedVideo]) -> dict[str, dict[str, Any]]:
    return {video.video_id: {k: v for k, v in asdict(video).items() if k != "video_id"} for video in videos}


def _entries(of: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**entry, "video_id": video_id, "tracks": tuple(entry["tracks"])} for video_id, entry in sorted(of.items())]

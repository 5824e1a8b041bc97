"""What a data set consists of: `store/datasets/<name>.json`, which each ingest replaces."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.labels import Edition
from data.store.access import hold, place_in
from data.store.damage import names_damage, read_json
from data.store.shards import digest, parquet_files, write_file

SAMPLES = "sample"
"""The folder of the rendered samples, in the store."""


@dataclass(frozen=True)
class Video:
    """A video of a data set; `faces` is the digest of its face shard."""

    video_id: str
    path: str
    faces: str
    sha256: str
    tracks: tuple[str, ...]
    copies: tuple[str, ...] = ()
    """Other places with the same video, which were not read again."""
    subjects: tuple[str | None, ...] = ()
    """The person of each track, by the name of the first track that shows them; None where nobody was recognised."""


@dataclass(frozen=True)
class FailedVideo:
    """A video that could not be read, with its annotated tracks."""

    video_id: str
    path: str
    reason: str
    """What is wrong with it, and what to do."""
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
        """Names the faces and labels, independent of the data set's name and folder."""
        return digest("dataset", sorted(video.faces for video in self.videos), self.labels)

    @property
    def subjects(self) -> dict[str, list[str]]:
        """The people who were recognised in each video; empty if none was in any."""
        known = {video.video_id: [name for name in video.subjects if name] for video in self.videos}
        return known if any(known.values()) else {}

    @property
    def video_ids(self) -> list[str]:
        """Of all videos, failed ones included."""
        return [*(video.video_id for video in self.videos), *(video.video_id for video in self.failed)]

    def is_synthetic(self, store: Path) -> bool:
        """Whether it is a sample, with no real person's face."""
        return is_sample(Path(self.root), store)

    def faces_folders(self, store: Path) -> list[Path]:
        return [store / "faces" / video.faces for video in self.videos]

    def faces_files(self, store: Path) -> list[Path]:
        """One file per track."""
        return [file for folder in self.faces_folders(store) for file in parquet_files(folder)]

    def labels_folder(self, store: Path) -> Path | None:
        return store / "labels" / self.labels if self.labels else None

    def labels_file(self, store: Path) -> Path:
        """The labels of all tracks.

        Raises:
            ValueError: The data set has none.
        """
        folder = self.labels_folder(store)
        if folder is None:
            raise ValueError(f"the data set {self.name} has no labels; ingest it together with its annotations")
        return folder / "labels.parquet"


def catalogue_path(store: Path, name: str) -> Path:
    return store / "datasets" / f"{name}.json"


def check_name(name: str) -> str:
    """The name of a data set, as it is.

    Raises:
        ValueError: It cannot be the name of a file.
    """
    if not re.fullmatch(r"\w[\w .+-]*", name):
        raise ValueError(
            f"'{name}' cannot name a data set: expected letters, digits, spaces, '.', '_', '+' and '-', "
            "and a letter or digit first"
        )
    return name


def choose_name(
    name: str | None, root: Path, store: Path, video_ids: Collection[str] = (), *, is_part: bool = False
) -> str:
    """The name of the data set of a file or folder: the given one, or its own without the ending.

    No folder replaces the data set of another folder, but a new sample may replace the old one.

    Args:
        name: The given name, if any.
        root: The file or folder.
        store: The folder of all outputs.
        video_ids: The videos of the data set.
        is_part: Whether only these videos of the folder were given. They replace no others.

    Raises:
        ValueError: The store has a data set of that name with other videos, or another one with one of the videos.
    """
    whole = Path(os.path.abspath(root))  # noqa: PTH100  (a link keeps its own name)
    name = check_name(name or (whole.stem if whole.is_file() else whole.name))
    if catalogue_path(store, name).is_file():
        _refuse_others(read_catalogue(store, name), root, store, video_ids, is_part=is_part)
    refuse_shared_videos([dataset for dataset in read_catalogues(store) if dataset.name != name], name, video_ids)
    return name


def _refuse_others(known: Dataset, root: Path, store: Path, video_ids: Collection[str], *, is_part: bool) -> None:
    other, name, new = Path(known.root), known.name, shlex.quote(f"{known.name}-2")
    if other.resolve() != root.resolve() and not (is_sample(other, store) and is_sample(root, store)):
        moved = f"If the file or folder has moved, delete {catalogue_path(store, name)} first"
        shared = sorted(set(known.video_ids) & set(video_ids))
        if shared:
            raise ValueError(
                f"video {shared[0]} of {root} has the name of a video in the data set {name}, which was made from "
                f"{other}, so SQL could not tell their frames apart; rename the file. {moved}"
            )
        raise ValueError(
            f"'{name}' is already the name of {other}; name the data set of {root} with --name, such as "
            f"--name {new} (train: --set ingest.name={new}). {moved}"
        )
    if is_part and not set(known.video_ids) <= set(video_ids):
        raise ValueError(
            f"the data set {name} already has other videos of {root}, which these would replace; name the data set of "
            f"these with --name, such as --name {new}, or give the folder {root}"
        )


def refuse_shared_videos(datasets: Iterable[Dataset], name: str, video_ids: Collection[str]) -> None:
    """Refuses a data set with a video whose name is in another one.

    Raises:
        ValueError: There is one.
    """
    for dataset in datasets:
        for video_id in sorted(set(dataset.video_ids) & set(video_ids)):
            raise ValueError(
                f"video {video_id} is in the data sets {dataset.name} and {name}, so SQL could not tell its frames "
                "apart; rename it, or remove the other data set: delete its file in the store's folder `datasets`"
            )


def write_catalogue(dataset: Dataset, store: Path) -> None:
    """Writes the data set's file, and replaces an earlier one."""
    path = catalogue_path(store, dataset.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "root": place_in(store, Path(dataset.root)),
        "edition": dataset.edition,
        "labels": dataset.labels,
        "videos": _by_id(dataset.videos),
        "failed": _by_id(dataset.failed),
    }
    content = json.dumps(facts, indent=2, sort_keys=True) + "\n"
    with hold(store, "datasets", what="the data sets"):
        if not path.is_file() or path.read_text() != content:
            write_file(path, content)


def read_catalogue(store: Path, name: str) -> Dataset:
    """A data set by its name.

    Raises:
        ValueError: No data set has that name.
    """
    path = catalogue_path(store, name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none yet"
        raise ValueError(f"no data set '{name}' in {store}: expected one of {known}; create one with `mtanet ingest`")
    remedy = "delete it, and ingest or predict its videos again: nothing else is made anew"
    facts = read_json(path, remedy)
    with names_damage(path, remedy):
        return Dataset(
            name=name,
            root=_root(store, facts["root"]),
            videos=tuple(Video(**entry) for entry in _entries(facts["videos"])),
            edition=Edition(facts["edition"]) if facts["edition"] else None,
            labels=facts["labels"],
            failed=tuple(FailedVideo(**entry) for entry in _entries(facts.get("failed", {}))),
        )


def only_name(store: Path, name: str | None) -> str:
    """The given name, or that of the only data set; a ValueError if there is none, or several."""
    names = sorted(path.stem for path in (store / "datasets").glob("*.json"))
    if name is None and len(names) != 1:
        several = f"several data sets: choose one with --dataset: {', '.join(names)}"
        raise ValueError(several if names else f"no data set in {store} yet; create one with `mtanet ingest`")
    return name or names[0]


def read_catalogues(store: Path) -> list[Dataset]:
    """All data sets in the store, by name."""
    return [read_catalogue(store, path.stem) for path in sorted((store / "datasets").glob("*.json"))]


def _root(store: Path, place: str) -> str:
    """The folder of a data set, which is noted from the store on if it lies inside.

    An earlier version noted it as it was typed, and a sample with the absolute path of the store.
    """
    path = Path(place)
    if path.parent.name == SAMPLES and (store / SAMPLES / path.name).exists():
        return str(store / SAMPLES / path.name)
    is_inside = path.parent == Path(SAMPLES) or (store / path).exists()
    return str(store / path if is_inside else path)


def is_sample(root: Path, store: Path) -> bool:
    """Whether a folder is a sample rendered into this store."""
    return root.resolve().parent == (store / SAMPLES).resolve()


def _by_id(videos: Sequence[Video | FailedVideo]) -> dict[str, dict[str, Any]]:
    return {video.video_id: {k: v for k, v in asdict(video).items() if k != "video_id"} for video in videos}


def _entries(of: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    lists = ("tracks", "copies", "subjects")
    return [
        {"video_id": video_id, **{name: tuple(value) if name in lists else value for name, value in entry.items()}}
        for video_id, entry in sorted(of.items())
    ]

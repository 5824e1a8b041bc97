"""The rows of the table `quality`: computed once for a data set, then read from the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from data.annotations.alignment import read_counts
from data.annotations.findings import Kind
from data.schema import VERSION
from data.store.access import hold
from data.store.catalogue import Dataset
from data.store.shards import digest, is_whole, read_manifest, write_folder, write_manifest
from data.warehouse.quality import dataset_findings

STAGE_VERSION = 2
"""Part of the digest: raised when the same shards give different findings."""

Row = dict[str, Any]
"""`track_id`, `task`, `kind`, `count`, `file` and `note`, as in the table."""


class VideoKind(StrEnum):
    """Kinds counted per video, besides the findings about labels and faces."""

    DOUBTFUL_PERSON = "doubtful_person"
    """The row's `note` gives the reason."""
    DAMAGED_PACKETS = "damaged_packets"
    """In the video `file`; without a track, since all tracks of a video share them."""
    PROMISED_FRAMES_MISSING = "promised_frames_missing"
    """In the video `file`; without a track as well."""
    COPIES = "copies"
    """A further file with the same name and content as a video; `file` is its place."""
    FAILED_VIDEO = "failed_video"
    """The video `file`; the row's `note` gives the reason."""
    ROWS_WITHOUT_VIDEO = "rows_without_video"
    """Label rows of a task for a track whose video `file` failed."""


def quality_folder(store: Path, faces: Iterable[str], labels: str | None) -> Path:
    """Where the findings about these faces and labels, given by their digests, are kept."""
    return store / "quality" / digest("quality", VERSION, STAGE_VERSION, sorted(faces), labels)


def quality_rows(dataset: Dataset, store: Path) -> list[Row]:
    """All findings about a data set and its failed videos; computed the first time."""
    folder = _folder_of(dataset, store)
    with hold(store, f"quality-{folder.name}", what="the quality of a data set"):
        if not is_whole(folder):
            findings = dataset_findings(dataset.faces_files(store), dataset.labels_folder(store))
            rows = [{**finding.as_row(), "note": None} for finding in findings]
            rows += [row for faces in dataset.faces_folders(store) for row in video_rows(read_manifest(faces))]
            with write_folder(folder) as partial:
                write_manifest(partial, {"rows": rows})
    return kept_rows(dataset, store)


def kept_rows(dataset: Dataset, store: Path) -> list[Row]:
    """The same, but only what was computed before."""
    folder = _folder_of(dataset, store)
    rows: list[Row] = read_manifest(folder)["rows"] if is_whole(folder) else []
    return [*rows, *_copies_rows(dataset), *_failed_rows(dataset, store)]


def _folder_of(dataset: Dataset, store: Path) -> Path:
    return quality_folder(store, [video.faces for video in dataset.videos], dataset.labels)


def video_rows(manifest: Mapping[str, Any]) -> Iterator[Row]:
    """The findings in the manifest of a faces folder."""
    tracks = sorted((Path(name).stem for name in manifest["files"]), key=len, reverse=True)
    nothing: Row = {"track_id": None, "task": None, "file": None, "note": None}
    for doubt in manifest.get("doubts", ()):
        track_id = next((name for name in tracks if doubt.startswith(f"{name}: ")), None)
        yield {**nothing, "track_id": track_id, "kind": VideoKind.DOUBTFUL_PERSON.value, "count": 1, "note": doubt}
    num_missing = (manifest.get("promised_frames") or 0) - manifest.get("num_frames", 0)
    of_video = {
        VideoKind.DAMAGED_PACKETS: manifest.get("damaged_packets", 0),
        VideoKind.PROMISED_FRAMES_MISSING: max(num_missing, 0),
    }
    for kind, number in of_video.items():
        if number:
            name = manifest.get("file", manifest["video_id"])
            yield {**nothing, "kind": kind.value, "count": number, "file": name}


def _copies_rows(dataset: Dataset) -> Iterator[Row]:
    for video in dataset.videos:
        for place in video.copies:
            about: Row = {"track_id": None, "task": None, "file": place, "note": f"the same as {video.path}"}
            yield {**about, "kind": VideoKind.COPIES.value, "count": 1}


def _failed_rows(dataset: Dataset, store: Path) -> Iterator[Row]:
    """A row for each failed video, and one for each task that labels its tracks, whose labels now have no frames."""
    labels = dataset.labels_folder(store)
    counts = read_counts(labels) if labels and dataset.failed else {}
    for video in dataset.failed:
        about: Row = {"track_id": None, "task": None, "file": video.path, "note": video.reason}
        yield {**about, "kind": VideoKind.FAILED_VIDEO.value, "count": 1}
        kind = VideoKind.ROWS_WITHOUT_VIDEO.value
        for track_id in video.tracks:
            for task, of in counts.get(track_id, {}).items():
                yield {**about, "track_id": track_id, "task": task, "kind": kind, "count": of[Kind.ROWS]}

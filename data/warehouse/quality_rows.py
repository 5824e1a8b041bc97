"""The rows of the table `quality`: found once for a data set and kept, so that whoever shows them only reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from data.annotations.alignment import read_counts
from data.annotations.findings import Kind
from data.schema import VERSION
from data.store.access import hold
from data.store.shards import digest, is_whole, parquet_files, read_manifest, write_folder, write_manifest
from data.warehouse.quality import dataset_findings

STAGE_VERSION = 2
"""Part of the digest: raised when the same shards give other findings."""

Row = dict[str, Any]
"""`track_id`, `task`, `kind`, `count`, `file` and `note`, as in the table."""


class VideoKind(StrEnum):
    """What is counted beside the findings of labels and faces: it is known of the video."""

    DOUBTFUL_PERSON = "doubtful_person"
    """A sentence of the row's `note`."""
    DAMAGED_PACKETS = "damaged_packets"
    """Of the video `file`; of no track, since all tracks of a video share them."""
    PROMISED_FRAMES_MISSING = "promised_frames_missing"
    """Of the video `file`, as damaged packets are."""
    FAILED_VIDEO = "failed_video"
    """The video `file`; why, says the row's `note`."""
    ROWS_WITHOUT_VIDEO = "rows_without_video"
    """Of a task's labels for a track whose video `file` failed."""


def quality_folder(store: Path, faces: Iterable[str], labels: str | None) -> Path:
    """Where the findings of a data set lie, which is made of the faces and labels of these digests."""
    return store / "quality" / digest("quality", VERSION, STAGE_VERSION, sorted(faces), labels)


def write_quality(store: Path, faces: Sequence[str], labels: str | None) -> list[Row]:
    """The findings of a data set, looked for if they are not kept yet."""
    folder = quality_folder(store, faces, labels)
    with hold(store, f"quality-{folder.name}", what="the quality of a data set"):
        if not is_whole(folder):
            folders = [store / "faces" / name for name in faces]
            files = [file for of_video in folders for file in parquet_files(of_video)]
            findings = dataset_findings(files, store / "labels" / labels if labels else None)
            rows = [{**finding.as_row(), "note": None} for finding in findings]
            rows += [row for of_video in folders for row in video_rows(read_manifest(of_video))]
            with write_folder(folder) as partial:
                write_manifest(partial, {"rows": rows})
    return read_quality(store, faces, labels)


def read_quality(store: Path, faces: Iterable[str], labels: str | None) -> list[Row]:
    """The findings that are kept of a data set; none if nobody has looked for them."""
    folder = quality_folder(store, faces, labels)
    rows: list[Row] = read_manifest(folder)["rows"] if is_whole(folder) else []
    return rows


def video_rows(manifest: Mapping[str, Any]) -> Iterator[Row]:
    """What the manifest of a faces folder says of its video."""
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


def failed_rows(failed: Mapping[str, Mapping[str, Any]], labels: Path | None) -> Iterator[Row]:
    """A row for each video that failed, and one for each task of its tracks that has labels, which have no frames now.

    Args:
        failed: By video, as in the catalogue: `path`, `reason` and `tracks`.
        labels: The labels folder.
    """
    counts = read_counts(labels) if labels and failed else {}
    for video in failed.values():
        about: Row = {"track_id": None, "task": None, "file": video["path"], "note": video["reason"]}
        yield {**about, "kind": VideoKind.FAILED_VIDEO.value, "count": 1}
        kind = VideoKind.ROWS_WITHOUT_VIDEO.value
        for track_id in video["tracks"]:
            for task, of in counts.get(track_id, {}).items():
                yield {**about, "track_id": track_id, "task": task, "kind": kind, "count": of[Kind.ROWS]}

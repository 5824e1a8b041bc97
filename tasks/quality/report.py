"""Gathers the quality report of a data set from the store, and writes its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.annotations.alignment import read_overlap
from data.annotations.counts import count_labels
from data.batches.face_samples import SampleFace, faces_in, sample_faces
from data.extraction.cropped import SOURCE
from data.store.access import hold, place_in
from data.store.catalogue import Dataset, only_name, read_catalogue
from data.store.shards import digest, read_manifest, whole_folders, write_file
from data.warehouse.quality_rows import Row, quality_rows
from data.warehouse.views import publish
from tasks.plots.figures import label_pictures, png
from tasks.quality.page import TEMPLATE, PageFacts, TrackFacts, describe_choice, render
from tasks.quality.queries import Scope

PAGE_VERSION = 1
"""Raised when the same findings give a different page. The template is part of the digest anyway."""
SHOWN_TRACKS = 200
SHOWN_FACES = 8
SHOWN_DOUBTS = 200
MARK_BYTES = 1000
"""The page's digest is within this many bytes from its start."""


def report_path(dataset: Dataset, store: Path) -> Path:
    return store / "reports" / f"{dataset.name}.html"


def write_report(dataset: Dataset, rows: Sequence[Row], store: Path, out: Path | None = None) -> Path:
    """Writes the page of a data set with these findings, by default into the store; an up-to-date page stays."""
    path = out or report_path(dataset, store)
    template = TEMPLATE.read_text()
    failed = [asdict(video) for video in dataset.failed]
    place = place_in(store, Path(dataset.root))
    copies = [video.copies for video in dataset.videos]
    synthetic = synthetic_models(dataset, store)
    about = (dataset.name, place, dataset.edition, dataset.digest, failed, copies, synthetic)
    mark = digest(PAGE_VERSION, template, *about)
    if path.is_file() and mark.encode() in path.read_bytes()[:MARK_BYTES]:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    page = render(gather(dataset, rows, store, synthetic), mark)
    with hold(store, "reports", what="the reports"):
        write_file(path, page)
    return path


def report_on(store: Path, name: str | None, out: Path | None = None) -> Path:
    """Writes the page of a data set in the store, and updates the warehouse for the page's queries.

    Raises:
        ValueError: No data set has that name, or no name is given and there are several.
    """
    dataset = read_catalogue(store, only_name(store, name))
    rows = quality_rows(dataset, store)
    publish(store)
    return write_report(dataset, rows, store, out)


def gather(dataset: Dataset, rows: Sequence[Row], store: Path, synthetic: Sequence[int] = ()) -> PageFacts:
    """The content of the page; the first `SHOWN_TRACKS` tracks have sample faces."""
    labels = dataset.labels_folder(store)
    about = read_manifest(labels) if labels else {}
    manifests = [read_manifest(folder) for folder in dataset.faces_folders(store)]
    choices = {track_id: choice for manifest in manifests for track_id, choice in manifest.get("choices", {}).items()}
    tracks = [
        TrackFacts(
            track_id=file.stem,
            split=_split(about.get("split_of", {}).get(file.stem, {})),
            person=describe_choice(choices.get(file.stem)),
            faces=sample_faces(file, SHOWN_FACES) if index < SHOWN_TRACKS else (),
        )
        for index, file in enumerate(dataset.faces_files(store))
    ]
    tracks += [
        TrackFacts(track_id, _split(about.get("split_of", {}).get(track_id, {})), person="none: its video failed")
        for video in dataset.failed
        for track_id in video.tracks
    ]
    is_crops = any(manifest.get("source") == SOURCE for manifest in manifests)
    return PageFacts(
        scope=Scope(dataset.name, dataset.edition, is_crops),
        root=place_in(store, Path(dataset.root)),
        is_synthetic=dataset.is_synthetic(store),
        num_videos=len(dataset.videos),
        tracks=tracks,
        rows=rows,
        failed=dataset.failed,
        splits=about.get("splits", {}).get("rule", ""),
        evidence=[_evidence(row) for row in about.get("evidence", ())],
        overlaps=read_overlap(labels) if labels else (),
        pictures=_pictures(dataset, store),
        synthetic_models=synthetic,
        doubt_faces=_doubt_faces(manifests, store),
        num_not_shown=max(0, len(tracks) - SHOWN_TRACKS),
    )


def _doubt_faces(manifests: Sequence[Mapping[str, Any]], store: Path) -> dict[str, list[SampleFace]]:
    """The faces to compare, by the text of the doubt; of the first `SHOWN_DOUBTS`."""
    places = [
        (doubt, store / "detections" / manifest["detections"], faces)
        for manifest in manifests
        for doubt, faces in zip(manifest.get("doubts", ()), manifest.get("doubt_faces", ()), strict=False)
        if faces
    ]
    return {doubt: faces_in(found, faces) for doubt, found, faces in places[:SHOWN_DOUBTS]}


def synthetic_models(dataset: Dataset, store: Path) -> list[int]:
    """The versions that were trained on rendered heads only and answered for the real faces of a data set."""
    if dataset.is_synthetic(store):
        return []
    faces = {video.faces for video in dataset.videos}
    manifests = map(read_manifest, whole_folders(store / "predictions"))
    return sorted({of["model_version"] for of in manifests if of.get("trained_on_synthetic") and of["faces"] in faces})


def _pictures(dataset: Dataset, store: Path) -> dict[str, bytes]:
    if dataset.labels is None or dataset.edition is None:
        return {}
    counts = count_labels(dataset.labels_file(store), dataset.edition)
    return {title: png(figure) for title, figure in label_pictures(counts).items()}


def _split(of: Mapping[str, Mapping[str, str]]) -> str:
    """The split of a track; stated once if all its tasks share it."""
    used = {task: splits["used"].replace("_", " ") for task, splits in sorted(of.items())}
    if len(set(used.values())) == 1:
        return f"{next(iter(used.values()))} ({', '.join(used)})"
    return ", ".join(f"{task} {split}" for task, split in used.items())


def _evidence(row: Mapping[str, Any]) -> str:
    fits: Sequence[str] = row["fits"]
    number = "1 file" if row["num_files"] == 1 else f"{row['num_files']} files"
    return f"{row['seen']} ({number}, such as {row['example']}): {', '.join(fits) or 'no edition'}"

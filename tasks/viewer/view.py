"""Gathers everything about a video from the store, and writes the folder with its page."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.schema import Status
from data.store.access import hold
from data.store.shards import digest, is_whole, read_manifest, write_file, write_folder, write_manifest
from data.text import counted
from data.video.playback.browser_copy import write_playable
from data.video.playback.rewriting import write_mp4
from data.video.playback.times import complete_times
from data.viewer.columns import STATUSES, VideoColumns, predicting_versions, read_columns
from data.viewer.doubts import doubts_of
from data.viewer.finding import Found, find_video
from data.warehouse.views import carry_over
from tasks.viewer.burnt_in import drawer
from tasks.viewer.page import Model, ViewFacts, render_data, render_page

KIND = "view"
OLD = ".old"


@dataclass(frozen=True)
class Gathered:
    """A video, its models and its columns."""

    found: Found
    columns: VideoColumns
    model: Model | None
    other: Model | None
    width_px: int
    height_px: int
    is_damaged: bool
    """Whether some frames could not be decoded."""


@dataclass(frozen=True)
class View:
    page: Path
    summary: str


def gather(store: Path, name: str, model: str | None = None, other: str | None = None) -> Gathered:
    """Everything about a video: a name, a track or a file.

    Raises:
        ValueError: It is not in the store, no such model predicted it, or its file is missing or has changed.
    """
    carry_over(store)
    found = find_video(store, name)
    video_id = found.video.video_id
    known = predicting_versions(store, video_id)
    chosen = _model(store, video_id, model, known) if model is not None or known else None
    second = None if other is None else _model(store, video_id, other, known)
    if chosen is not None and chosen == second:
        raise ValueError(f"{chosen} cannot be compared with itself; give two models")
    columns = read_columns(
        store, video_id, None if chosen is None else chosen.version, None if second is None else second.version
    )
    manifest = read_manifest(store / "faces" / found.video.faces)
    is_damaged = any((track.status_F == STATUSES.index(Status.DECODE_ERROR)).any() for track in columns.tracks)
    size_px = manifest["width_px"], manifest["height_px"]
    return Gathered(found, columns, chosen, second, *size_px, is_damaged or bool(manifest.get("damaged_packets")))


def write_view(
    store: Path, name: str, model: str | None = None, other: str | None = None, out: Path | None = None
) -> View:
    """Writes the page of a video into a folder, `views/<video_id>` in the store by default; an earlier one is replaced.

    Raises:
        ValueError: As for `gather`, or the folder holds something else.
        NoRoomError: The disk is full.
    """
    gathered = gather(store, name, model, other)
    video = gathered.found.video
    folder = out or store / "views" / video.video_id
    _refuse_others(folder)
    times_s_F = complete_times(gathered.columns.times_s_F)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with hold(store, f"view-{digest(str(folder.resolve()))}", what=f"the page of {video.video_id}"):
        shutil.rmtree(_new(folder), ignore_errors=True)  # of a run that was killed before it took its place
        with write_folder(_new(folder)) as partial:
            playable = write_playable(gathered.found.path, partial, times_s_F, is_damaged=gathered.is_damaged)
            facts = ViewFacts(
                video_id=video.video_id,
                dataset=gathered.found.dataset.name,
                file=playable.name,
                first_frame_s=playable.first_frame_s,
                width_px=gathered.width_px,
                height_px=gathered.height_px,
                times_s_F=times_s_F,
                tracks=gathered.columns.tracks,
                model=gathered.model,
                other=gathered.other,
                is_synthetic=gathered.found.dataset.is_synthetic(store),
                track_id=gathered.found.track_id,
                subjects=dict(zip(video.tracks, video.subjects, strict=False)),
                doubts=doubts_of(read_manifest(store / "faces" / video.faces)),
            )
            write_file(partial / "data.js", render_data(facts))
            write_file(partial / "index.html", render_page(facts))
            write_manifest(partial, {"kind": KIND, "video_id": video.video_id, "sha256": video.sha256})
        _put_in_place(folder)
    about = [counted(len(times_s_F), "frames"), "1 person" if len(facts.tracks) == 1 else f"{len(facts.tracks)} people"]
    about += [str(of) for of in (gathered.model, gathered.other) if of is not None] or ["not predicted yet"]
    about += [f"a copy of the video, as {playable.reason}"] if playable.reason else []
    return View(folder / "index.html", ", ".join(about))


def write_video(store: Path, name: str, out: Path, model: str | None = None) -> Path:
    """Writes a copy of a video with its people and the model's answers drawn in: the same frames, times and sound.

    Raises:
        ValueError: As for `gather`, or the file to write is the video itself or does not end in .mp4.
        NoRoomError: The disk is full.
    """
    if out.suffix.lower() != ".mp4":
        raise ValueError(f"{out}: expected the name of an .mp4 file")
    if not out.parent.is_dir():
        raise ValueError(f"{out}: no folder {out.parent}; make it, or give another file with --video")
    gathered = gather(store, name, model)
    if out.exists() and out.samefile(gathered.found.path):
        raise ValueError(f"{out}: is the video itself; give another file with --video")
    draw = drawer(gathered.columns.tracks, gathered.width_px)
    write_mp4(gathered.found.path, out, complete_times(gathered.columns.times_s_F), draw)
    return out


def _model(store: Path, video_id: str, model: str | None, known: Mapping[int, str]) -> Model:
    if model is None:
        version = max(known)
    elif model.isdecimal():
        version = int(model)
    else:
        from tasks.tracking.registry import find_version

        version = find_version(store, model).number
    if version not in known:
        versions = ", ".join(map(str, known)) or "none yet"
        raise ValueError(
            f"model version {version} has not predicted video {video_id}; versions that have: {versions}. Run mtanet"
            f" predict with --model {version} first"
        )
    return Model(version, known[version])


def _refuse_others(folder: Path) -> None:
    is_empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_empty and not (folder.is_dir() and is_whole(folder) and read_manifest(folder).get("kind") == KIND):
        raise ValueError(f"{folder}: holds something else than a view; give an empty or a new folder with --out")


def _new(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.new")


def _put_in_place(folder: Path) -> None:
    """Replaces the folder by its new one; the old one is gone only when the new one is there."""
    old = folder.with_name(folder.name + OLD)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    _new(folder).rename(folder)
    shutil.rmtree(old, ignore_errors=True)

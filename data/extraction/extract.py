"""Video -> one file of aligned faces per track, in two passes.

The first pass (`data.extraction.detections`) decodes the video and stores every face in it. The second
(`data.extraction.assembly`) assigns faces to tracks and copies them, one row per frame. Each result is named by a
digest of everything that determines it (the video's content, not its name), so finished work is never redone.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from data import schema
from data.extraction import detections
from data.extraction.assembly import write_tracks
from data.extraction.detections import drop_thumbnails, write_detections
from data.extraction.settings import Casting, Search
from data.faces.embedding import weights_file
from data.machine import Device
from data.store.access import hold
from data.store.hashes import add_notes, check_unchanged, file_hash, known_hashes, look_at, read_notes
from data.store.shards import PARTIAL, digest, is_whole
from data.tracks.assignment import check_names
from data.video.frames import DaliError, Decoder, NotForDaliError, VideoFacts, choose_decoder, probe

VERSION = 3
"""Part of the digest: raised when the same detections give different tracks than before."""
KNOWN_VIDEOS = "videos.json"
"""File in the store with the facts of each video by its content, so that a rerun need not open the video."""

log = logging.getLogger("mtanet.extraction")


def extract_video(
    video: Path,
    store: Path,
    search: Search,
    casting: Casting,
    *,
    device: Device,
    decoder: Literal["auto", "pyav", "dali"],
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """The folder with a file of faces for each track of a video. Made only if it is missing; a killed run is resumed.

    Args:
        video: Its stem is the `video_id`.
        store: The folder of all outputs.
        search: How to find faces.
        casting: How to assign them to tracks.
        device: Where faces are detected and cropped.
        decoder: `auto` takes DALI if a GPU decodes the codec; `dali` takes DALI on a CPU too. PyAV decodes the videos
            whose frames DALI might number differently; the manifest names the decoder and the reason.
        threads: Number of threads that search frames of this video on a CPU.
        progress: Called with the number of frames done since the last call.

    Raises:
        ValueError: The video cannot be read, or changes while it is read; the track names are ambiguous; or a hint
            does not fit.
        NoRoomError: The disk is full; finished parts stay.
    """
    if casting.track_ids is not None:
        check_names(casting.track_ids)
    extraction = _Extraction(video, store, search, casting, device, threads, progress or (lambda _: None))
    with _unchanged(video) as check:
        known = know_video(video, store)
        try:
            return extraction.run(known, choose_decoder(known.facts, device=device, decoder=decoder), check)
        except DaliError as error:
            check()
            facts = replace(known.facts, not_for_dali=str(error).removeprefix(f"{video}: "))
            if isinstance(error, NotForDaliError):
                add_notes(store, KNOWN_VIDEOS, {_note(known.sha256): asdict(facts)})  # a rerun takes PyAV right away
            else:
                log.warning("%s: %s; PyAV decodes it in this run", video.name, facts.not_for_dali)
            known = replace(known, facts=facts)
            return extraction.run(known, choose_decoder(facts, device=device, decoder=decoder), check)


def extracted_videos(
    videos: Mapping[Path, Casting],
    store: Path,
    search: Search,
    *,
    device: Device,
    decoder: Literal["auto", "pyav", "dali"],
) -> dict[Path, Path]:
    """The folders that `extract_video` would return at once, by video. No video is opened; the others are left out."""
    hashes, notes = known_hashes(videos, store), read_notes(store, KNOWN_VIDEOS)
    done = {}
    for video, sha256 in hashes.items():
        entry = notes.get(_note(sha256))
        if entry is None:
            continue
        with suppress(ValueError):  # told when it is extracted
            chosen, _ = choose_decoder(VideoFacts(**entry), device=device, decoder=decoder)
            detections_id = detections_digest(sha256, search, decoder=chosen, device=device)
            folder = store / "faces" / faces_digest(detections_id, video.stem, videos[video])
            if is_whole(folder):
                done[video] = folder
    return done


@dataclass(frozen=True)
class _Extraction:
    """The inputs of an extraction, which are the same for each decoder tried."""

    video: Path
    store: Path
    search: Search
    casting: Casting
    device: Device
    threads: int
    progress: Callable[[int], None]

    def run(self, known: KnownVideo, chosen: tuple[Decoder, str], check: Callable[[], None]) -> Path:
        decoder, reason = chosen
        detections_id = detections_digest(known.sha256, self.search, decoder=decoder, device=self.device)
        folder = self.store / "faces" / faces_digest(detections_id, self.video.stem, self.casting)
        if is_whole(folder):
            return folder
        # Of two runs, or two files of the same content, the second one waits and uses the detections of the first.
        with hold(self.store, f"detections-{detections_id}", what=self.video.name):
            found = self.store / "detections" / detections_id
            if not is_whole(found):
                about = {"decoder": decoder, "decoder_reason": reason, "device": self.device}
                self.detect(found, {**known.facts_for_manifest, **self.search.model_dump(), **about}, check)
            drop_thumbnails(found)
            if not is_whole(folder):
                write_tracks(self.video, found, folder, self.casting, device=self.device, check=check)
        return folder

    def detect(self, found: Path, facts: dict[str, Any], check: Callable[[], None]) -> None:
        if self.search.identity:
            weights_file()  # needed only at the end, and missed better now
        try:
            write_detections(
                self.video,
                found,
                self.search,
                device=self.device,
                decoder=facts["decoder"],
                facts=facts,
                threads=self.threads,
                progress=self.progress,
                check=check,
            )
        except NotForDaliError:
            shutil.rmtree(found.with_name(found.name + PARTIAL))  # nothing will resume it
            raise


def detections_digest(sha256: str, search: Search, *, decoder: Decoder, device: Device) -> str:
    """Names the detections of a video with this content. The device counts: its operators round differently."""
    return digest("detections", schema.VERSION, detections.VERSION, sha256, decoder, device, search.key)


def faces_digest(detections_id: str, video_id: str, casting: Casting) -> str:
    """Names the faces of a video's tracks."""
    return digest("faces", VERSION, detections_id, video_id, casting.key)


@contextmanager
def _unchanged(video: Path) -> Iterator[Callable[[], None]]:
    """Gives a function that raises if the file has changed since the block began.

    It is also called when the block fails: a file that changes while it is read can cause any error, and then the
    change is what to report.
    """
    before = look_at(video)
    try:
        yield lambda: check_unchanged(video, before)
    except (OSError, ValueError):
        check_unchanged(video, before)
        raise


@dataclass(frozen=True)
class KnownVideo:
    """A video file's size and hash, and its facts from `probe`."""

    bytes: int
    sha256: str
    facts: VideoFacts

    @property
    def facts_for_manifest(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "bytes": self.bytes, **asdict(self.facts)}


def video_facts(video: Path, store: Path) -> VideoFacts:
    """The facts of a video that are known before its extraction.

    Raises:
        ValueError: The video cannot be read, or changes while it is read.
    """
    with _unchanged(video):
        return know_video(video, store).facts


def know_video(video: Path, store: Path) -> KnownVideo:
    """Hash and facts of a video file; the file is opened only if it is not known yet.

    Raises:
        ValueError: The video cannot be read.
    """
    sha256, num_bytes = file_hash(video, store), video.stat().st_size
    entry = read_notes(store, KNOWN_VIDEOS).get(_note(sha256))
    if entry is not None:
        return KnownVideo(num_bytes, sha256, VideoFacts(**entry))
    facts = probe(video)
    add_notes(store, KNOWN_VIDEOS, {_note(sha256): asdict(facts)})
    return KnownVideo(num_bytes, sha256, facts)


def _note(sha256: str) -> str:
    """The key of a video's facts, with the version of the decoding, which may change them."""
    return digest(sha256, detections.VERSION, [field.name for field in fields(VideoFacts)])

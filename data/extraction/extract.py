"""Video -> one file of aligned faces per track, in two passes.

The first (`data.extraction.detections`) decodes the video once and stores every face in it. The second
(`data.extraction.assembly`) assigns faces to tracks and copies them, a row for every frame. Each result is named by a
digest of all that determines it, the video's content included and its name not, so finished work is never redone.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from data import schema
from data.extraction import detections
from data.extraction.assembly import Casting, write_tracks
from data.extraction.detections import write_detections
from data.extraction.search import Search
from data.machine import Device
from data.store.access import hold
from data.store.hashes import add_notes, check_unchanged, file_hash, look_at, read_notes
from data.store.shards import PARTIAL, digest, is_whole
from data.tracks.assignment import check_names
from data.tracks.hints import Hint
from data.video.frames import DaliError, Decoder, NotForDaliError, VideoFacts, choose_decoder, probe

VERSION = 3
"""Part of the digest: raised when the same detections give other tracks than before."""
KNOWN_VIDEOS = "videos.json"
"""In the store: the facts of each video by its content, so that a rerun need not open it."""

log = logging.getLogger("mtanet.extraction")


def extract_video(
    video: Path,
    store: Path,
    *,
    track_ids: Sequence[str] | None,
    device: Device,
    decoder: Literal["auto", "pyav", "dali"],
    min_score: float,
    detection_size: int,
    jpeg_quality: int,
    threads: int,
    detect_every: int = 1,
    adaptive_size: bool = True,
    hints: Mapping[str, Hint] | None = None,
    fill_gaps_s: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """The folder with a file of faces per track of the video; made only if it is not there, and then from where it was.

    Args:
        video: Its stem is the `video_id`.
        store: The folder of all that is made.
        track_ids: The annotated tracks of this video, or None: then a track per person found.
        device: Where frames are searched and faces cut.
        decoder: `auto` takes DALI on a GPU that decodes the codec, `dali` on a CPU too; PyAV decodes what DALI might
            number otherwise, and the manifest says which of them did and why.
        min_score: A face is a detection with at least this score.
        detection_size: Longer side, in px, of the frames that the detector sees, at most.
        jpeg_quality: Of the crops.
        threads: In which frames of this video are searched at once on a CPU.
        detect_every: Every k-th frame is searched; those between get interpolated faces where it can be known, with
            crops of their own pixels.
        adaptive_size: Whether frames of large faces only are seen at a smaller size, between full looks.
        hints: Who is whose, by track; of other videos' tracks too.
        fill_gaps_s: Between two faces of a person so many seconds apart or less, the frames without a face get one
            where it must be, marked `interpolated`, from their own pixels. 0 fills none.
        progress: Called with the number of frames done since the last call.

    Raises:
        ValueError: The file is not a video that can be read, or changes while it is; or the track names do not say
            who is who, or a hint does not fit.
        NoRoomError: The disk is full; the parts that are done stay.
    """
    if track_ids is not None:
        check_names(track_ids)
    own_hints = {track_id: hint for track_id, hint in (hints or {}).items() if track_id in (track_ids or ())}
    job = partial(
        _extract,
        video,
        store,
        search=Search(
            min_score=min_score,
            detection_size=detection_size,
            jpeg_quality=jpeg_quality,
            detect_every=detect_every,
            adaptive_size=adaptive_size,
        ),
        casting=Casting(track_ids=track_ids, hints=own_hints, fill_gaps_s=fill_gaps_s),
        device=device,
        decoder=decoder,
        threads=threads,
        progress=progress or (lambda _: None),
    )
    with _still(video) as check:
        known = know_video(video, store)
        try:
            return job(known, check=check)
        except DaliError as error:
            check()
            facts = replace(known.facts, not_for_dali=str(error).removeprefix(f"{video}: "))
            if isinstance(error, NotForDaliError):
                # noted, so that a rerun goes to what PyAV decoded at once
                add_notes(store, KNOWN_VIDEOS, {_note(known.sha256): asdict(facts)})
            else:
                log.warning("%s: %s; PyAV decodes it in this run", video.name, facts.not_for_dali)
            return job(replace(known, facts=facts), check=check)


def _extract(
    video: Path,
    store: Path,
    known: KnownVideo,
    *,
    search: Search,
    casting: Casting,
    device: Device,
    decoder: Literal["auto", "pyav", "dali"],
    threads: int,
    progress: Callable[[int], None],
    check: Callable[[], None],
) -> Path:
    decoder_name, decoder_reason = choose_decoder(known.facts, device=device, decoder=decoder)
    detections_id = detections_digest(known.sha256, search, decoder=decoder_name, device=device)
    folder = store / "faces" / faces_digest(detections_id, video.stem, casting)
    if is_whole(folder):
        return folder
    # Two runs at once, or two files of the same content: who comes second uses what the first one found.
    with hold(store, f"detections-{detections_id}", what=video.name):
        found = store / "detections" / detections_id
        if not is_whole(found):
            about = {"decoder": decoder_name, "decoder_reason": decoder_reason, "device": device}
            try:
                write_detections(
                    video,
                    found,
                    search,
                    device=device,
                    decoder=decoder_name,
                    facts={**known.facts_for_manifest, **asdict(search), **about},
                    threads=threads,
                    progress=progress,
                    check=check,
                )
            except NotForDaliError:
                shutil.rmtree(found.with_name(found.name + PARTIAL))  # nobody goes on with it
                raise
        if not is_whole(folder):
            write_tracks(video, found, folder, casting, device=device, check=check)
    return folder


def detections_digest(sha256: str, search: Search, *, decoder: Decoder, device: Device) -> str:
    """Names what is found in a video of this content; another device cuts and detects by other operators."""
    return digest("detections", schema.VERSION, detections.VERSION, sha256, decoder, device, asdict(search))


def faces_digest(detections_id: str, video_id: str, casting: Casting) -> str:
    """Names the faces of a video's tracks."""
    return digest("faces", VERSION, detections_id, video_id, casting.key)


@contextmanager
def _still(video: Path) -> Iterator[Callable[[], None]]:
    """Gives a check that the file is what it was when the block began.

    It is made when the block ends with an error, too: a file that changes under its reader can end the reading in any
    way, and then the change is what there is to say.
    """
    before = look_at(video)
    try:
        yield lambda: check_unchanged(video, before)
    except (OSError, ValueError):
        check_unchanged(video, before)
        raise


@dataclass(frozen=True)
class KnownVideo:
    """A video file's content and what `probe` says of it."""

    bytes: int
    sha256: str
    facts: VideoFacts

    @property
    def facts_for_manifest(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "bytes": self.bytes, **asdict(self.facts)}


def video_facts(video: Path, store: Path) -> VideoFacts:
    """What is known of a video before it is extracted.

    Raises:
        ValueError: The file is not a video that can be read, or changes while it is.
    """
    with _still(video):
        return know_video(video, store).facts


def know_video(video: Path, store: Path) -> KnownVideo:
    """Hash and facts of a video file, read from it only if it looks new.

    Raises:
        ValueError: The file is not a video that can be read.
    """
    sha256, num_bytes = file_hash(video, store), video.stat().st_size
    entry = read_notes(store, KNOWN_VIDEOS).get(_note(sha256))
    if entry is not None:
        return KnownVideo(num_bytes, sha256, VideoFacts(**entry))
    facts = probe(video)
    add_notes(store, KNOWN_VIDEOS, {_note(sha256): asdict(facts)})
    return KnownVideo(num_bytes, sha256, facts)


def _note(sha256: str) -> str:
    """The name of what is noted of a video: another version of the decoding may know it otherwise."""
    return digest(sha256, detections.VERSION, [field.name for field in fields(VideoFacts)])

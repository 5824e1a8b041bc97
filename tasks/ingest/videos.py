"""Videos to face shards: a task a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from data.extraction import cropped
from data.extraction import extract as extraction
from data.extraction.detections import memory_bytes
from data.machine import Device, free_memory_bytes, num_cores
from data.store.access import NoRoomError, StoreError, check_store
from data.store.shards import read_manifest
from data.tracks.hints import Hint, read_hints
from data.video import frames
from tasks.config import DECODE_LIMIT, IngestConfig, MachineConfig
from tasks.ingest.concurrency import Places, videos_at_once
from tasks.ingest.failures import reason_of, told
from tasks.progress import log, stage

_DOUBTS_SHOWN = 20


@dataclass(frozen=True)
class Extracted:
    """The faces folder of each video, by id, and why there is none of the others."""

    folders: Mapping[str, Path]
    reasons: Mapping[str, str]


def extract_videos(
    videos: Mapping[str, Path],
    tracks: Mapping[str, Sequence[str]] | None,
    ingest: IngestConfig,
    machine: MachineConfig,
) -> Extracted:
    """The faces of each video, `machine.workers` videos at a time, or fewer where memory or a GPU's decoders are few.

    A video that fails does not keep the others from being done.

    Args:
        videos: Their files, by id.
        tracks: The annotated tracks of each; where there is none, tracks are the people found.
        ingest: How to look.
        machine: Where.

    Raises:
        ValueError: All videos failed. Or the track hints are not hints, or of other tracks.
        NoRoomError: The disk is full; the videos that were not begun yet are left out.
        StoreError: The store cannot be written to any more; as above.
    """
    known_tracks = [track_id for of_video in (tracks or {}).values() for track_id in of_video]
    device = frames.resolve_device(machine.device)
    common = {
        "ingest": ingest,
        "machine": machine,
        "device": device,
        "places": Places(free_bytes=free_memory_bytes(), cores=num_cores()),
        "limited": _decode_limit_exists(),
        "hints": read_hints(ingest.track_hints, known_tracks) if ingest.track_hints else {},
        "is_over": Event(),
    }
    with stage("faces", len(videos), "videos", counts_frames=True) as shown:
        runner: ThreadPoolTaskRunner[Path] = ThreadPoolTaskRunner(
            max_workers=videos_at_once(machine.workers, len(videos), device, ingest.decoder)
        )
        with runner:
            futures = {
                video_id: runner.submit(
                    extract_video,
                    {
                        **common,
                        "path": path,
                        "track_ids": tuple((tracks or {}).get(video_id, ())) or None,
                        "count": shown.count,
                        "done": shown.advance,
                    },
                )
                for video_id, path in videos.items()
            }
            for future in futures.values():
                future.wait()  # a state that was not waited for is that of some time ago
        results = {video_id: future.state.result(raise_on_failure=False) for video_id, future in futures.items()}
    extracted = _sorted_out(videos, results)
    _tell_doubts(extracted.folders)
    return extracted


def _sorted_out(videos: Mapping[str, Path], results: Mapping[str, object]) -> Extracted:
    """What became of each video: its folder, or the error that it ended with."""
    folders = {video_id: result for video_id, result in results.items() if isinstance(result, Path)}
    errors = {video_id: result for video_id, result in results.items() if video_id not in folders}
    for error in errors.values():
        if isinstance(error, NoRoomError | StoreError):
            raise error  # of all that failed, it is what there is something to do about, and no video's fault
    reasons = {video_id: reason_of(videos[video_id], error) for video_id, error in errors.items()}
    by_path = {str(videos[video_id]): reason for video_id, reason in reasons.items()}
    if reasons and not folders:
        raise ValueError(f"{told(by_path, 0)} None is left to go on with; mend what failed and run the same once more")
    if reasons:
        log.warning("%s The others go on", told(by_path, len(folders)))
    return Extracted(folders, reasons)


def _tell_doubts(folders: Mapping[str, Path]) -> None:
    """What a user should look at; the manifests have all of it."""
    doubts = [doubt for folder in folders.values() for doubt in read_manifest(folder).get("doubts", ())]
    for doubt in doubts[:_DOUBTS_SHOWN]:
        log.warning("doubtful: %s", doubt)
    if len(doubts) > _DOUBTS_SHOWN:
        log.warning("doubtful: %d more, in the manifests under faces", len(doubts) - _DOUBTS_SHOWN)


def _is_worth_a_retry(_task: Any, _task_run: Any, state: Any) -> bool:
    """A disk or a network may recover; a bad video does not, and a full disk or a lacking permission not by itself."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, OSError) and not isinstance(error, PermissionError)


@task(
    task_run_name="extract-{path.stem}",
    retries=2,
    retry_delay_seconds=exponential_backoff(5),
    retry_jitter_factor=0.3,
    retry_condition_fn=_is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def extract_video(
    *,
    path: Path,
    track_ids: Sequence[str] | None,
    ingest: IngestConfig,
    machine: MachineConfig,
    device: Device,
    places: Places,
    limited: bool,
    hints: Mapping[str, Hint],
    is_over: Event,
    count: Callable[[int], None],
    done: Callable[[], None],
) -> Path:
    """The faces folder of a video, made if it is not there; of a set of crops `path` is a folder of them."""
    with _unless_over(is_over, path, machine.store), places.begun():
        if path.is_dir():
            folder = cropped.take_crops(path, machine.store, track_ids=track_ids or [path.name], progress=count)
        else:
            facts = extraction.video_facts(path, machine.store)
            num_bytes = memory_bytes(facts.width_px, facts.height_px, at_least=ingest.detect_every)
            with (
                places.place(path.name, num_bytes) as threads,
                concurrency(DECODE_LIMIT, occupy=1) if limited else nullcontext(),
            ):
                folder = extraction.extract_video(
                    path,
                    machine.store,
                    track_ids=track_ids,
                    device=device,
                    decoder=ingest.decoder,
                    min_score=ingest.min_score,
                    detection_size=ingest.detection_size,
                    detect_every=ingest.detect_every,
                    adaptive_size=ingest.adaptive_size,
                    jpeg_quality=ingest.jpeg_quality,
                    threads=threads,
                    hints=hints,
                    fill_gaps_s=ingest.fill_gaps_s,
                    progress=count,
                )
    done()
    return folder


@contextmanager
def _unless_over(is_over: Event, path: Path, store: Path) -> Iterator[None]:
    """Whoever cannot write to the store any more keeps the others from hours of work that would end the same way."""
    if is_over.is_set():
        raise NoRoomError(f"{path}: not begun, since there is no place in the store {store} for what is made of it")
    try:
        try:
            yield
        except OSError:
            check_store(store)  # or else it is the video's
            raise
    except (NoRoomError, StoreError):
        is_over.set()
        raise


def _decode_limit_exists() -> bool:
    """Taking a place at a limit that is not there costs two seconds a video, and a warning."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(DECODE_LIMIT)
        except ObjectNotFound:
            return False
    return True

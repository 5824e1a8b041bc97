"""Videos to face shards, one task per video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
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
from data.extraction.detections import memory_bytes
from data.extraction.extract import extract_video, extracted_videos, video_facts
from data.extraction.settings import Casting, Search
from data.machine import Device, free_memory_bytes, num_cores
from data.store.access import NoRoomError, StoreError, check_store
from data.store.shards import read_manifest
from data.tracks.hints import Hint, HintError, read_hints
from data.video.frames import resolve_device
from tasks.config import DECODE_LIMIT, IngestConfig, MachineConfig
from tasks.ingest.concurrency import Places, videos_at_once
from tasks.ingest.failures import failures, reason_of
from tasks.ingest.processes import LONG_FRAMES, PROCESS_BYTES, Processes
from tasks.progress import Stage, log, stage

_DOUBTS_SHOWN = 20


@dataclass(frozen=True)
class Extracted:
    """The faces folder of each video by `video_id`, and for failed videos the reason."""

    folders: Mapping[str, Path]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class _Job:
    """The inputs that all videos of a run share."""

    ingest: IngestConfig
    store: Path
    device: Device
    places: Places
    hints: Mapping[str, Hint]
    has_decode_limit: bool
    is_over: Event
    """Set when nothing can be written to the store any more."""
    shown: Stage
    processes: Processes | None
    """For long videos, on a GPU."""


def extract_videos(
    videos: Mapping[str, Path],
    tracks: Mapping[str, Sequence[str]] | None,
    ingest: IngestConfig,
    machine: MachineConfig,
) -> Extracted:
    """The faces of each video, `machine.workers` videos in parallel, or fewer if memory or a GPU's decoders run short.

    A video that fails does not stop the others.

    Args:
        videos: Files by `video_id`.
        tracks: The annotated tracks of each video; None: one track for each person found.
        ingest: How faces are found and assigned to tracks.
        machine: Store, device and workers.

    Raises:
        ValueError: All videos failed, or the track hints are invalid, name unknown tracks or do not fit.
        NoRoomError: The disk is full; videos not yet started are skipped.
        StoreError: The store cannot be written to; videos not yet started are skipped.
    """
    known_tracks = [track_id for of_video in (tracks or {}).values() for track_id in of_video]
    hints = read_hints(ingest.track_hints, known_tracks) if ingest.track_hints else {}
    device = resolve_device(machine.device)
    with stage("faces", len(videos), "videos", counts_frames=True) as shown, ExitStack() as started:
        results: dict[str, object] = {}
        results.update(_already_done(videos, tracks, hints, ingest, machine.store, device))
        shown.skip(len(results))
        left = {video_id: path for video_id, path in videos.items() if video_id not in results}
        job = _Job(
            ingest=ingest,
            store=machine.store,
            device=device,
            places=Places(free_bytes=free_memory_bytes(), cores=num_cores()),
            hints=hints,
            has_decode_limit=bool(left) and _decode_limit_exists(),
            is_over=Event(),
            shown=shown,
            processes=started.enter_context(Processes()) if device == "gpu" else None,
        )
        runner: ThreadPoolTaskRunner[Path] = ThreadPoolTaskRunner(
            max_workers=videos_at_once(machine.workers, len(left), device, ingest.decoder)
        )
        with runner:
            futures = {
                video_id: runner.submit(
                    extract_faces,
                    {"path": path, "track_ids": _tracks_of(video_id, tracks), "job": job},
                )
                for video_id, path in left.items()
            }
            for future in futures.values():
                future.wait()  # the state of a future is only current after a wait
        for video_id, future in futures.items():
            results[video_id] = future.state.result(raise_on_failure=False)
    extracted = _sorted_out(videos, results)
    _warn_of_doubts(extracted.folders)
    return extracted


def _already_done(
    videos: Mapping[str, Path],
    tracks: Mapping[str, Sequence[str]] | None,
    hints: Mapping[str, Hint],
    ingest: IngestConfig,
    store: Path,
    device: Device,
) -> dict[str, Path]:
    """The faces folders of the videos that need no task, no place and no open file, because nothing is new."""
    castings = {
        path: Casting(track_ids=_tracks_of(video_id, tracks), hints=hints, fill_gaps_s=ingest.fill_gaps_s)
        for video_id, path in videos.items()
    }
    files = {path: casting for path, casting in castings.items() if not path.is_dir()}
    done = extracted_videos(files, store, ingest.part(Search), device=device, decoder=ingest.decoder)
    for path in castings.keys() - files:
        crops = cropped.taken_crops(path, store, track_ids=castings[path].track_ids or [path.name])
        if crops is not None:
            done[path] = crops
    return {video_id: done[path] for video_id, path in videos.items() if path in done}


def _tracks_of(video_id: str, tracks: Mapping[str, Sequence[str]] | None) -> tuple[str, ...] | None:
    return tuple((tracks or {}).get(video_id, ())) or None


def _sorted_out(videos: Mapping[str, Path], results: Mapping[str, object]) -> Extracted:
    """Splits the results into folders and errors."""
    folders = {video_id: result for video_id, result in results.items() if isinstance(result, Path)}
    errors = {video_id: result for video_id, result in results.items() if video_id not in folders}
    for error in errors.values():
        if isinstance(error, NoRoomError | StoreError):
            raise error  # the store is at fault, not a video
    if wrong_hints := [str(error) for error in errors.values() if isinstance(error, HintError)]:
        raise ValueError(
            f"{'; '.join(wrong_hints)}. Correct the hints, then run the command again: the data set is as it was"
        )
    reasons = {video_id: reason_of(videos[video_id], error) for video_id, error in errors.items()}
    by_path = {str(videos[video_id]): reason for video_id, reason in reasons.items()}
    if reasons and not folders:
        raise ValueError(f"{failures(by_path, 0)} Every video failed. Fix the errors above, then run the command again")
    if reasons:
        log.warning("%s Continuing with the others", failures(by_path, len(folders)))
    return Extracted(folders, reasons)


def _warn_of_doubts(folders: Mapping[str, Path]) -> None:
    """Logs the first doubts about identities; the manifests list all."""
    doubts = [doubt for folder in folders.values() for doubt in read_manifest(folder).get("doubts", ())]
    for doubt in doubts[:_DOUBTS_SHOWN]:
        log.warning("doubtful: %s", doubt)
    if len(doubts) > _DOUBTS_SHOWN:
        log.warning("doubtful: %d more; see the manifests under faces", len(doubts) - _DOUBTS_SHOWN)


def _is_worth_a_retry(_task: Any, _task_run: Any, state: Any) -> bool:
    """Retries errors of a disk or network, which may recover. Bad videos and missing permissions do not."""
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
def extract_faces(path: Path, track_ids: Sequence[str] | None, job: _Job) -> Path:
    """The faces folder of a video, or of a folder of crops; computed if missing."""
    with _unless_over(job.is_over, path, job.store), job.places.begun():
        if path.is_dir():
            tracks = track_ids or [path.name]
            folder = cropped.take_crops(path, job.store, track_ids=tracks, progress=job.shown.count)
        else:
            folder = _extract_from_video(path, track_ids, job)
    job.shown.advance()
    return folder


def _extract_from_video(path: Path, track_ids: Sequence[str] | None, job: _Job) -> Path:
    facts = video_facts(path, job.store)
    num_bytes = memory_bytes(facts.width_px, facts.height_px, at_least=job.ingest.detect_every)
    extract: Callable[..., Path] = extract_video
    if job.processes is not None and facts.num_packets >= LONG_FRAMES:
        extract, num_bytes = job.processes.extract, num_bytes + PROCESS_BYTES
    with (
        job.places.place(path.name, num_bytes) as threads,
        concurrency(DECODE_LIMIT, occupy=1) if job.has_decode_limit else nullcontext(),
    ):
        return extract(
            path,
            job.store,
            job.ingest.part(Search),
            Casting(track_ids=track_ids, hints=job.hints, fill_gaps_s=job.ingest.fill_gaps_s),
            device=job.device,
            decoder=job.ingest.decoder,
            threads=threads,
            progress=job.shown.count,
        )


@contextmanager
def _unless_over(is_over: Event, path: Path, store: Path) -> Iterator[None]:
    """Once the store cannot be written to, skips the remaining videos, which would fail the same way hours later."""
    if is_over.is_set():
        raise NoRoomError(f"{path}: skipped, because the store {store} cannot be written to")
    try:
        try:
            yield
        except OSError:
            check_store(store)  # if it passes, the video is at fault
            raise
    except (NoRoomError, StoreError):
        is_over.set()
        raise


def _decode_limit_exists() -> bool:
    """Asked once, because using a limit that does not exist costs two seconds and a warning for each video."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(DECODE_LIMIT)
        except ObjectNotFound:
            return False
    return True

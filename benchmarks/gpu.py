"""What a GPU does and how fast: trials, each in its own process with a time limit.

    python benchmarks/gpu.py CLIPS --out FOLDER [--only NAME ...]

`CLIPS` is a folder with `720p.mp4` and `1080p.mp4`, some seconds of H.264 each (`benchmarks/clip.py` makes one). Each
trial appends JSON lines to `FOLDER/results.jsonl`, so results from before a failure or a timeout are kept. On a
machine without a GPU the trials run on the CPU, smaller, which shows that they work.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from clip import repeat
from train_step import make_batch

from data.batches.augment import Augmentation
from data.batches.labelled_frames import LabelledFrames
from data.batches.loader import batches
from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search
from data.faces import retinaface
from data.faces.crops import TEMPLATE_52, appearances, cut_faces, encode_jpegs
from data.faces.detector import FaceDetector
from data.faces.embedding import weights_file
from data.faces.retinaface import RetinaFace, read_weights
from data.labels import Edition
from data.machine import Device
from data.testing.drawn import with_face
from data.testing.numbered import write_faces
from data.video.frames import probe, read_frames
from data.video.nvdec import num_engines
from model.checks.agreement import check, trials
from model.inference import place
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network
from model.training.learning import Learning
from model.training.losses import Emphasis
from model.training.step import Run, make_optimiser, memory_format, record_passes, step
from tasks.ingest.processes import Processes

log = logging.getLogger("benchmark")

GPU = torch.cuda.is_available()
DEVICE: Device = "gpu" if GPU else "cpu"
TORCH_DEVICE = "cuda" if GPU else "cpu"
CORES = len(os.sched_getaffinity(0))
READERS = (1, 7)

Result = dict[str, Any]
Trial = Callable[[Path, Path], Iterator[Result]]
"""Takes the folder of clips and one for its files; gives results as they come."""


def synchronise() -> None:
    if GPU:
        torch.cuda.synchronize()


def seconds_of(work: Callable[[], object], *, at_least_s: float = 1.0, warm_up: int = 3) -> float:
    """Of one call, on average."""
    for _ in range(warm_up):
        work()
    synchronise()
    start_s, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start_s < at_least_s:
        work()
        calls += 1
        if calls % 5 == 0:
            synchronise()
    synchronise()
    return (time.perf_counter() - start_s) / calls


@contextmanager
def watched(result: Result) -> Iterator[None]:
    """Notes how busy the card was within the block, in percent, and the most memory in use, in GB."""
    samples: list[tuple[float, ...]] = []
    over = threading.Event()

    def watch() -> None:
        import pynvml

        pynvml.nvmlInit()
        card = pynvml.nvmlDeviceGetHandleByIndex(0)
        while not over.wait(0.2):
            samples.append(
                (
                    pynvml.nvmlDeviceGetUtilizationRates(card).gpu,
                    pynvml.nvmlDeviceGetDecoderUtilization(card)[0],
                    pynvml.nvmlDeviceGetMemoryInfo(card).used / 1e9,
                    host_memory_in_use_gb(),
                )
            )

    thread = threading.Thread(target=watch, daemon=True)
    if GPU:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if samples:
            gpu, nvdec, gpu_gb, host_gb = zip(*samples, strict=True)
            result |= {
                "gpu_percent": round(float(np.mean(gpu))),
                "nvdec_percent": round(float(np.mean(nvdec))),
                "gpu_gb": max(gpu_gb),
                "host_gb": max(host_gb),
            }


def host_memory_in_use_gb() -> float:
    kilobytes = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(kilobytes[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return (total - free) / 1e6


def card(_clips: Path, _folder: Path) -> Iterator[Result]:
    """The limits: matrix products and copies."""
    yield {
        "what": "card",
        "name": torch.cuda.get_device_name() if GPU else "CPU",
        "torch": torch.__version__,
        "cores": CORES,
        "nvdec_engines": num_engines() if GPU else 0,
    }
    yield {"what": "bf16 matrix product", "tflops": peak_tflops(), "unit": "TFLOP/s"}
    data = torch.empty((4 << 30) if GPU else (64 << 20), dtype=torch.uint8, device=TORCH_DEVICE)
    other = torch.empty_like(data)
    copy_s = seconds_of(lambda: other.copy_(data))
    yield {"what": "copy, read and written", "tb_s": 2 * data.numel() / copy_s / 1e12}


def peak_tflops() -> float:
    side = 8192 if GPU else 512
    one, other = (torch.randn(side, side, device=TORCH_DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: one @ other) / 1e12


def agreement(_clips: Path, folder: Path) -> Iterator[Result]:
    """The comparison of `mtanet doctor --gpu`."""
    for name, trial in trials(DEVICE, folder).items():
        start_s = time.perf_counter()
        done = check(name, trial)
        yield {"what": name, "verdict": done.verdict.value, "found": done.found, "s": time.perf_counter() - start_s}


def opening(clips: Path, _folder: Path) -> Iterator[Result]:
    """Does one file open, and how many frames are there?"""
    clip = clips / "720p.mp4"
    numbers = sum(len(chunk.frames_HWC) for chunk in read_frames(clip, device=DEVICE, decoder=_decoder()))
    yield {"what": "frames of one clip", "frames": numbers, "packets": probe(clip).num_packets}


def _decoder() -> Any:
    return "dali-gpu" if GPU else "pyav"


def long_clips(clip: Path, folder: Path, num: int, seconds: float) -> list[Path]:
    """Clips of the same frames but another content each, or they would be extracted once."""
    files = []
    for number in range(num):
        file = repeat(clip, folder / f"{clip.stem}-{number}.mp4", seconds=seconds)
        with file.open("ab") as end:
            end.write(struct.pack(">I4sB", 9, b"free", number))  # a box that readers pass over
        files.append(file)
    return files


def in_threads(jobs: Sequence[Callable[[], int]]) -> tuple[int, float]:
    """The frames of all jobs, and the seconds they took together."""
    counts: list[int] = []
    threads = [threading.Thread(target=lambda job=job: counts.append(job())) for job in jobs]
    start_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(counts) < len(jobs):
        raise RuntimeError(f"{len(jobs) - len(counts)} of {len(jobs)} readers failed")
    return sum(counts), time.perf_counter() - start_s


def in_processes(work: Callable[..., int], warm_up: Sequence[Any], jobs: Sequence[Sequence[Any]]) -> tuple[int, float]:
    """The same for jobs in a process each; their start and `work(*warm_up)` are not timed."""
    spawn = multiprocessing.get_context("spawn")
    ready, counts = spawn.Barrier(len(jobs) + 1), spawn.Queue()
    processes = [
        spawn.Process(target=_in_process, args=(work, warm_up, job, ready, counts), daemon=True) for job in jobs
    ]
    for process in processes:
        process.start()
    ready.wait(60)
    start_s = time.perf_counter()
    num_frames = sum(counts.get(timeout=60) for _ in jobs)
    s = time.perf_counter() - start_s
    for process in processes:
        process.kill()
    return num_frames, s


def _in_process(work: Callable[..., int], warm_up: Sequence[Any], job: Sequence[Any], ready: Any, counts: Any) -> None:
    try:
        work(*warm_up)
        ready.wait(60)
        counts.put(work(*job))
        synchronise()
    except BaseException:
        ready.abort()
        raise


def decoding(clips: Path, folder: Path) -> Iterator[Result]:
    """Through the project's own reader, one thread or one process a video."""
    _count(clips / "720p.mp4")
    for height in (720, 1080):
        clip = clips / f"{height}p.mp4"
        files = long_clips(clip, folder, 14, 60 if GPU else 1)
        for readers in READERS:
            result: Result = {"what": f"decode {height}p", "readers": readers}
            with watched(result):
                frames, s = in_threads([partial(_count, file) for file in files[:readers]])
            yield result | {"frames": frames, "frames_s": frames / s}
        for readers in (7, 14) if GPU else (2,):
            result = {"what": f"decode {height}p in processes", "readers": readers}
            with watched(result):
                frames, s = in_processes(_count, [clip], [[file] for file in files[:readers]])
            yield result | {"frames": frames, "frames_s": frames / s}


def _count(file: Path) -> int:
    return sum(len(chunk.frames_HWC) for chunk in read_frames(file, device=DEVICE, decoder=_decoder(), chunk=20))


def dali_alone(clips: Path, folder: Path) -> Iterator[Result]:
    """DALI's two readers in a pipeline without any of the project's code: the ceiling."""
    from nvidia.dali import fn
    from nvidia.dali.pipeline import Pipeline

    if not GPU:
        return

    def count(file: Path, kind: str) -> int:
        pipe = Pipeline(batch_size=1, num_threads=2, device_id=0, prefetch_queue_depth=2)
        with pipe:
            if kind == "experimental":
                video = fn.experimental.readers.video(device="gpu", filenames=[str(file)], sequence_length=20, name="r")
            else:
                video = fn.readers.video(device="gpu", filenames=[str(file)], sequence_length=20, name="r")
            pipe.set_outputs(video)
        pipe.build()
        sequences: int = pipe.reader_meta("r")["epoch_size"]
        for _ in range(sequences):
            pipe.run()
        return sequences * 20

    for height in (720, 1080):
        files = long_clips(clips / f"{height}p.mp4", folder, max(READERS), 30)
        for kind in ("experimental", "plain"):
            for readers in READERS:
                result: Result = {"what": f"DALI {kind} {height}p", "readers": readers}
                try:
                    with watched(result):
                        frames, s = in_threads([partial(count, file, kind) for file in files[:readers]])
                    yield result | {"frames": frames, "frames_s": frames / s}
                except Exception as error:
                    yield result | {"error": str(error)[:300]}


def extraction(clips: Path, folder: Path, detect_every: int = 1, readers: Sequence[int] = READERS) -> Iterator[Result]:
    """Whole extraction, as `mtanet ingest` does it, of one video a thread and one video a process."""
    for height in (720, 1080):
        clip = clips / f"{height}p.mp4"
        files = long_clips(clip, folder, 14, 30 if GPU else 1)
        for number in readers:
            result: Result = {"what": f"extract {height}p, every {detect_every}", "readers": number}
            store = Path(tempfile.mkdtemp(dir=folder))
            jobs = [partial(_extract, detect_every, max(1, CORES // number), store, file) for file in files[:number]]
            with watched(result):
                frames, s = in_threads(jobs)
            yield result | {"frames": frames, "frames_s": frames / s}
        for number, threads in ((1, 4), (7, 2)) if GPU else ((2, 1),):
            result = {"what": f"extract {height}p, every {detect_every}, in processes", "readers": number,
                      "threads": threads}  # fmt: skip
            store = Path(tempfile.mkdtemp(dir=folder))
            with Processes() as processes:
                work = partial(_extract, detect_every, threads, extract=processes.extract)
                in_threads([partial(work, store / f"warm-{part}", clip) for part in range(number)])
                with watched(result):
                    frames, s = in_threads([partial(work, store, file) for file in files[:number]])
            yield result | {"frames": frames, "frames_s": frames / s}


def where(clips: Path, folder: Path) -> Iterator[Result]:
    """Where the threads of an extraction are, of one and of seven videos: samples of their innermost functions."""
    for height, number in ((720, 1), (720, 7)):
        files = long_clips(clips / f"{height}p.mp4", folder, number, 20 if GPU else 1)
        _extract(1, 2, folder / "warm", clips / f"{height}p.mp4")
        jobs = [partial(_extract, 1, max(1, CORES // number), folder / f"at-once-{number}", file) for file in files]
        counts: Counter[str] = Counter()
        over = threading.Event()
        sampler = threading.Thread(target=_sample, args=(counts, over), daemon=True)
        sampler.start()
        frames, s = in_threads(jobs)
        over.set()
        sampler.join()
        yield {"what": f"where {height}p", "readers": number, "frames_s": frames / s}
        for line, share in counts.most_common(40):
            yield {"at": line, "samples": share}


def _sample(counts: Counter[str], over: threading.Event) -> None:
    """Counts, a hundred times a second, where each thread is: the innermost line of the project, and what it calls."""
    while not over.wait(0.01):
        names = {thread.ident: thread.name.split("_")[0].split("-")[0] for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            inner = at = frame
            while at.f_back is not None and str(Path(__file__).parent.parent) not in at.f_code.co_filename:
                at = at.f_back
            place = f"{Path(at.f_code.co_filename).name}:{at.f_lineno} {at.f_code.co_name}"
            counts[f"{names.get(ident)} | {place} | {inner.f_code.co_name}"] += 1


def sample_videos(clips: Path, folder: Path) -> Iterator[Result]:
    """Many short videos, those in `CLIPS/sample`, with the start of the processes."""
    videos = sorted((clips / "sample").rglob("*.mp4"))
    ways: tuple[tuple[str, Device, int], ...] = (
        ("processes", DEVICE, 7),
        ("threads", DEVICE, 7),
        ("threads", "cpu", 7),
    )
    for way, device, number in ways:
        store = Path(tempfile.mkdtemp(dir=folder))
        start_s = time.perf_counter()
        with Processes() as processes, ThreadPoolExecutor(number) as pool:
            extract = processes.extract if way == "processes" else extract_video
            work = partial(_extract, 1, max(1, CORES // number), store, device=device, extract=extract)
            frames = sum(pool.map(work, videos))
        s = time.perf_counter() - start_s
        yield {"what": f"sample on {device}, {way}", "videos_at_once": number, "frames_s": frames / s, "s": s}


def _extract(
    detect_every: int, threads: int, store: Path, file: Path, device: Device = DEVICE, extract: Any = extract_video
) -> int:
    """Frames of a video."""
    done: list[int] = []
    search = Search(detect_every=detect_every, identity=_can_recognise())
    extract(file, store, search, Casting(), device=device, decoder="auto", threads=threads, progress=done.append)
    return sum(done)


def _can_recognise() -> bool:
    try:
        return weights_file().is_file()
    except ModuleNotFoundError:
        return False


def layouts(_clips: Path, _folder: Path) -> Iterator[Result]:
    """The detector's network in either layout: its first call for each size of batch, and later calls."""
    for layout in (torch.contiguous_format, torch.channels_last):
        retinaface.GPU_LAYOUT = layout
        network = RetinaFace(read_weights()).to(TORCH_DEVICE, memory_format=layout)  # type: ignore[call-overload]
        for width in (640, 384):
            for number in (1, 8, 32, 64) if GPU else (1, 2):
                x = torch.rand(number, 3, width * 9 // 16, width, device=TORCH_DEVICE) * 255
                start_s = time.perf_counter()
                with torch.inference_mode():
                    network(x)
                    synchronise()
                    first_s = time.perf_counter() - start_s
                    s = seconds_of(partial(network, x), at_least_s=0.2)
                yield {"what": f"detector, {layout}", "width": width, "frames_at_once": number, "first_s": first_s,
                       "frames_s": number / s}  # fmt: skip


def detector(_clips: Path, _folder: Path) -> Iterator[Result]:
    """Frames a second of `FaceDetector.look`, and of its network alone in other precisions."""
    frame = with_face(np.full((720, 1280, 3), 90, np.uint8), middle_xy=(600, 360), height_px=300)
    frames = torch.from_numpy(frame).to(TORCH_DEVICE)
    found = FaceDetector(device=DEVICE, min_score=0.7, detection_size=640)
    for number in (1, 8, 32, 64) if GPU else (1, 2):
        s = seconds_of(partial(found.look, [frames] * number, 640), at_least_s=0.5)
        yield {"what": "look", "frames_at_once": number, "frames_s": number / s}
        x = torch.rand(number, 3, 360, 640, device=TORCH_DEVICE) * 255
        network = RetinaFace(read_weights()).to(TORCH_DEVICE)
        for precision in ("float32", "bfloat16", "float16"):
            dtype = getattr(torch, precision)
            with torch.inference_mode(), torch.autocast(TORCH_DEVICE, dtype, enabled=precision != "float32"):
                s = seconds_of(partial(network, x, fine=True), at_least_s=0.3)
            yield {"what": f"network {precision}", "frames_at_once": number, "frames_s": number / s}


def crops(_clips: Path, _folder: Path) -> Iterator[Result]:
    """Cutting, encoding and the colour cue, apart."""
    frames = [torch.randint(256, (720, 1280, 3), dtype=torch.uint8).to(TORCH_DEVICE) for _ in range(20)]
    landmarks = np.repeat((TEMPLATE_52 * 2 + (500, 200))[None].astype(np.float32), 20, axis=0)
    boxes = np.repeat(np.array([[500, 200, 200, 240]], np.float32), 20, axis=0)
    cut = partial(cut_faces, frames, range(20), landmarks, device=DEVICE)
    yield {"what": "cut faces", "faces_s": 20 / seconds_of(cut, at_least_s=0.5)}
    yield {
        "what": "appearances",
        "faces_s": 20 / seconds_of(partial(appearances, frames, range(20), boxes), at_least_s=0.5),
    }
    yield {"what": "encode JPEG", "faces_s": 20 / seconds_of(partial(encode_jpegs, cut(), quality=95), at_least_s=0.5)}


def loader(_clips: Path, folder: Path) -> Iterator[Result]:
    """Faces a second out of the shards, on the device and on the CPU."""
    frames = _face_shards(folder, 8 if GPU else 1)
    for device in dict.fromkeys((DEVICE, "cpu")):
        for augment in (
            None,
            Augmentation(flip=0.5, crop=1, colour=1),
            Augmentation(flip=0.5, crop=1, colour=1, blur=0.2, erase=0.25),
        ):
            for size in (80, 256, 1024) if GPU else (80,):
                for threads in (4, CORES) if device == "cpu" else (4, 8):
                    times: list[float] = []
                    for batch in batches(
                        frames, batch_size=size, device=device, shuffle=True, threads=threads, augment=augment
                    ):
                        batch.faces_BCHW.sum()
                        times.append(time.perf_counter())
                        if times[-1] - times[0] > 3:
                            break
                    synchronise()
                    half = len(times) // 3
                    yield {"what": f"loader {device}", "augment": str(augment)[:60], "batch": size, "threads": threads,
                           "faces_s": size * (len(times) - 1 - half) / (time.perf_counter() - times[half])}  # fmt: skip


def _face_shards(folder: Path, tracks: int) -> LabelledFrames:
    random = np.random.default_rng(0)
    pictures = []
    for number in range(100):
        rough = np.kron(random.integers(60, 200, (14, 14, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        noise = random.normal(0, 6, (112, 112, 1))
        face = with_face(rough, middle_xy=(56, 50 + number / 10), height_px=100)
        pictures.append((face + noise).clip(0, 255).astype(np.uint8))
    jpegs = encode_jpegs(np.stack(pictures), quality=95)
    num = 8000 if GPU else 1000
    files = [
        write_faces(folder / f"t{k}.parquet", [jpegs[(n * 7 + k) % 100] for n in range(num)], rows_per_group=1000)
        for k in range(tracks)
    ]
    index = np.arange(num * tracks)
    return LabelledFrames(
        Edition.ABAW_2020, tuple(files), index // num, index % num, index % num // 1000, index % 1000,
        random.uniform(-1, 1, (len(index), 2)).astype(np.float32), random.integers(0, 7, len(index)).astype(np.float32),
        random.integers(0, 2, (len(index), 8)).astype(np.float32),
    )  # fmt: skip


FLOPS_A_FACE = 3 * 2 * 1.05e9
"""Of a training step, roughly: forward 1.05 G multiplications at 112 px, and twice that backward."""


def training(_clips: Path, _folder: Path) -> Iterator[Result]:
    """Steps of the paper's network on batches that are on the device."""
    layers = Architecture() if GPU else Architecture(layers=(1, 1, 1, 1), width=16, neck=64)
    peak = peak_tflops()
    for size in (256, 80, 1024) if GPU else (8,):
        for precision in ("bfloat16", "float32"):
            for way in ("recorded", "recorded, tuned cuDNN", "not recorded"):
                result = {"what": "train step", "batch": size, "precision": precision, "way": way}
                try:
                    yield result | _train(layers, size, precision, way, peak)
                except Exception as error:
                    yield result | {"error": str(error)[:300]}


def compiled(_clips: Path, _folder: Path) -> Iterator[Result]:
    """The step with `torch.compile`, which takes a minute to compile."""
    layers = Architecture() if GPU else Architecture(layers=(1, 1, 1, 1), width=16, neck=64)
    size = 256 if GPU else 8
    yield {"what": "train step", "batch": size, "precision": "bfloat16", "way": "compiled"} | _train(
        layers, size, "bfloat16", "compiled", peak_tflops()
    )


def _train(layers: Architecture, size: int, precision: Any, way: str, peak: float) -> Result:
    learning = Learning(precision=precision, batch_size=size)
    torch.backends.cudnn.benchmark = "tuned" in way
    if GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    network = place(build_network(Edition.ABAW_2020, layers), DEVICE).train()
    network.to(memory_format=memory_format(learning))  # type: ignore[call-overload]
    run = Run(network, make_optimiser(network, learning))
    if way == "compiled":
        network.compile()
    if way.startswith("recorded"):
        record_passes(run, learning)
    batch = make_batch(size, DEVICE)
    s = seconds_of(lambda: step(run, batch, learning, Emphasis(), rate=1e-3, steps=0), at_least_s=1.5, warm_up=4)
    memory = torch.cuda.max_memory_allocated() / 1e9 if GPU else 0.0
    return {"images_s": size / s, "ms": 1000 * s, "of_peak": FLOPS_A_FACE * size / s / 1e12 / peak, "gb": memory}


def prediction(_clips: Path, _folder: Path) -> Iterator[Result]:
    network = place(build_network(Edition.ABAW_2020, Architecture()), DEVICE).eval()
    for size in (80, 256, 1024) if GPU else (8,):
        faces = make_batch(size, DEVICE).faces_BCHW.contiguous(memory_format=torch.channels_last)
        for precision in ("float32", "bfloat16"):
            with torch.inference_mode(), torch.autocast(TORCH_DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
                s = seconds_of(partial(network, faces))
            yield {"what": "predict", "batch": size, "precision": precision, "images_s": size / s}


TRIALS: dict[str, tuple[Trial, int]] = {
    "card": (card, 30),
    "opening": (opening, 30),
    "agreement": (agreement, 90),
    "decoding": (decoding, 80),
    "extraction": (extraction, 120),
    "layouts": (layouts, 40),
    "where": (where, 60),
    "sample_videos": (sample_videos, 90),
    "training": (training, 100),
    "compiled": (compiled, 120),
    "dali_alone": (dali_alone, 60),
    "detector": (detector, 45),
    "crops": (crops, 30),
    "loader": (loader, 110),
    "prediction": (prediction, 30),
    "extraction_5": (partial(extraction, detect_every=5, readers=()), 60),
}
"""The trials, most important first, with their time limits in seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[*TRIALS])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    results = arguments.out / "results.jsonl"
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        trial, _ = TRIALS[arguments.one]
        with tempfile.TemporaryDirectory() as folder, results.open("a") as file:
            for result in trial(arguments.clips, Path(folder)):
                line = {"trial": arguments.one} | {
                    name: round(value, 4) if isinstance(value, float) else value for name, value in result.items()
                }
                file.write(json.dumps(line) + "\n")
                file.flush()
                log.info("%s", json.dumps(line))
        return
    for name in arguments.only:
        start_s = time.perf_counter()
        command = [sys.executable, __file__, str(arguments.clips), "--out", str(arguments.out), "--one", name]
        with suppress(subprocess.TimeoutExpired):
            code = subprocess.run(command, timeout=TRIALS[name][1]).returncode
            log.info("== %s: code %s, %.1f s", name, code, time.perf_counter() - start_s)
            continue
        log.info("== %s: stopped after %d s", name, TRIALS[name][1])


if __name__ == "__main__":
    main()

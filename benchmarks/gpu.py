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
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
from data.batches.batch import Batch
from data.batches.labelled_frames import LabelledFrames
from data.batches.loader import batches
from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search
from data.faces.crops import TEMPLATE_52, appearances, cut_faces, encode_jpegs
from data.faces.detector import FaceDetector
from data.faces.retinaface import RetinaFace, read_weights
from data.labels import Edition
from data.machine import Device
from data.testing.drawn import with_face
from data.testing.numbered import write_faces
from data.video.frames import probe, read_frames
from data.video.nvdec import num_engines
from model.architecture import Architecture
from model.checks.agreement import check, trials
from model.inference import place
from model.network import build_network
from model.training.learning import Learning
from model.training.losses import Emphasis
from model.training.step import Run, make_optimiser, memory_format, step

log = logging.getLogger("benchmark")

GPU = torch.cuda.is_available()
DEVICE: Device = "gpu" if GPU else "cpu"
TORCH_DEVICE = "cuda" if GPU else "cpu"
CORES = len(os.sched_getaffinity(0))
READERS = (1, 2, 4, 7, 8)

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
    """Notes how busy the card was within the block, in percent: its multiprocessors and its decoders."""
    samples: list[tuple[int, int]] = []
    over = threading.Event()

    def watch() -> None:
        import pynvml

        pynvml.nvmlInit()
        card = pynvml.nvmlDeviceGetHandleByIndex(0)
        while not over.wait(0.2):
            samples.append(
                (pynvml.nvmlDeviceGetUtilizationRates(card).gpu, pynvml.nvmlDeviceGetDecoderUtilization(card)[0])
            )

    thread = threading.Thread(target=watch, daemon=True)
    if GPU:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if samples:
            result["gpu_percent"], result["nvdec_percent"] = (
                round(float(np.mean(of))) for of in zip(*samples, strict=True)
            )


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


def decoding(clips: Path, folder: Path) -> Iterator[Result]:
    """Through the project's own reader, one thread a video."""
    _count(clips / "720p.mp4")
    for height in (720, 1080):
        files = long_clips(clips / f"{height}p.mp4", folder, max(READERS), 90 if GPU else 1)
        for readers in READERS:
            jobs = [partial(_count, file) for file in files[:readers]]
            result: Result = {"what": f"decode {height}p", "readers": readers}
            with watched(result):
                frames, s = in_threads(jobs)
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


def extraction(clips: Path, folder: Path, detect_every: int = 1) -> Iterator[Result]:
    """Whole extraction, as `mtanet ingest` does it."""
    for height in (720, 1080):
        files = long_clips(clips / f"{height}p.mp4", folder, max(READERS), 30 if GPU else 1)
        for readers in READERS:
            done = [0] * readers

            def work(number: int, store: Path, file: Path, done: list[int] = done, readers: int = readers) -> int:
                def count(num_frames: int) -> None:
                    done[number] += num_frames

                extract_video(
                    file, store, Search(detect_every=detect_every), Casting(), device=DEVICE, decoder="auto",
                    threads=max(1, CORES // readers), progress=count,
                )  # fmt: skip
                return done[number]

            result: Result = {"what": f"extract {height}p, every {detect_every}", "readers": readers}
            store = Path(tempfile.mkdtemp(dir=folder))
            jobs = [partial(work, number, store, file) for number, file in enumerate(files[:readers])]
            with watched(result):
                frames, s = in_threads(jobs)
            yield result | {"frames": frames, "frames_s": frames / s}


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
    for size in (80, 256, 1024) if GPU else (8,):
        for precision in ("float32", "bfloat16"):
            for channels_last in (False, True):
                for compiled in (False, True):
                    if compiled and (not channels_last or size == 1024):
                        continue
                    result = {
                        "what": "train step",
                        "batch": size,
                        "precision": precision,
                        "channels_last": channels_last,
                        "compiled": compiled,
                    }
                    try:
                        yield result | _train(layers, size, precision, channels_last, compiled, peak)
                    except Exception as error:
                        yield result | {"error": str(error)[:300]}


def _train(layers: Architecture, size: int, precision: Any, channels_last: bool, compiled: bool, peak: float) -> Result:
    learning = Learning(precision=precision, channels_last=channels_last)
    if GPU:
        torch.cuda.reset_peak_memory_stats()
    network = place(build_network(Edition.ABAW_2020, layers), DEVICE).train()
    network.to(memory_format=memory_format(learning))  # type: ignore[call-overload]
    run = Run(network, make_optimiser(network, learning))
    if compiled:
        network.compile()
    batch = make_batch(size, DEVICE)
    s = seconds_of(lambda: step(run, batch, learning, Emphasis(), rate=1e-3, steps=0), at_least_s=2, warm_up=4)
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


def graphs(_clips: Path, _folder: Path) -> Iterator[Result]:
    """The network's forward and backward passes as CUDA graphs."""
    from torch import nn

    from model.network import Outputs
    from model.training.losses import task_losses, total_loss

    class Tuples(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            out = self.network(x)
            return out.valence_arousal_B2, out.action_units_BU, out.expression_BE

    for size in (80, 256, 1024):
        for fused in (False, True):
            network = place(build_network(Edition.ABAW_2020, Architecture()), DEVICE).train()
            batch = make_batch(size, DEVICE)
            faces = batch.faces_BCHW.contiguous(memory_format=torch.channels_last)
            optimiser = torch.optim.SGD(
                network.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=fused
            )
            try:
                with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
                    graphed = torch.cuda.make_graphed_callables(Tuples(network), (faces,), allow_unused_input=True)

                def learn(
                    graphed: Any = graphed,
                    network: Any = network,
                    faces: Any = faces,
                    batch: Batch = batch,
                    optimiser: Any = optimiser,
                ) -> None:
                    va, au, ex = graphed(faces)
                    loss = total_loss(
                        task_losses(Outputs(va.float(), au.float(), ex.float()), batch), network.log_sigma_T, "learned"
                    )
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                    loss.item()

                s = seconds_of(learn, at_least_s=1)
                yield {"what": "graphed step", "batch": size, "fused": fused, "ms": 1000 * s, "images_s": size / s}
                x = seconds_of(lambda: graphed(faces), at_least_s=0.5)  # noqa: B023 (called at once)
                y = seconds_of(lambda: optimiser.step(), at_least_s=0.5)  # noqa: B023 (called at once)
                yield {"what": "forward graph, optimiser ms", "forward": 1000 * x, "optimiser": 1000 * y}
            except Exception as error:
                yield {"what": "graphed step", "batch": size, "error": str(error)[:300]}


TRIALS: dict[str, tuple[Trial, int]] = {
    "card": (card, 30),
    "opening": (opening, 30),
    "agreement": (agreement, 90),
    "decoding": (decoding, 60),
    "extraction": (extraction, 80),
    "training": (training, 100),
    "graphs": (graphs, 60),
    "dali_alone": (dali_alone, 60),
    "detector": (detector, 45),
    "crops": (crops, 30),
    "loader": (loader, 110),
    "prediction": (prediction, 30),
    "extraction_5": (partial(extraction, detect_every=5), 60),
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

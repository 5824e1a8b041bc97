"""Faces per second from our loader, and from the loaders that it replaces.

    python benchmarks/loader.py [--faces 20000] [--rounds 5] [--batch-size 80] [--threads 2]

makes face shards, a folder of JPEGs and an LMDB of the same synthetic pictures in a temporary folder, and reads each
completely, shuffled, as float batches, interleaved in every round: once without augmentation, as the paper trains,
and once with rotation, shift, zoom, flip and colour changes. Needs the extra `bench`. The competitors:

    folder    a file per face, PIL and float arithmetic per image in the workers of a torch DataLoader
    lmdb      the same from an LMDB, like the method's own code
    lean      the leanest that torch allows: values of the LMDB, decoded to bytes by simplejpeg in place, everything
              else per batch; all in the main process
    lean+     the same, decoded by the workers of a DataLoader

Workers are spawned. Each round gives a rate, and the CPU time of all cores per face, which depends less on other users
of the machine. The output has the median over the rounds, the fastest rate and, for the comparison, the median of the
rounds' ratios with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import io
import logging
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import lmdb
import numpy as np
import pyarrow as pa
import simplejpeg
import torch
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

sys.path.insert(0, str(Path(__file__).parent.parent))

from data.batches.augment import Augmentation, draw
from data.batches.labelled_frames import LabelledFrames
from data.labels import Edition
from data.schema import FACE_SIZE_PX, FACES
from data.store.shards import ROWS_PER_GROUP, write_parquet

PICTURES = 300
FRAMES_PER_TRACK = 1000

log = logging.getLogger("benchmark")


def make_jpegs(num_pictures: int) -> list[bytes]:
    """Smooth noise of several scales, with JPEGs as large as those of faces."""
    rng = np.random.default_rng(0)
    place = np.linspace(0, 1, FACE_SIZE_PX)
    jpegs = []
    for _ in range(num_pictures):
        image_HWC = np.full((FACE_SIZE_PX, FACE_SIZE_PX, 3), 128.0)
        for size, spread in ((4, 90), (8, 40), (16, 25), (32, 9), (56, 4)):
            weights = np.maximum(0, 1 - np.abs(place[:, None] * (size - 1) - np.arange(size)))
            image_HWC += np.einsum(
                "hs,wt,stc->hwc", weights, weights, rng.normal(0, spread, (size, size, 3)), optimize=True
            )
        image_HWC += rng.normal(0, 2, (FACE_SIZE_PX, FACE_SIZE_PX, 1))
        jpegs.append(simplejpeg.encode_jpeg(image_HWC.clip(0, 255).astype(np.uint8), 95, "RGB", "420"))
    return jpegs


def write_all(folder: Path, jpegs: Sequence[bytes]) -> LabelledFrames:
    """The faces as shards, as files and as an LMDB; the answer is the shards with labels that are all missing."""
    (folder / "jpegs").mkdir()
    with lmdb.open(str(folder / "lmdb"), map_size=2**34) as environment, environment.begin(write=True) as transaction:
        for number, jpeg in enumerate(jpegs):
            (folder / "jpegs" / f"{number:07}.jpg").write_bytes(jpeg)
            transaction.put(b"%07d" % number, jpeg)
    files = []
    for first in range(0, len(jpegs), FRAMES_PER_TRACK):
        crops = jpegs[first : first + FRAMES_PER_TRACK]
        names = {"track_id": f"track{first}", "video_id": f"track{first}", "status": "ok"}
        rows = [{**names, "frame_index": frame, "face_jpeg": crop} for frame, crop in enumerate(crops)]
        files.append(folder / f"track{first}.parquet")
        write_parquet(pa.Table.from_pylist(rows, schema=FACES), files[-1])
    number_N = np.arange(len(jpegs))
    frame_index_N = number_N % FRAMES_PER_TRACK
    return LabelledFrames(
        edition=Edition.ABAW_2020,
        faces_files=tuple(files),
        track_index_N=number_N // FRAMES_PER_TRACK,
        frame_index_N=frame_index_N,
        group_N=frame_index_N // ROWS_PER_GROUP,
        row_N=frame_index_N % ROWS_PER_GROUP,
        valence_arousal_N2=np.full((len(jpegs), 2), np.nan, np.float32),
        expression_N=np.full(len(jpegs), np.nan, np.float32),
        action_units_NU=np.full((len(jpegs), 8), np.nan, np.float32),
    )


def float_face(image: Image.Image, augment: Augmentation | None) -> Tensor:
    """What torchvision's transforms do to an image, one after the other."""
    if augment:
        matrix_B23, *factors = draw(augment, np.random.default_rng(), 1)
        size = (FACE_SIZE_PX, FACE_SIZE_PX)
        image = image.transform(size, Image.Transform.AFFINE, matrix_B23[0].ravel(), Image.Resampling.BILINEAR)
        enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        for enhancer, factor_B in zip(enhancers, factors, strict=True):
            image = enhancer(image).enhance(float(factor_B[0]))
    face_CHW = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    return face_CHW.sub(0.5).div(0.5)


class FolderFaces(Dataset[Tensor]):
    """A file a face."""

    def __init__(self, folder: Path, num_faces: int, augment: Augmentation | None) -> None:
        self.folder, self.num_faces, self.augment = folder, num_faces, augment

    def __len__(self) -> int:
        return self.num_faces

    def __getitem__(self, number: int) -> Tensor:
        with Image.open(self.folder / f"{number:07}.jpg") as image:
            return float_face(image.convert("RGB"), self.augment)


class LmdbFaces(FolderFaces):
    """A value a face; opened by the worker, as LMDB asks."""

    environment: Any = None

    def __getitem__(self, number: int) -> Tensor:
        if self.environment is None:
            self.environment = lmdb.open(str(self.folder), readonly=True, lock=False, readahead=False)
        with self.environment.begin(buffers=True) as transaction:
            image = Image.open(io.BytesIO(transaction.get(b"%07d" % number)))
            return float_face(image.convert("RGB"), self.augment)


class LeanFaces(Dataset[Tensor]):
    """Values of an LMDB, decoded to bytes of pixels in place, a batch at a time."""

    environment: Any = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, numbers: Sequence[int]) -> Tensor:
        if self.environment is None:
            self.environment = lmdb.open(str(self.folder), readonly=True, lock=False, readahead=False)
        pixels_BHWC = torch.empty(len(numbers), FACE_SIZE_PX, FACE_SIZE_PX, 3, dtype=torch.uint8)
        with self.environment.begin(buffers=True) as transaction:
            for number, pixels_HWC in zip(numbers, pixels_BHWC.numpy(), strict=True):
                simplejpeg.decode_jpeg(transaction.get(b"%07d" % number), "RGB", buffer=pixels_HWC)
        return pixels_BHWC


def lean_floats(pixels_BHWC: Tensor, augment: Augmentation | None, rng: np.random.Generator) -> Tensor:
    """Normalised, and augmented batch by batch; colours and scale are one matrix product."""
    faces_BCHW = pixels_BHWC.permute(0, 3, 1, 2).to(torch.float32)
    if augment is None:
        return faces_BCHW.sub_(127.5).div_(127.5)
    matrix_B23, *factors = (torch.from_numpy(array) for array in draw(augment, rng, len(faces_BCHW)))
    # `draw` counts pixels, torch from -1 to 1
    half = FACE_SIZE_PX / 2
    shift_B2 = (matrix_B23[:, :, :2].sum(2) * half + matrix_B23[:, :, 2] - half) / half
    theta_B23 = torch.cat([matrix_B23[:, :, :2], shift_B2[:, :, None]], dim=2)
    grid_BHW2 = functional.affine_grid(theta_B23, list(faces_BCHW.shape), align_corners=False)
    faces_BCHW = functional.grid_sample(faces_BCHW, grid_BHW2, padding_mode="border", align_corners=False)
    brightness_B, contrast_B, saturation_B = (factor_B[:, None, None] for factor_B in factors)
    grey = torch.tensor([0.299, 0.587, 0.114]).expand(3, 3)
    mix_B33 = brightness_B * contrast_B * (saturation_B * torch.eye(3) + (1 - saturation_B) * grey)
    shift_B31 = (brightness_B * 128 * (1 - contrast_B)).expand(-1, 3, 1)
    twisted_BCP = torch.baddbmm((shift_B31 - 127.5) / 127.5, mix_B33 / 127.5, faces_BCHW.flatten(2))
    return twisted_BCP.clamp_(-1, 1).view_as(faces_BCHW)


Loader = Callable[[int], Iterator[Tensor]]
"""An epoch, by its number."""


def make_loaders(
    folder: Path, frames: LabelledFrames, batch_size: int, threads: int, augment: bool
) -> dict[str, Loader]:
    from data.batches.loader import batches  # not at the top, which the workers of the rivals import too

    changes = Augmentation(flip=0.5, crop=1, colour=1) if augment else None

    def ours(epoch: int) -> Iterator[Tensor]:
        options = {"batch_size": batch_size, "threads": threads, "augment": changes}
        for batch in batches(frames, shuffle=True, epoch=epoch, **options):  # type: ignore[arg-type]
            yield batch.faces_BCHW

    def per_image(dataset: Dataset[Tensor]) -> Loader:
        loader = DataLoader(
            dataset,
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=threads,
            persistent_workers=True,
            multiprocessing_context="spawn",
        )
        return lambda _: iter(loader)

    def lean(workers: int) -> Loader:
        sampler = BatchSampler(RandomSampler(range(len(frames))), batch_size, drop_last=True)
        spawned = {"persistent_workers": True, "multiprocessing_context": "spawn"} if workers else {}
        loader = DataLoader(LeanFaces(folder / "lmdb"), None, sampler=sampler, num_workers=workers, **spawned)  # type: ignore[arg-type]
        rng = np.random.default_rng(0)
        return lambda _: (lean_floats(pixels_BHWC, changes, rng) for pixels_BHWC in loader)

    return {
        "ours": ours,
        "folder": per_image(FolderFaces(folder / "jpegs", len(frames), changes)),
        "lmdb": per_image(LmdbFaces(folder / "lmdb", len(frames), changes)),
        "lean": lean(0),
        "lean+": lean(threads),
    }


def timed(loader: Loader, epoch: int) -> tuple[float, float]:
    """Seconds per face, and CPU seconds of all cores per face, including the workers."""
    start_s, start_cpu_s, num_faces = time.perf_counter(), cpu_s(), 0
    for faces_BCHW in loader(epoch):
        num_faces += len(faces_BCHW)
    return (time.perf_counter() - start_s) / num_faces, (cpu_s() - start_cpu_s) / num_faces


def cpu_s() -> float:
    """Of this process and its workers."""
    ticks = 0
    for process in (os.getpid(), *(worker.pid for worker in multiprocessing.active_children())):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def compare(loaders: dict[str, Loader], rounds: int) -> None:
    for loader in loaders.values():
        timed(loader, 0)  # starts the workers
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
    for number in range(rounds):
        for turn in range(len(loaders)):
            name = list(loaders)[(turn + number) % len(loaders)]
            found[name].append(timed(loaders[name], number + 1))
    for name, times in found.items():
        rate, best = 1 / median(time_s for time_s, _ in times), 1 / min(time_s for time_s, _ in times)
        numbers = (rate, best, 1e6 * median(spent_s for _, spent_s in times))
        against = _against(found["ours"], times)
        log.info("  %-7s %6.0f faces/s, at best %6.0f, %5.0f us of a core %s", name, *numbers, against)


def _against(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> str:
    if ours is theirs:
        return ""
    texts = []
    for kind in (0, 1):
        ratios = [their[kind] / our[kind] for our, their in zip(ours, theirs, strict=True)]
        texts.append(f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return f"| ours: {texts[0]} times as fast, with a core's time {texts[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=80)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    pictures = make_jpegs(PICTURES)
    jpegs = [pictures[number % PICTURES] for number in range(arguments.faces)]
    size_kb = sum(map(len, pictures)) / len(pictures) / 1e3
    log.info("%d faces of %.1f kB, batches of %d", len(jpegs), size_kb, arguments.batch_size)
    log.info("%d threads, %s, torch %s", arguments.threads, platform.platform(), torch.__version__)
    with tempfile.TemporaryDirectory(prefix="mtanet-loader-") as folder:
        frames = write_all(Path(folder), jpegs)
        for augment in (False, True):
            log.info("with augmentation:" if augment else "without augmentation:")
            given = (arguments.batch_size, arguments.threads, augment)
            compare(make_loaders(Path(folder), frames, *given), arguments.rounds)
    log.info("memory at most: %.0f MiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()

"""Does this machine's GPU do what its CPU does? Each place where the two part ways, tried on made-up data.

Each check does the same on `device` and on the CPU. For the CPU itself they run too: DALI then decodes what it can.
Letters: N faces, H rows, W columns, C channels, B images of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.augment import Augmentation
from data.batch import Batch
from data.crops import TEMPLATE_52, cut_faces, encode_jpegs
from data.frames import LabelledFrames
from data.labels import Edition
from data.loader import batches, face_batches
from data.numbered import ENCODERS, number_in, numbered, write_clip, write_faces
from data.retinaface import RetinaFace, read_weights
from data.video import DALI_CPU_CODECS, NVDEC_CODECS, Decoder, Device, read_frames
from model.ema import start_average
from model.inference import place
from model.learning import Learning, make_optimiser
from model.losses import Emphasis, task_losses, total_loss
from model.network import MTANet, Outputs
from model.step import Run, step

NUM_FRAMES = 130
"""Of a clip: more than one group of pictures, and the last chunk is a short one."""

_TWICE = np.ones((2, 2, 1), np.uint8)
"""Makes frames so large that every GPU takes them: HEVC has to have 144 lines."""
_COLOUR_LEVELS = 4.0
"""On average: DALI converts colours by BT.601, whatever the file says."""
_TIME_S = 2e-3
_CROP_LEVELS = 1.0
_JPEG_LEVELS = 2.0
"""Decoders of JPEGs round differently."""
_DETECTOR_SCORE = 0.02
_LOSS = 1e-2
"""Relative: a GPU convolves with TF32."""
_STRONG_STEPS_APART = 5e-2
"""Relative. On a CPU float32 in bfloat16's place makes 0.018, and noise of two levels on the faces 0.028, in the
gradient; without averaging, or at a rate 1.1 times as high, the average is 0.07 and 0.09 away. Clipping cannot be seen:
to AdamW a gradient's length is all one."""
_CHANGES = Augmentation(blur=0.2, erase=0.25)
_STRONG = Learning(
    optimiser="adamw",
    learning_rate=5e-4,
    weight_decay=1e-2,
    ema_decay=0.999,
    gradient_clip=1.0,
    precision="bfloat16",
)
"""As in `flows/experiments/strong.toml`."""
_NUM_STEPS = 3


@dataclass(frozen=True)
class Check:
    """One comparison of a device with the CPU."""

    name: str
    agrees: bool
    found: str


def compare_with_cpu(device: Device, folder: Path) -> Iterator[Check]:
    """The checks, each as it is done; `folder` takes their files.

    What the device cannot do at all disagrees, with the reason as what was found.
    """
    steps: dict[str, Callable[[], tuple[bool, str]]] = {
        f"decode {codec}": partial(_decoding, codec, device, folder)
        for codec in sorted(NVDEC_CODECS if device == "gpu" else DALI_CPU_CODECS)
    }
    steps["decode vp9 at a varying rate"] = partial(_decoding, "vp9", device, folder, _varying_ticks())
    steps["crops"] = partial(_crops, device)
    steps["detector"] = partial(_detector, device)
    steps["batches"] = partial(_batches, device, folder)
    steps["training step"] = partial(_training_step, device)
    steps["changed faces"] = partial(_changed_faces, device, folder)
    steps["steps of the strong recipe"] = partial(_strong_steps, device, folder)
    for name, check in steps.items():
        try:
            agrees, found = check()
        except (ValueError, RuntimeError) as error:
            agrees, found = False, str(error)
        yield Check(name, agrees, found)


def _decoding(codec: str, device: Device, folder: Path, ticks: list[int] | None = None) -> tuple[bool, str]:
    name = f"{codec}{'-varying' if ticks else ''}.{'webm' if codec == 'vp8' else 'mp4'}"
    frames = (np.kron(numbered(number), _TWICE) for number in range(NUM_FRAMES))
    clip = write_clip(folder / name, frames, codec=ENCODERS[codec], ticks=ticks)
    dali: Decoder = "dali-gpu" if device == "gpu" else "dali-cpu"
    numbers, times_s, pixels = _read(clip, device, dali)
    _, true_times_s, true_pixels = _read(clip, "cpu", "pyav")
    if numbers != list(range(NUM_FRAMES)):
        wrong = next((place for place, number in enumerate(numbers) if place != number), len(numbers))
        return False, f"expected frames 0 to {NUM_FRAMES - 1}, found {len(numbers)}, the first wrong one at {wrong}"
    late_s = float(np.abs(np.subtract(times_s, true_times_s)).max())
    levels = float(np.abs(pixels.astype(float) - true_pixels).mean())
    found = f"{NUM_FRAMES} frames in order, times within {1000 * late_s:.1f} ms, colours {levels:.1f} levels apart"
    return late_s < _TIME_S and levels < _COLOUR_LEVELS, found


def _read(clip: Path, device: Device, decoder: Decoder) -> tuple[list[int], list[float], np.ndarray]:
    """The numbers that the frames spell, their times, and the last frame's pixels."""
    chunks = [*read_frames(clip, device=device, decoder=decoder)]
    frames = np.concatenate([chunk.frames_FHWC.cpu().numpy() for chunk in chunks])
    times_s = [time_s or 0.0 for chunk in chunks for time_s in chunk.times_s]
    return [number_in(frame[::2, ::2]) for frame in frames], times_s, frames[-1]


def _varying_ticks() -> list[int]:
    """In ms, by turns 40 and 60 apart."""
    return [40 * number + 20 * (number // 2) for number in range(NUM_FRAMES)]


def _crops(device: Device) -> tuple[bool, str]:
    one, other = (_faces(on).astype(float) for on in ("cpu", device))
    levels = np.abs(one - other)
    found = f"{levels.mean():.2f} levels apart on average, {levels.max():.0f} at most"
    return bool(levels.mean() < _CROP_LEVELS), found


def _faces(device: Device) -> np.ndarray:
    """Twelve crops, turned and shrunk, of numbered frames; some reach beyond their frame."""
    frames_NHWC = torch.from_numpy(np.stack([numbered(number) for number in range(12)]))
    turns_N = np.exp(1j * np.linspace(-1, 1, 12)) * np.linspace(0.4, 1.5, 12)
    template_5 = TEMPLATE_52[:, 0] + 1j * TEMPLATE_52[:, 1]
    points_N5 = turns_N[:, None] * (template_5 - template_5.mean()) + 80 + 48j
    landmarks_N52 = np.stack([points_N5.real, points_N5.imag], axis=-1).astype(np.float32)
    frames_NHWC = frames_NHWC.cuda() if device == "gpu" else frames_NHWC
    return cut_faces(frames_NHWC, range(12), landmarks_N52, device=device)


def _detector(device: Device) -> tuple[bool, str]:
    frames_NCHW = torch.from_numpy(np.stack([numbered(number) for number in range(4)])).permute(0, 3, 1, 2)
    network = RetinaFace(read_weights())
    with torch.inference_mode():
        true_maps = network(frames_NCHW)
        maps = network.to(_place(device))(frames_NCHW.to(_place(device)))
    worst = max(
        float((_scores(one) - _scores(other.cpu())).abs().max()) for one, other in zip(true_maps, maps, strict=True)
    )
    return worst < _DETECTOR_SCORE, f"scores of all anchors within {worst:.4f}"


def _scores(map_NCHW: Tensor) -> Tensor:
    """Of both anchors of each cell."""
    return torch.stack([map_NCHW[:, 1] - map_NCHW[:, 0], map_NCHW[:, 3] - map_NCHW[:, 2]]).sigmoid()


def _batches(device: Device, folder: Path) -> tuple[bool, str]:
    jpegs = encode_jpegs(_faces("cpu"), quality=95)
    file = write_faces(folder / "track.parquet", jpegs, rows_per_group=5)
    one, other = ([*face_batches(file, batch_size=5, device=on)] for on in ("cpu", device))
    if [[*index_B] for index_B, _ in one] != [[*index_B] for index_B, _ in other]:
        return False, "the frames come in another order"
    gaps = torch.cat([(a - b.cpu()).abs().flatten() for (_, a), (_, b) in zip(one, other, strict=True)]) * 127.5
    return bool(gaps.mean() < _JPEG_LEVELS), f"{gaps.mean():.2f} levels apart on average, {gaps.max():.0f} at most"


def _training_step(device: Device) -> tuple[bool, str]:
    loss, norm = _loss_and_gradient(device)
    true_loss, true_norm = _loss_and_gradient("cpu")
    apart = max(abs(loss / true_loss - 1), abs(norm / true_norm - 1))
    return apart < _LOSS, f"loss {loss:.5f} against {true_loss:.5f}, gradient {norm:.5f} against {true_norm:.5f}"


def _changed_faces(device: Device, folder: Path) -> tuple[bool, str]:
    one, other = (_changed_batch(on, folder).faces_BCHW.cpu() for on in ("cpu", device))
    gaps = (one - other).abs() * 127.5
    return bool(gaps.mean() < _JPEG_LEVELS), f"{gaps.mean():.2f} levels apart on average, {gaps.max():.0f} at most"


def _strong_steps(device: Device, folder: Path) -> tuple[bool, str]:
    found, true = (_run_strong(on, _changed_batch(on, folder)) for on in (device, "cpu"))
    apart = max(abs(number / true[name] - 1) for name, number in found.items())
    return apart < _STRONG_STEPS_APART, ", ".join(
        f"{name} {found[name]:.5f} against {true[name]:.5f}" for name in found
    )


def _run_strong(device: Device, batch: Batch) -> dict[str, float]:
    """Some steps on one batch: what the last one says, and how far the average of the weights has gone."""
    network = _small_network(device)
    run = Run(network, make_optimiser(network, _STRONG), start_average(network))
    smoothed = Emphasis(smoothing=0.05)
    for steps in range(_NUM_STEPS):
        numbers = step(run, batch, _STRONG, smoothed, rate=_STRONG.learning_rate, steps=steps)
    start = torch.cat([weights.flatten() for weights in _small_network(device).parameters()])
    gone = torch.cat([weights.flatten() for weights in run.scored.parameters()]) - start
    return {"loss": numbers["loss"], "gradient": numbers["gradient_norm"], "average": gone.norm().item()}


def _changed_batch(device: Device, folder: Path) -> Batch:
    """Twelve faces as a training sees them, with labels by chance."""
    file = write_faces(folder / "changed.parquet", encode_jpegs(_faces("cpu"), quality=95), rows_per_group=12)
    random, index_N = np.random.default_rng(0), np.arange(12)
    labels = random.uniform(-1, 1, (12, 2)), random.integers(0, 7, 12), random.integers(0, 2, (12, 8))
    frames = LabelledFrames(
        Edition.ABAW_2020,
        (file,),
        np.zeros_like(index_N),
        index_N,
        np.zeros_like(index_N),
        index_N,
        *(values.astype(np.float32) for values in labels),
    )
    return next(batches(frames, batch_size=12, device=device, augment=_CHANGES))


def _small_network(device: Device) -> MTANet:
    torch.manual_seed(0)
    network = MTANet(num_units=8, num_expressions=7, layers=(1, 1, 1, 1), width=16, neck=64, dropout=0.0)
    return place(network, device).train()


def _loss_and_gradient(device: Device) -> tuple[float, float]:
    """Of a small network on random faces; the norm is that of the whole gradient."""
    network = _small_network(device)
    random = torch.Generator().manual_seed(0)
    batch = Batch(
        torch.rand(16, 3, 112, 112, generator=random) * 2 - 1,
        torch.rand(16, 2, generator=random) * 2 - 1,
        torch.randint(7, (16,), generator=random).float(),
        torch.randint(2, (16, 8), generator=random).float(),
        torch.zeros(16, dtype=torch.int64),
        torch.arange(16),
    ).to(_place(device))
    outputs: Outputs = network(batch.faces_BCHW)
    loss = total_loss(task_losses(outputs, batch), network.log_sigma_T, "learned")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad.norm() for parameter in network.parameters() if parameter.grad is not None]
    return loss.item(), torch.stack(gradients).norm().item()


def _place(device: Device) -> str:
    return "cuda" if device == "gpu" else "cpu"

"""Faces for the network: JPEGs out of the shards, through one DALI graph, as batches on the CPU or the GPU.

Every random number comes from numpy, from (seed, epoch): the graph itself has no state, so an epoch is the same
whenever and wherever it is run. Faces are channels-last in memory, as convolutions are fastest.

Letters: B faces, C channels, H height, W width, P frames of an epoch, S batches of a pool.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from nvidia.dali.plugin.pytorch.torch_utils import to_torch_tensor
from torch import Tensor

from data.batches.augment import LANDMARKS, Augmentation, draw, moved
from data.batches.batch import Batch
from data.batches.dali_graph import face_pipeline
from data.batches.labelled_frames import Integers, LabelledFrames
from data.batches.mixing import CHUNK_BATCHES, mixed
from data.batches.stored_faces import Crops, batched, crops_in_order, mixed_crops, track_crops
from data.machine import Device, keep_freed_memory
from data.schema import FACE_SIZE_PX

__all__ = ["POOL_FRAMES", "batches", "face_batches"]

POOL_FRAMES = 32_768
"""Crops that are held and shuffled together: some 180 MB. For batches of more than 85 it is `CHUNK_BATCHES` of them."""


def batches(
    frames: LabelledFrames,
    *,
    batch_size: int,
    device: Device = "cpu",
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    augment: Augmentation | None = None,
    threads: int = 1,
    pool_batches: int | None = None,
    chosen: Integers | None = None,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """One pass over the frames on `device`, reproducible by (seed, epoch); no frames give no batches.

    With `shuffle`, batches are mixed as described in `data.batches.mixing`, in pools of `pool_batches` (by default from
    `POOL_FRAMES`), and frames that do not fill a batch are dropped, unless there is only one batch. Without, frames
    keep their order. `chosen` are the positions of the frames to return, ascending, with repetitions. By default every
    frame comes once. With `part` = (k, n) and `shuffle`, returns only the k-th of n equal parts of each batch,
    augmented as in the whole.

    Raises:
        ValueError: A crop is missing, is not an image or is not 112 x 112 px (the message names track and frame), or a
            batch cannot be divided into equal parts.
    """
    chosen = np.arange(len(frames)) if chosen is None else chosen
    if not len(chosen):
        return
    batch_size = min(batch_size, len(chosen))
    if shuffle:
        order = np.random.default_rng((seed, epoch, 0))
        tracks_P = frames.track_index_N[chosen]
        pool_batches = pool_batches or max(POOL_FRAMES // batch_size, CHUNK_BATCHES)
        pools = mixed(chosen, tracks_P, batch_size=batch_size, pool_batches=pool_batches, order=order)
        crops = mixed_crops(frames, (_part(pool_SB, *part) for pool_SB in pools))
    else:
        crops = batched(crops_in_order(frames, chosen), batch_size)
    jitter = (augment, np.random.default_rng((seed, epoch, 1))) if augment else None
    for position_B, faces_BCHW, moves_B23 in _decoded(crops, frames.name, batch_size, device, threads, jitter, part):
        extras = {name: values[position_B] for name, values in frames.extras.items()}
        if LANDMARKS in extras and moves_B23 is not None:
            extras[LANDMARKS] = moved(extras[LANDMARKS], moves_B23)
        yield Batch(
            faces_BCHW,
            torch.from_numpy(frames.valence_arousal_N2[position_B]).to(faces_BCHW.device),
            torch.from_numpy(frames.expression_N[position_B]).to(faces_BCHW.device),
            torch.from_numpy(frames.action_units_NU[position_B]).to(faces_BCHW.device),
            torch.from_numpy(frames.track_index_N[position_B]),
            torch.from_numpy(frames.frame_index_N[position_B]),
            {name: torch.from_numpy(values).to(faces_BCHW.device) for name, values in extras.items()},
        )


def face_batches(
    faces_file: Path, *, batch_size: int, device: Device = "cpu", threads: int = 1
) -> Iterator[tuple[Integers, Tensor]]:
    """The frame indices and faces of a track, in order; frames without a face are skipped.

    Raises:
        ValueError: As for `batches`.
    """

    def name(frame_index: int) -> str:
        return f"track {faces_file.stem}, frame {frame_index}"

    crops = batched(track_crops(faces_file, name), batch_size)
    decoded = _decoded(crops, name, batch_size, device, threads, None)
    yield from ((frame_index_B, faces_BCHW) for frame_index_B, faces_BCHW, _ in decoded)


def _part(pool_SB: Integers, number: int, num_parts: int) -> Integers:
    if pool_SB.shape[1] % num_parts:
        raise ValueError(
            f"{num_parts} processes cannot share a batch of {pool_SB.shape[1]} frames evenly: "
            f"make the batch size a multiple of {num_parts}"
        )
    return np.split(pool_SB, num_parts, axis=1)[number]


def _decoded(
    crops: Iterator[Crops],
    name: Callable[[int], str],
    batch_size: int,
    device: Device,
    threads: int,
    jitter: tuple[Augmentation, np.random.Generator] | None,
    part: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Integers, Tensor, NDArray[np.float32] | None]]:
    """The positions and faces of each batch, and the matrices by which its faces were moved, if they were."""
    keep_freed_memory()
    in_flight: deque[Crops] = deque()
    moves: deque[NDArray[np.float32] | None] = deque()

    def source() -> Iterator[list[Any]]:
        for batch in crops:
            in_flight.append(batch)
            drawn = draw(*jitter, len(batch.jpegs) * part[1]) if jitter else []
            mine = [np.split(array, part[1])[part[0]] for array in drawn]
            moves.append(mine[0] if jitter and jitter[0].moves else None)
            yield [_arrays(batch), *mine]

    pipeline = face_pipeline(
        batch_size=batch_size,
        device=device,
        augment=jitter[0] if jitter else None,
        threads=threads,
        device_id=torch.cuda.current_device() if device == "gpu" else None,
        source=source(),
    )
    while True:
        try:
            (faces,) = pipeline.run()
            # On a GPU DALI would use the memory again while torch's queue still reads from it.
            faces_BHWC = to_torch_tensor(faces.as_tensor(), copy=device == "gpu")
        except StopIteration:
            return
        except RuntimeError:
            _name_the_bad(in_flight, name)
            raise
        if faces_BHWC.shape[1:3] != (FACE_SIZE_PX, FACE_SIZE_PX):
            _name_the_bad(in_flight, name)
        yield in_flight.popleft().position_B, _normalised(faces_BHWC).permute(0, 3, 1, 2), moves.popleft()


def _normalised(faces_BHWC: Tensor) -> Tensor:
    """From 0..255 to float32 in [-1, 1]; colours beyond the range are clipped."""
    if faces_BHWC.is_cuda:
        return faces_BHWC.float().mul_(1 / 127.5).sub_(1).clamp_(-1, 1)
    # Not by PyTorch, whose waiting threads would block DALI's; nor in the graph, which takes twice the time.
    pixels = faces_BHWC.numpy()
    floats = np.multiply(pixels, np.float32(1 / 127.5), dtype=np.float32)
    np.subtract(floats, np.float32(1), out=floats)
    return torch.from_numpy(floats if pixels.dtype == np.uint8 else np.clip(floats, -1, 1, out=floats))


def _arrays(crops: Crops) -> list[NDArray[np.uint8]]:
    return [np.frombuffer(jpeg, dtype=np.uint8) for jpeg in crops.jpegs]


def _name_the_bad(in_flight: Iterable[Crops], name: Callable[[int], str]) -> None:
    """The graph fails as a whole, so its input is decoded again, crop by crop, to find the broken one."""
    for crops in in_flight:
        for position, jpeg in zip(crops.position_B, _arrays(crops), strict=True):
            pipeline = face_pipeline(batch_size=1, device="cpu", augment=None, source=iter([[[jpeg]]]))
            try:
                shape = pipeline.run()[0].shape()[0]
            except RuntimeError as error:
                raise ValueError(f"{name(int(position))}: the crop is not an image; ingest the video again") from error
            if shape != (FACE_SIZE_PX, FACE_SIZE_PX, 3):
                expected = f"expected a crop of {FACE_SIZE_PX} x {FACE_SIZE_PX} px"
                raise ValueError(f"{name(int(position))}: {expected}, found {shape[1]} x {shape[0]}; ingest again")

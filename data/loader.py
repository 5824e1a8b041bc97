"""Faces for the network: JPEGs out of the shards, through one DALI graph, as batches on the CPU or the GPU.

Every random number comes from numpy, from (seed, epoch): the graph itself has no state, so an epoch is the same
whenever and wherever it is run. Letters: B faces, C channels, H height, W width.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline
from nvidia.dali.plugin.pytorch.torch_utils import to_torch_tensor
from torch import Tensor

from data.augment import Augmentation, draw
from data.balance import spread
from data.batch import Batch
from data.frames import WITH_FACE, Integers, LabelledFrames
from data.schema import FACE_SIZE_PX

Device = Literal["cpu", "gpu"]

POOL_FRAMES = 16_384
"""Crops that are held and shuffled together: about 100 MB. A smaller data set is shuffled as a whole."""


@dataclass(frozen=True)
class _Crops:
    """JPEGs with their positions: in the labelled frames for training, the frame index for prediction."""

    position_B: Integers
    jpegs: list[bytes]


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
    pool_frames: int = POOL_FRAMES,
    chosen: Integers | None = None,
) -> Iterator[Batch]:
    """One pass over the frames, the same for the same (seed, epoch), on `device`.

    With `shuffle`, row groups of all files are read in random order and their frames shuffled in pools of at least
    `pool_frames`, and a short last batch is dropped (unless it is the only one). Without, frames come in order.
    `chosen` are the positions of the frames to come, ascending; where one stands m times, its copies come evenly spread
    over its pool (`data.balance.spread`). By default every frame comes once.

    Raises:
        ValueError: A crop is missing, is not an image or is not 112 x 112 px; names track and frame.
    """
    order = np.random.default_rng((seed, epoch, 0)) if shuffle else None
    chosen = np.arange(len(frames)) if chosen is None else chosen
    batch_size = min(batch_size, len(chosen))
    crops = _batched(_pools(frames, chosen, order, pool_frames), batch_size, drop_last=shuffle)
    jitter = (augment, np.random.default_rng((seed, epoch, 1))) if augment else None
    for position_B, faces_BCHW in _decoded(crops, frames.name, batch_size, device, threads, jitter):
        yield Batch(
            faces_BCHW,
            torch.from_numpy(frames.valence_arousal_N2[position_B]).to(faces_BCHW.device),
            torch.from_numpy(frames.expression_N[position_B]).to(faces_BCHW.device),
            torch.from_numpy(frames.action_units_NU[position_B]).to(faces_BCHW.device),
            torch.from_numpy(frames.track_index_N[position_B]),
            torch.from_numpy(frames.frame_index_N[position_B]),
        )


def face_batches(
    faces_file: Path, *, batch_size: int, device: Device = "cpu", threads: int = 1
) -> Iterator[tuple[Integers, Tensor]]:
    """The frame indices and faces of a track, in order; frames without a face are left out.

    Raises:
        ValueError: As `batches`.
    """

    def name(frame_index: int) -> str:
        return f"track {faces_file.stem}, frame {frame_index}"

    crops = _batched(_track_pools(faces_file, name), batch_size, drop_last=False)
    yield from _decoded(crops, name, batch_size, device, threads, None)


def face_pipeline(
    *,
    batch_size: int,
    device: Device,
    augment: Augmentation | None,
    source: Iterator[list[Any]],
    threads: int = 1,
    device_id: int | None = None,
) -> Pipeline:
    """JPEGs -> faces CHW in [-1, 1]: the one graph for training and prediction, on CPU and GPU.

    `source` gives, per batch, the JPEGs and, with `augment`, what `data.augment.draw` gives.
    """
    pipeline = Pipeline(batch_size=batch_size, num_threads=threads, device_id=device_id, prefetch_queue_depth=2)
    with pipeline:
        num_drawn = len(draw(augment, np.random.default_rng(0), 1)) if augment else 0
        jpegs, *drawn = fn.external_source(source=source, num_outputs=1 + num_drawn, batch=True)
        faces = fn.decoders.image(jpegs, device="mixed" if device == "gpu" else "cpu", output_type=types.RGB)
        if augment:
            faces = _augmented(faces, augment, deque(drawn))
        pipeline.set_outputs(
            fn.crop_mirror_normalize(faces, dtype=types.FLOAT, output_layout="CHW", mean=[127.5] * 3, std=[127.5] * 3)
        )
    return pipeline


def _augmented(faces: Any, augment: Augmentation, drawn: deque[Any]) -> Any:
    """Takes from `drawn` in the order in which `data.augment.draw` gives."""
    # Without a fill value, what lies beyond the crop's edge is the edge.
    faces = fn.warp_affine(faces, matrix=drawn.popleft(), size=(FACE_SIZE_PX, FACE_SIZE_PX))
    faces = fn.color_twist(faces, brightness=drawn.popleft(), contrast=drawn.popleft(), saturation=drawn.popleft())
    if augment.blur:
        faces = fn.gaussian_blur(faces, sigma=drawn.popleft())
    if augment.erase:
        faces = fn.erase(
            faces, anchor=drawn.popleft(), shape=drawn.popleft(), fill_value=drawn.popleft(), axis_names="HW"
        )
    return faces


def _pools(
    frames: LabelledFrames, chosen_P: Integers, order: np.random.Generator | None, pool_frames: int
) -> Iterator[_Crops]:
    """Frames and their JPEGs, as many at a time as are shuffled together, or row group by row group."""
    where = np.stack([frames.track_index_N, frames.group_N])[:, chosen_P]
    starts = np.flatnonzero(np.any(np.diff(where, axis=1, prepend=-1), axis=0))
    groups = np.split(chosen_P, starts[1:])
    if order is None:
        for position_P in groups:
            yield _Crops(position_P, _read_crops(frames, position_P))
        return
    held, jpegs = [np.empty(0, dtype=np.int64)], list[bytes]()
    for number, group in enumerate(order.permutation(len(groups)), start=1):
        held.append(groups[group])
        jpegs += _read_crops(frames, groups[group])
        if len(jpegs) >= pool_frames or number == len(groups):
            position_P = np.concatenate(held)
            mixed_P = spread(position_P, order)
            yield _Crops(position_P[mixed_P], [jpegs[index] for index in mixed_P])
            held, jpegs = [np.empty(0, dtype=np.int64)], []


def _read_crops(frames: LabelledFrames, position_P: Integers) -> list[bytes]:
    """The JPEGs of frames that lie in one row group."""
    first = position_P[0]
    with pq.ParquetFile(frames.faces_files[frames.track_index_N[first]]) as file:
        column = file.read_row_group(int(frames.group_N[first]), columns=["face_jpeg"])["face_jpeg"]
    jpegs: list[bytes | None] = column.take(frames.row_N[position_P]).to_pylist()
    return _present(jpegs, position_P, frames.name)


def _track_pools(faces_file: Path, name: Callable[[int], str]) -> Iterator[_Crops]:
    with pq.ParquetFile(faces_file) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["frame_index", "status", "face_jpeg"])
            rows = [row for row, status in enumerate(table["status"].to_pylist()) if status in WITH_FACE]
            frame_index_P = table["frame_index"].to_numpy().astype(np.int64)[rows]
            jpegs = table["face_jpeg"].take(rows).to_pylist() if rows else []
            yield _Crops(frame_index_P, _present(jpegs, frame_index_P, name))


def _present(jpegs: list[bytes | None], position_P: Integers, name: Callable[[int], str]) -> list[bytes]:
    for position, jpeg in zip(position_P, jpegs, strict=True):
        if jpeg is None:
            raise ValueError(
                f"{name(int(position))}: the row says that there is a face but holds no crop; ingest again"
            )
    return [jpeg for jpeg in jpegs if jpeg is not None]


def _batched(pools: Iterator[_Crops], batch_size: int, *, drop_last: bool) -> Iterator[_Crops]:
    """Cuts pools into batches; what is left of one goes into the next."""
    position_P, jpegs = np.empty(0, dtype=np.int64), list[bytes]()
    for pool in pools:
        position_P, jpegs = np.concatenate([position_P, pool.position_B]), jpegs + pool.jpegs
        whole = len(jpegs) - len(jpegs) % batch_size
        for start in range(0, whole, batch_size):
            yield _Crops(position_P[start : start + batch_size], jpegs[start : start + batch_size])
        position_P, jpegs = position_P[whole:], jpegs[whole:]
    if jpegs and not drop_last:
        yield _Crops(position_P, jpegs)


def _decoded(
    crops: Iterator[_Crops],
    name: Callable[[int], str],
    batch_size: int,
    device: Device,
    threads: int,
    jitter: tuple[Augmentation, np.random.Generator] | None,
) -> Iterator[tuple[Integers, Tensor]]:
    in_flight: deque[_Crops] = deque()

    def source() -> Iterator[list[Any]]:
        for batch in crops:
            in_flight.append(batch)
            yield [_arrays(batch), *(draw(*jitter, len(batch.jpegs)) if jitter else ())]

    pipeline = face_pipeline(
        batch_size=batch_size,
        device=device,
        augment=jitter[0] if jitter else None,
        threads=threads,
        device_id=0 if device == "gpu" else None,
        source=source(),
    )
    while True:
        try:
            (faces,) = pipeline.run()
            faces_BCHW = to_torch_tensor(faces.as_tensor(), copy=True)
        except StopIteration:
            return
        except RuntimeError:
            _name_the_bad(in_flight, name)
            raise
        if faces_BCHW.shape[2:] != (FACE_SIZE_PX, FACE_SIZE_PX):
            _name_the_bad(in_flight, name)
        yield in_flight.popleft().position_B, faces_BCHW


def _arrays(crops: _Crops) -> list[NDArray[np.uint8]]:
    return [np.frombuffer(jpeg, dtype=np.uint8) for jpeg in crops.jpegs]


def _name_the_bad(in_flight: Iterable[_Crops], name: Callable[[int], str]) -> None:
    """The graph fails as a whole, so what it was given is decoded again, one crop at a time, until one fails."""
    for crops in in_flight:
        for position, jpeg in zip(crops.position_B, _arrays(crops), strict=True):
            pipeline = face_pipeline(batch_size=1, device="cpu", augment=None, source=iter([[[jpeg]]]))
            try:
                shape = pipeline.run()[0].shape()[0]
            except RuntimeError as error:
                raise ValueError(f"{name(int(position))}: the crop is not an image; ingest the video again") from error
            if shape != (3, FACE_SIZE_PX, FACE_SIZE_PX):
                expected = f"expected a crop of {FACE_SIZE_PX} x {FACE_SIZE_PX} px"
                raise ValueError(f"{name(int(position))}: {expected}, found {shape[2]} x {shape[1]}; ingest again")

"""JPEGs to pixels: the one DALI graph for training and prediction, on the CPU and the GPU.

The graph is stateless and deterministic; random numbers come from `data.batches.augment.draw`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline

from data.batches.augment import Augmentation, draw
from data.machine import Device
from data.schema import FACE_SIZE_PX

_THREADS_A_CORE = 2
"""Batches decoded in parallel on a CPU: a core starts the next faces while others finish a batch."""
_BATCHES_AHEAD = 4
"""With two, cores would be idle for a tenth of the time, until the next batch arrives."""


def face_pipeline(
    *,
    batch_size: int,
    device: Device,
    augment: Augmentation | None,
    source: Iterator[list[Any]],
    threads: int = 1,
    device_id: int | None = None,
) -> Pipeline:
    """JPEGs -> faces HWC, RGB from 0 to 255: bytes, or with changed colours floats, which may exceed the range.

    `source` gives, per batch, the JPEGs and, with `augment`, the result of `data.batches.augment.draw`.
    """
    if device == "cpu":
        threads *= _THREADS_A_CORE
    pipeline = Pipeline(
        batch_size=batch_size, num_threads=threads, device_id=device_id, prefetch_queue_depth=_BATCHES_AHEAD
    )
    with pipeline:
        num_drawn = len(draw(augment, np.random.default_rng(0), 1)) if augment else 0
        jpegs, *drawn = fn.external_source(source=source, num_outputs=1 + num_drawn, batch=True)
        faces = fn.decoders.image(jpegs, device="mixed" if device == "gpu" else "cpu", output_type=types.RGB)
        if augment:
            faces = _augmented(faces, augment, deque(drawn), device)
        pipeline.set_outputs(faces)
    return pipeline


def _augmented(faces: Any, augment: Augmentation, drawn: deque[Any], device: Device) -> Any:
    """Takes values from `drawn` in the order of `data.batches.augment.draw`."""
    if augment.moves:
        faces = _warped(faces, drawn.popleft(), device)
    if augment.colour:  # left as floats: rounding them here takes as long as the colours themselves
        faces = fn.color_twist(
            faces, brightness=drawn.popleft(), contrast=drawn.popleft(), saturation=drawn.popleft(), dtype=types.FLOAT
        )
    if augment.blur:
        faces = fn.gaussian_blur(faces, sigma=drawn.popleft())
    if augment.erase:
        faces = fn.erase(
            faces, anchor=drawn.popleft(), shape=drawn.popleft(), fill_value=drawn.popleft(), axis_names="HW"
        )
    return faces


def _warped(faces: Any, matrix: Any, device: Device) -> Any:
    """Beyond a crop's edge, its edge pixels repeat. The operators agree within one grey level; one is slow on a CPU."""
    size = (FACE_SIZE_PX, FACE_SIZE_PX)
    if device == "gpu":
        return fn.warp_affine(faces, matrix=matrix, size=size)
    last_row = types.Constant(np.array([[0, 0, 1]], dtype=np.float32))
    return fn.experimental.warp_perspective(
        faces,
        matrix=fn.cat(matrix, last_row, axis=0),
        size=size,
        inverse_map=True,
        pixel_origin="corner",
        border_mode="replicate",
    )

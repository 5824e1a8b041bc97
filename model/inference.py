"""Predictions from faces, as named columns. Letters: N rows of a faces file or labelled frames, B faces of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.batches.labelled_frames import LabelledFrames, frame_indices
from data.batches.loader import batches, face_batches
from data.labels import ALL_ACTION_UNITS, ALL_EXPRESSIONS, Edition, action_unit_column
from data.machine import Device
from model.answers import answer
from model.network import Network

AnyNetwork = TypeVar("AnyNetwork", bound=Network)
Predictions = dict[str, NDArray[np.float32]]
"""`valence` and `arousal` in [-1, 1]; `expression`, the number of the most likely class; a probability `p_<name>` for
each expression and `au<n>` for each action unit of any edition. NaN without a face, or if the edition lacks the column.
"""

COLUMNS = (
    "valence",
    "arousal",
    "expression",
    *(f"p_{name}" for name in ALL_EXPRESSIONS),
    *(action_unit_column(unit) for unit in ALL_ACTION_UNITS),
)


def predict(
    network: Network,
    faces_file: Path,
    edition: Edition,
    *,
    batch_size: int = 80,
    device: Device = "cpu",
    threads: int = 1,
) -> tuple[NDArray[np.int64], Predictions]:
    """The frame index of every row of a faces file, and its predictions.

    Raises:
        ValueError: A crop cannot be read; the message names track and frame.
    """
    frame_index_N = frame_indices(faces_file)
    faces = face_batches(faces_file, batch_size=batch_size, device=device, threads=threads)
    rows = ((np.searchsorted(frame_index_N, frame_index_B), faces_BCHW) for frame_index_B, faces_BCHW in faces)
    return frame_index_N, _predict(network, rows, len(frame_index_N), edition, device)


def predict_frames(
    network: Network, frames: LabelledFrames, *, batch_size: int = 80, device: Device = "cpu", threads: int = 1
) -> Predictions:
    """Predictions for labelled frames, in their order; `model.scores.metrics` compares them with `frames.truth()`."""
    faces = (batch.faces_BCHW for batch in batches(frames, batch_size=batch_size, device=device, threads=threads))
    order_N = np.arange(len(frames))
    rows = ((order_N[k * batch_size : (k + 1) * batch_size], faces_BCHW) for k, faces_BCHW in enumerate(faces))
    return _predict(network, rows, len(frames), frames.edition, device)


def place(network: AnyNetwork, device: Device) -> AnyNetwork:
    """Moves a network to the device, in the memory format with the fastest convolutions."""
    moved: AnyNetwork = network.to("cuda" if device == "gpu" else "cpu", memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def _predict(
    network: Network,
    rows: Iterator[tuple[NDArray[np.int64], Tensor]],
    num_rows: int,
    edition: Edition,
    device: Device,
) -> Predictions:
    columns = {name: np.full(num_rows, np.nan, dtype=np.float32) for name in COLUMNS}
    network = place(network, device).eval()
    with torch.inference_mode():
        for row_B, faces_BCHW in rows:
            for name, values_B in answer(network, faces_BCHW, edition).items():
                columns[name][row_B] = values_B.float().cpu().numpy()
    return columns

"""A finished model: the network, an optional temporal head on its features, and fitted postprocessing.

Letters: N rows of a faces file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data.labels import Edition, Task
from data.landmarks.kept import read_landmarks
from data.machine import Device
from data.store.damage import read_json
from data.store.shards import write_file
from model.inference import COLUMNS, Predictions, place, predict
from model.network import Network
from model.postprocessing.fitting import Fit, Fits, finish
from model.systems.geometry_pls.network import GeometryPls
from model.systems.geometry_pls.predictions import predict_points
from model.systems.mtanet.network import mtanet
from model.systems.registry import load_checkpoint
from model.temporal.checkpoint import HEAD, load_head
from model.temporal.features import track_features
from model.temporal.head import TemporalHead, answer_track
from model.training.loop import MODEL

FITTED = "fitted.json"
"""File of the fitted postprocessing, by task; a model without this file has none."""
VERSION = 1
FILES = (MODEL, str(Path(MODEL).with_suffix(".json")), HEAD, FITTED)
"""The files of a model; only the first two always exist."""
SMOOTHED = ("valence", "arousal")


@dataclass(frozen=True, eq=False)
class Finished:
    """A model loaded from its folder. If it has a temporal head, the predictions are those of the head."""

    network: Network
    edition: Edition
    head: TemporalHead | None = None
    fits: Fits = field(default_factory=dict)


def load_finished(folder: Path, *, device: Device = "cpu") -> Finished:
    """Loads the model of a folder, in eval mode, onto the device.

    Raises:
        ValueError: One of its files is missing, damaged or of another version.
    """
    checkpoint = load_checkpoint(folder / MODEL)
    network = place(checkpoint.network, device).eval()
    head = None
    if (folder / HEAD).is_file():
        head = load_head(folder / HEAD).head.to(_torch_device(device)).eval()
    return Finished(network, checkpoint.edition, head, load_fits(folder))


def predict_track(
    model: Finished, faces_file: Path, *, device: Device = "cpu", threads: int = 1, landmarks: Path | None = None
) -> tuple[NDArray[np.int64], Predictions]:
    """The frame index of every row of a faces file, and the model's predictions, before postprocessing.

    The crops are decoded in `threads` threads. A network that answers from points of the face reads them from the
    video's folder of `landmarks`, or finds them in the crops without.

    Raises:
        ValueError: A crop cannot be read; the message names track and frame.
    """
    if landmarks is not None and isinstance(model.network, GeometryPls):
        kept = read_landmarks(landmarks, faces_file.stem)
        return kept.frame_index_N, predict_points(model.network, kept.points_NP3, model.edition)
    if model.head is None:
        return predict(model.network, faces_file, model.edition, device=device, threads=threads)
    frame_index_N, features_NC = track_features(mtanet(model.network), faces_file, device=device, threads=threads)
    with torch.inference_mode():
        found = answer_track(model.head, torch.from_numpy(features_NC).to(_torch_device(device)), model.edition)
    missing = {name: np.full(len(frame_index_N), np.nan, dtype=np.float32) for name in COLUMNS}
    return frame_index_N, {**missing, **{name: values_N.cpu().numpy() for name, values_N in found.items()}}


def finished_columns(
    model: Finished, frame_index_N: NDArray[np.int64], predicted: Predictions
) -> dict[str, NDArray[Any]]:
    """Applies fitted postprocessing to one track: `smoothed_valence`, `smoothed_arousal`, `decided_expression` (a class
    number) and `decided_au<n>` (0 or 1) for each unit of the edition; NaN where there is no face.
    """
    answers = finish(
        predicted,
        model.fits,
        model.edition,
        track_index_N=np.zeros(len(frame_index_N), dtype=np.int64),
        frame_index_N=frame_index_N,
    )
    return {f"{'smoothed' if name in SMOOTHED else 'decided'}_{name}": values_N for name, values_N in answers.items()}


def save_fits(folder: Path, fits: Fits, about: Mapping[str, Any]) -> None:
    """Saves fitted postprocessing with a model; `about` is JSON-like metadata on the data it was fitted on."""
    facts = {"version": VERSION, "fits": {task: asdict(fit) for task, fit in fits.items()}, "about": about}
    write_file(folder / FITTED, json.dumps(facts, indent=2) + "\n")


def load_fits(folder: Path) -> Fits:
    """The fitted postprocessing of a model; empty if it has none.

    Raises:
        ValueError: The file is damaged, or of another version.
    """
    path = folder / FITTED
    if not path.is_file():
        return {}
    facts = read_json(path, "restore it, or delete it to answer without fitted postprocessing")
    if facts.get("version") != VERSION:
        raise ValueError(f"{path}: expected version {VERSION}, found {facts['version']}; train again")
    return {Task(task): Fit(**fit) for task, fit in facts["fits"].items()}


def _torch_device(device: Device) -> str:
    return "cuda" if device == "gpu" else "cpu"

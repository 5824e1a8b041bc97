"""Features of each face of a track from the frozen network, stored on disk to train the temporal head.

Letters: N rows of a faces file, B faces, C features.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data.batches.labelled_frames import Integers, frame_indices
from data.batches.loader import face_batches
from data.machine import Device
from data.store.access import hold
from data.store.shards import is_whole, write_folder, write_manifest
from model.systems.mtanet.network import MTANet

VERSION = 1
"""Increase it when the same network gives other features for the same faces."""

Features = NDArray[np.float32] | NDArray[np.float16]


def track_features(
    network: MTANet, faces_file: Path, *, batch_size: int = 80, device: Device = "cpu", threads: int = 1
) -> tuple[Integers, NDArray[np.float32]]:
    """The frame index of every row of a faces file, and `features_NC`: NaN where there is no face.

    Args:
        network: In eval mode, on the device.

    Raises:
        ValueError: A crop cannot be read; names track and frame.
    """
    frame_index_N = frame_indices(faces_file)
    features_NC = np.full((len(frame_index_N), network.valence_arousal.in_features), np.nan, dtype=np.float32)
    with torch.inference_mode():
        for frame_index_B, faces_BCHW in face_batches(
            faces_file, batch_size=batch_size, device=device, threads=threads
        ):
            found_BC = network.features(faces_BCHW.contiguous(memory_format=torch.channels_last))
            features_NC[np.searchsorted(frame_index_N, frame_index_B)] = found_BC.float().cpu().numpy()
    return frame_index_N, features_NC


def keep_features(
    folder: Path, network: MTANet, faces_files: Sequence[Path], *, store: Path, device: Device = "cpu", threads: int = 1
) -> int:
    """Writes the features of a video's tracks as `<track_id>.npy`, in half precision; returns the number of new rows.

    Returns 0 if the folder is complete: its name is the digest of the network and the faces.
    """
    num_rows = 0
    with hold(store, f"features-{folder.name}", what=f"the features {folder.name}"):
        if is_whole(folder):
            return num_rows
        with write_folder(folder) as partial:
            for faces_file in faces_files:
                _, features_NC = track_features(network, faces_file, device=device, threads=threads)
                np.save(partial / f"{faces_file.stem}.npy", features_NC.astype(np.float16), allow_pickle=False)
                num_rows += len(features_NC)
            write_manifest(partial, {"version": VERSION, "rows": num_rows})
    return num_rows


def read_features(folder: Path, track_id: str) -> Features:
    """The features of a track that `keep_features` wrote, memory-mapped: only the rows used are read."""
    features_NC: Features = np.load(folder / f"{track_id}.npy", mmap_mode="r", allow_pickle=False)
    return features_NC

"""Training data of the temporal head: tracks with features and labels, cut into windows.

Letters: B windows, T frames of each, C features, L labels (valence, arousal, expression, units), N rows of a track, F
labelled frames, M rows with a face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.batches.labelled_frames import LabelledFrames, frame_indices
from model.temporal.features import Features

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LabelledTrack:
    """Features and labels of a track, one row per frame; NaN where there is no face or no label, respectively."""

    track_id: str
    features_NC: Features
    labels_NL: Floats


@dataclass(frozen=True, eq=False)
class Window:
    """Row numbers of a track; those before its first or after its last row are padding."""

    track: int
    row_T: NDArray[np.int64]


def labelled_tracks(frames: LabelledFrames, features_of: Callable[[str], Features]) -> list[LabelledTrack]:
    """The tracks of the labelled frames, with labels on these frames only; `features_of` returns a track's features."""
    labels_FL = np.concatenate(
        [frames.valence_arousal_N2, frames.expression_N[:, None], frames.action_units_NU], axis=1
    )
    tracks = []
    for track_index in np.unique(frames.track_index_N):
        features_NC = features_of(frames.track_ids[track_index])
        position_F = np.flatnonzero(frames.track_index_N == track_index)
        row_F = np.searchsorted(frame_indices(frames.faces_files[track_index]), frames.frame_index_N[position_F])
        labels_NL = np.full((len(features_NC), labels_FL.shape[1]), np.nan, dtype=np.float32)
        labels_NL[row_F] = labels_FL[position_F]
        tracks.append(LabelledTrack(frames.track_ids[track_index], features_NC, labels_NL))
    return tracks


def mean_and_scale(tracks: Sequence[LabelledTrack]) -> tuple[Floats, Floats]:
    """Mean and standard deviation (+ 0.001) of each feature over all faces; reads one track at a time."""
    count, sum_C, squares_C = 0, np.zeros(1), np.zeros(1)
    for track in tracks:
        known_MC = track.features_NC[~np.isnan(track.features_NC[:, 0])].astype(np.float64)
        count += len(known_MC)
        sum_C, squares_C = sum_C + known_MC.sum(axis=0), squares_C + np.square(known_MC).sum(axis=0)
    mean_C = sum_C / count
    scale_C = np.sqrt(np.maximum(squares_C / count - np.square(mean_C), 0)) + 1e-3
    return mean_C.astype(np.float32), scale_C.astype(np.float32)


def windows_of(tracks: Sequence[LabelledTrack], *, length: int, frame_step: int, seed: int, epoch: int) -> list[Window]:
    """The windows of an epoch in random order. They tile each track, starting from a random frame."""
    random = np.random.default_rng((seed, epoch))
    span = length * frame_step
    windows = []
    for number, track in enumerate(tracks):
        first = random.integers(frame_step) - random.integers(span)
        for start in range(first, len(track.features_NC), span):
            row_T = np.arange(start, start + span, frame_step)
            if ((row_T >= 0) & (row_T < len(track.features_NC))).any():
                windows.append(Window(number, row_T))
    return [windows[index] for index in random.permutation(len(windows))]


def read_windows(tracks: Sequence[LabelledTrack], windows: Sequence[Window]) -> tuple[Floats, Floats]:
    """Features (BTC) and labels (BTL) of the windows; both are NaN beyond the ends of a track."""
    length = len(windows[0].row_T)
    features_BTC, labels_BTL = (
        np.full((len(windows), length, columns), np.nan, dtype=np.float32)
        for columns in (tracks[0].features_NC.shape[1], tracks[0].labels_NL.shape[1])
    )
    for number, window in enumerate(windows):
        track = tracks[window.track]
        within_T = (window.row_T >= 0) & (window.row_T < len(track.features_NC))
        features_BTC[number, within_T] = track.features_NC[window.row_T[within_T]]
        labels_BTL[number, within_T] = track.labels_NL[window.row_T[within_T]]
    return features_BTC, labels_BTL

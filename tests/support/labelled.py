"""Labelled frames without files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.batches.labelled_frames import LabelledFrames
from data.labels import Edition


def frames_of(
    tracks: list[int],
    *,
    valence: Sequence[float] | None = None,
    expression: Sequence[float] | None = None,
    au1: Sequence[float] | None = None,
    au2: Sequence[float] | None = None,
) -> LabelledFrames:
    """Frames with these labels, one row group a track; a task that is not given labels nothing."""
    num_frames = len(tracks)
    track_index_N = np.array(tracks)
    units_NU = np.full((num_frames, 8), math.nan, dtype=np.float32)
    units_NU[:, 0] = au1 or math.nan
    units_NU[:, 1] = au2 or math.nan
    affect_N = np.array(valence or [math.nan] * num_frames, dtype=np.float32)
    return LabelledFrames(
        edition=Edition.ABAW_2020,
        faces_files=tuple(Path(f"video{track}.parquet") for track in range(max(tracks) + 1)),
        track_index_N=track_index_N,
        frame_index_N=np.arange(num_frames),
        group_N=np.zeros(num_frames, dtype=np.int64),
        row_N=np.arange(num_frames),
        valence_arousal_N2=np.stack([affect_N, affect_N * 0], axis=1),
        expression_N=np.array(expression or [math.nan] * num_frames, dtype=np.float32),
        action_units_NU=units_NU,
    )

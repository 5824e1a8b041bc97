"""Averages over time within a track. Letters: N rows of any tracks in any order, C columns, M rows with values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def smooth(
    values_NC: NDArray[np.floating], track_index_N: NDArray[np.int64], frame_index_N: NDArray[np.int64], window: int
) -> Floats:
    """The mean over the frames of the same track at most `window // 2` frames before or after; NaN where a row has one.

    Rows with a NaN (no face) count for nothing. Towards the ends of a track, and of a gap that the window does not
    reach across, the window shrinks on both sides: a mean over more of one side would lag behind a slope. Averages of
    probabilities that add up to 1 still do.

    Raises:
        ValueError: The window is even or below 1.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"a centred window has an odd number of frames, got {window}")
    smoothed_NC = np.full(values_NC.shape, np.nan)
    row_M = np.flatnonzero(~np.isnan(values_NC).any(axis=1))
    if len(row_M) == 0 or window == 1:
        smoothed_NC[row_M] = values_NC[row_M]
        return smoothed_NC
    row_M = row_M[np.lexsort((frame_index_N[row_M], track_index_N[row_M]))]
    reach = window // 2
    # One axis for all tracks, on which frames of two of them are further apart than any window reaches.
    place_M = track_index_N[row_M] * (int(frame_index_N.max()) + window + 1) + frame_index_N[row_M]
    starts_M = np.diff(place_M, prepend=place_M[0] - window) > reach
    starts_M[0] = True
    stretch_M = np.cumsum(starts_M) - 1
    first_M = place_M[starts_M][stretch_M]
    last_M = place_M[np.append(starts_M[1:], True)][stretch_M]
    reach_M = np.minimum(reach, np.minimum(place_M - first_M, last_M - place_M))
    from_M = np.searchsorted(place_M, place_M - reach_M, side="left")
    to_M = np.searchsorted(place_M, place_M + reach_M, side="right")
    sums_MC = np.concatenate([np.zeros((1, values_NC.shape[1])), values_NC[row_M].astype(np.float64).cumsum(axis=0)])
    smoothed_NC[row_M] = (sums_MC[to_M] - sums_MC[from_M]) / (to_M - from_M)[:, None]
    return smoothed_NC

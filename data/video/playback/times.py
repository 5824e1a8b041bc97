"""The times of frames, complete and increasing. Shapes: F frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHORTEST_S = 0.001
"""Of two frames at the same time, the second is this much later."""
_USUAL_S = 0.04


def complete_times(times_s_F: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times that strictly increase; a missing one (NaN) lies between its neighbours, or follows at the usual pace."""
    known_N = np.flatnonzero(~np.isnan(times_s_F))
    if not len(known_N):
        return np.arange(len(times_s_F), dtype=np.float64) * _USUAL_S
    step_s = usual_step_s(times_s_F[known_N], known_N)
    frames_F = np.arange(len(times_s_F))
    first, last = known_N[0], known_N[-1]
    times_F: NDArray[np.float64] = np.interp(frames_F, known_N, times_s_F[known_N])
    times_F[:first] = times_s_F[first] - step_s * (first - frames_F[:first])
    times_F[last + 1 :] = times_s_F[last] + step_s * (frames_F[last + 1 :] - last)
    late_F = times_F - SHORTEST_S * frames_F  # must not decrease
    if bool((np.diff(times_F) <= 0).any()):
        times_F = np.maximum.accumulate(late_F) + SHORTEST_S * frames_F.astype(np.float64)
    return times_F


def usual_step_s(times_s_N: NDArray[np.float64], frames_N: NDArray[np.int64] | None = None) -> float:
    """The median time from one frame to the next."""
    if len(times_s_N) < 2:
        return _USUAL_S
    apart_N = np.diff(times_s_N) / (1 if frames_N is None else np.diff(frames_N))
    return max(float(np.median(apart_N)), SHORTEST_S)

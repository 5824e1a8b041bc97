"""Where a detector's windows fire: faces under the probabilities of each part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


def fired_windows(
    faces_NHWC: NDArray[np.uint8], probabilities_NPGG: NDArray[np.float32], parts: Sequence[str]
) -> Figure:
    """A row for each face: as it is, then for each part its windows, the brighter the more probable.

    Letters: N faces, H height, W width, C RGB, P parts, G windows along a side.
    """
    num_faces, size = len(faces_NHWC), faces_NHWC.shape[1]
    figure = Figure(figsize=(1.15 * (len(parts) + 1), 1.15 * num_faces + 0.4), layout="constrained")
    all_axes = figure.subplots(num_faces, len(parts) + 1, squeeze=False)
    for row, face_HWC in enumerate(faces_NHWC):
        all_axes[row, 0].imshow(face_HWC)
        for part, name in enumerate(parts):
            axes = all_axes[row, part + 1]
            axes.imshow(face_HWC.mean(axis=2), cmap="gray", vmin=0, vmax=255)
            windows = probabilities_NPGG[row, part]
            axes.imshow(windows, cmap="inferno", alpha=0.6, vmin=0, vmax=1, extent=(0, size, size, 0))
            if row == 0:
                axes.set_title(name, fontsize=8)
    for axes in all_axes.flat:
        axes.axis("off")
    return figure

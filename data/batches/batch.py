"""A batch of labelled faces. Letters: B faces, C colours, H height, W width, U action units of the edition."""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Aligned faces with their labels; missing labels are NaN in every label tensor.

    `faces_BCHW` is float32 RGB in [-1, 1]; `expression_B` holds class numbers and `action_units_BU` 0 or 1, as float32;
    `track_index_B` and `frame_index_B` (int64) identify the track and frame of each face.
    """

    faces_BCHW: Tensor
    valence_arousal_B2: Tensor
    expression_B: Tensor
    action_units_BU: Tensor
    track_index_B: Tensor
    frame_index_B: Tensor

    def to(self, device: str) -> Batch:
        return Batch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

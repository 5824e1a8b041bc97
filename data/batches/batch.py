"""A batch of labelled faces. Letters: B faces, C colours, H height, W width, U action units of the edition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Aligned faces with their labels; missing labels are NaN in every label tensor.

    `faces_BCHW` is float32 RGB in [-1, 1]; `expression_B` holds class numbers and `action_units_BU` 0 or 1, as float32;
    `track_index_B` and `frame_index_B` (int64) identify the track and frame of each face. `extras` are what a system
    needs besides, by name, with a row for each face (`LabelledFrames.extras`).
    """

    faces_BCHW: Tensor
    valence_arousal_B2: Tensor
    expression_B: Tensor
    action_units_BU: Tensor
    track_index_B: Tensor
    frame_index_B: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, without the extras."""
        return {name: value for name, value in vars(self).items() if name != "extras"}

    def to(self, device: str) -> Batch:
        extras = {name: tensor.to(device, non_blocking=True) for name, tensor in self.extras.items()}
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in self.tensors.items()}
        return replace(self, **moved, extras=extras)

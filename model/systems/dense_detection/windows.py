"""A grid of windows over the face: which of them hold a facial part or show an action unit.

Letters: B faces, P parts (the five landmarks, then the action units of the edition), U action units, G windows along
a side, K places of a unit.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from data.schema import FACE_SIZE_PX

STRIDE_PX = 16
"""Between the centres of windows: the stride of the trunk after its third stage."""
NUM_LANDMARKS = 5


def _mix(right_eye: float, left_eye: float, nose: float, right_mouth: float, left_mouth: float) -> tuple[float, ...]:
    return (right_eye, left_eye, nose, right_mouth, left_mouth)


_INNER_BROWS = (_mix(1.05, 0.55, -0.6, 0, 0), _mix(0.55, 1.05, -0.6, 0, 0))
_OUTER_BROWS = (_mix(1.3, 0.3, -0.6, 0, 0), _mix(0.3, 1.3, -0.6, 0, 0))
_EYES = (_mix(1, 0, 0, 0, 0), _mix(0, 1, 0, 0, 0))
_CHEEKS = (_mix(0.6, 0, 0, 0.4, 0), _mix(0, 0.6, 0, 0, 0.4))
_UPPER_LIP = (_mix(0, 0, 0.4, 0.3, 0.3),)
_MOUTH_CORNERS = (_mix(0, 0, 0, 1, 0), _mix(0, 0, 0, 0, 1))
_MOUTH = (_mix(0, 0, 0, 0.5, 0.5),)
_CHIN = (_mix(0, 0, -0.6, 0.8, 0.8),)
PLACES: dict[int, tuple[tuple[float, ...], ...]] = {
    1: _INNER_BROWS,
    2: _OUTER_BROWS,
    4: _INNER_BROWS,
    6: _CHEEKS,
    7: _EYES,
    10: _UPPER_LIP,
    12: _MOUTH_CORNERS,
    15: _MOUTH_CORNERS,
    20: _MOUTH_CORNERS,
    23: _MOUTH,
    24: _MOUTH,
    25: _MOUTH,
    26: _CHIN,
}
"""Where each action unit is seen: weights of the five landmarks, with sum 1, so that a place moves with the face. A
brow is above its eye by 0.6 of the distance from nose to eyes; the regions are those of the FACS manual.
"""


def window_targets(landmarks_B52: Tensor, action_units_BU: Tensor, units: tuple[int, ...], window_px: float) -> Tensor:
    """Whether each window holds each part, `(B, P, G, G)`: 1, 0, or NaN where it is not known.

    A window holds a landmark that is less than half its side from its centre, across and down. It shows an action unit
    if the unit is present and the window holds one of its places. A unit without a label is not known in any window,
    and nothing is known of a face without landmarks.

    Args:
        landmarks_B52: In px of the face.
        action_units_BU: 1 present, 0 absent, NaN without a label.
        units: The FACS numbers of the action units.
        window_px: Side of a window.
    """
    near_BPGG = [_holds(landmarks_B52[:, [number]], window_px) for number in range(NUM_LANDMARKS)]
    for number, unit in enumerate(units):
        places_K5 = landmarks_B52.new_tensor(PLACES[unit])
        near_BGG = _holds(places_K5 @ landmarks_B52, window_px)
        near_BPGG.append(near_BGG * action_units_BU[:, number, None, None])
    known_B111 = ~landmarks_B52.isnan().any(2).any(1)[:, None, None, None]
    return torch.where(known_B111, torch.stack(near_BPGG, dim=1), torch.nan)


def window_loss(logits_BPGG: Tensor, targets_BPGG: Tensor) -> Tensor | None:
    """Binary cross-entropy, averaged over the windows with a known answer. None if there are none."""
    known_BPGG = ~targets_BPGG.isnan()
    if not known_BPGG.any():
        return None
    return functional.binary_cross_entropy_with_logits(logits_BPGG[known_BPGG], targets_BPGG[known_BPGG])


def _holds(places_BK2: Tensor, window_px: float) -> Tensor:
    """Which windows, `(B, G, G)`, hold at least one of the places: 1 or 0."""
    centres_G = torch.arange(STRIDE_PX / 2, FACE_SIZE_PX, STRIDE_PX, device=places_BK2.device)
    x_BKG, y_BKG = ((places_BK2[:, :, axis, None] - centres_G).abs() < window_px / 2 for axis in (0, 1))
    return (y_BKG[..., :, None] & x_BKG[..., None, :]).any(1).float()

"""Which windows hold a part, and what the detector's loss makes of it, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from data.faces.crops import TEMPLATE_52
from data.labels import ALL_ACTION_UNITS
from model.systems.dense_detection.windows import PLACES, window_loss, window_targets

LANDMARKS_B52 = torch.tensor([[(39.0, 41.0), (73.0, 41.0), (56.0, 64.0), (40.0, 88.0), (72.0, 88.0)]])


def test_a_window_holds_the_landmarks_within_half_its_side_of_its_centre() -> None:
    targets_BPGG = window_targets(LANDMARKS_B52, torch.zeros(1, 1), (12,), window_px=16.0)
    # Centres at 8, 24, 40, 56, ...: the right eye at (39, 41) lies in the window around (40, 40) alone.
    assert targets_BPGG.shape == (1, 6, 7, 7)
    assert targets_BPGG[0, 0].nonzero().tolist() == [[2, 2]]
    assert targets_BPGG[0, 1].nonzero().tolist() == [[2, 4]]
    # The nose at (56, 64) is half a side from the windows above and below, and lies in neither.
    assert targets_BPGG[0, 2].nonzero().tolist() == []
    assert targets_BPGG[0, 3].nonzero().tolist() == [[5, 2]]
    wider_BPGG = window_targets(LANDMARKS_B52, torch.zeros(1, 1), (12,), window_px=32.0)
    assert wider_BPGG[0, 0].nonzero().tolist() == [[2, 1], [2, 2], [3, 1], [3, 2]]


def test_a_unit_is_shown_where_it_is_seen_if_present_nowhere_if_absent_and_not_known_without_a_label() -> None:
    landmarks_B52 = LANDMARKS_B52.expand(3, -1, -1)
    targets_BPGG = window_targets(landmarks_B52, torch.tensor([[1.0], [0.0], [math.nan]]), (12,), window_px=16.0)
    shown_BGG = targets_BPGG[:, 5]
    assert shown_BGG[0].nonzero().tolist() == [[5, 2], [5, 4]]  # the corners of the mouth
    assert shown_BGG[1].sum() == 0
    assert shown_BGG[2].isnan().all()


def test_nothing_is_known_of_a_face_without_landmarks() -> None:
    targets_BPGG = window_targets(torch.full((1, 5, 2), math.nan), torch.ones(1, 1), (12,), window_px=16.0)
    assert targets_BPGG.isnan().all()
    assert window_loss(torch.zeros(1, 6, 7, 7), targets_BPGG) is None


def test_every_unit_has_places_that_move_with_the_face_and_lie_on_it() -> None:
    assert PLACES.keys() == set(ALL_ACTION_UNITS)
    for places in PLACES.values():
        for weights in places:
            assert sum(weights) == pytest.approx(1)
            x, y = (sum(w * p for w, p in zip(weights, TEMPLATE_52[:, axis], strict=True)) for axis in (0, 1))
            assert 16 < x < 96
            assert 16 < y < 112
    brow_y, eye_y = (sum(w * p for w, p in zip(PLACES[u][0], TEMPLATE_52[:, 1], strict=True)) for u in (1, 7))
    assert 8 < eye_y - brow_y < 16


def test_the_loss_averages_over_known_windows_only() -> None:
    logits_BPGG, targets_BPGG = torch.zeros(1, 2, 7, 7), torch.full((1, 2, 7, 7), math.nan)
    targets_BPGG[0, 0, 0, 0], targets_BPGG[0, 1, 3, 3] = 1.0, 0.0
    logits_BPGG[0, 0, 0, 0] = 2.0
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert window_loss(logits_BPGG, targets_BPGG) == pytest.approx(expected)

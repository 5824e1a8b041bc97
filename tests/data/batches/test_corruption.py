"""Training labels that are made wrong or withheld: as many as asked for, the same every time, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.batches.corruption import MISTAKEN_FOR, VA_NOISE, Corruption, corrupted
from data.batches.labelled_frames import LabelledFrames
from data.labels import ALL_EXPRESSIONS, EXPRESSIONS, Edition

NUM, TRACKS = 20_000, 10
NAMES = EXPRESSIONS[Edition.ABAW_2020]


@pytest.fixture(scope="module")
def frames() -> LabelledFrames:
    generator = np.random.default_rng(0)
    index = np.arange(NUM)
    return LabelledFrames(
        Edition.ABAW_2020,
        tuple(Path(f"{track}.parquet") for track in range(TRACKS)),
        index % TRACKS,
        index // TRACKS,
        np.zeros(NUM, np.int64),
        index // TRACKS,
        generator.uniform(-0.2, 0.2, (NUM, 2)).astype(np.float32),
        generator.integers(0, 7, NUM).astype(np.float32),
        generator.integers(0, 2, (NUM, 8)).astype(np.float32),
    )


def share(hit_N: Any) -> float:
    return float(np.mean(hit_N))


def test_by_default_nothing_is_corrupted(frames: LabelledFrames) -> None:
    assert not Corruption(seed=3, expression_noise="asymmetric").is_on
    same = corrupted(frames, Corruption())
    for name, labels in frames.truth().items():
        np.testing.assert_array_equal(same.truth()[name], labels)


@pytest.mark.parametrize("wanted", [0.2, 0.4, 0.6])
def test_so_many_expressions_are_any_other_and_nothing_else_changes(frames: LabelledFrames, wanted: float) -> None:
    found = corrupted(frames, Corruption(wrong_expressions=wanted))
    hit_N = found.expression_N != frames.expression_N
    assert share(hit_N) == pytest.approx(wanted, abs=0.015)
    for true in range(7):
        others = np.bincount(found.expression_N[hit_N & (frames.expression_N == true)].astype(int), minlength=7)
        assert others[true] == 0
        assert (np.delete(others, true) / others.sum()) == pytest.approx([1 / 6] * 6, abs=0.04)
    np.testing.assert_array_equal(found.valence_arousal_N2, frames.valence_arousal_N2)
    np.testing.assert_array_equal(found.action_units_NU, frames.action_units_NU)


def test_asymmetric_noise_takes_an_expression_for_one_that_looks_alike(frames: LabelledFrames) -> None:
    assert set(MISTAKEN_FOR) == set(ALL_EXPRESSIONS)
    found = corrupted(frames, Corruption(wrong_expressions=0.4, expression_noise="asymmetric"))
    hit_N = found.expression_N != frames.expression_N
    assert share(hit_N) == pytest.approx(0.4, abs=0.015)
    pairs = {
        (NAMES[int(a)], NAMES[int(b)])
        for a, b in zip(frames.expression_N[hit_N], found.expression_N[hit_N], strict=True)
    }
    assert pairs == {(name, MISTAKEN_FOR[name]) for name in NAMES}


def test_valence_and_arousal_get_noise_within_their_range_or_change_places(frames: LabelledFrames) -> None:
    noisy = corrupted(frames, Corruption(wrong_valence_arousal=0.5)).valence_arousal_N2
    off_N2 = noisy - frames.valence_arousal_N2
    hit_N = (off_N2 != 0).all(axis=1)
    assert share(hit_N) == share((off_N2 != 0).any(axis=1)) == pytest.approx(0.5, abs=0.015)
    assert np.abs(noisy).max() == 1
    inside_N2 = off_N2[hit_N & (np.abs(noisy) < 1).all(axis=1)]
    assert 0.8 * VA_NOISE < inside_N2.std() < VA_NOISE
    swapped = corrupted(
        frames, Corruption(wrong_valence_arousal=0.5, valence_arousal_noise="swapped")
    ).valence_arousal_N2
    np.testing.assert_array_equal(swapped[hit_N], frames.valence_arousal_N2[hit_N][:, ::-1])
    np.testing.assert_array_equal(swapped[~hit_N], frames.valence_arousal_N2[~hit_N])


def test_labels_are_withheld_by_task_and_frames_with_none_left_are_left_out(frames: LabelledFrames) -> None:
    some = corrupted(frames, Corruption(withheld_valence_arousal=0.6, withheld_action_units=0.6))
    assert len(some) == NUM
    for labels in (some.valence_arousal_N2, some.action_units_NU):
        missing_N = np.isnan(labels).any(axis=1)
        assert share(missing_N) == pytest.approx(0.6, abs=0.015)
        np.testing.assert_array_equal(missing_N, np.isnan(labels).all(axis=1))
    assert not np.isnan(some.expression_N).any()
    both = share(np.isnan(np.concatenate([some.valence_arousal_N2, some.action_units_NU], axis=1)).all(axis=1))
    assert both == pytest.approx(0.36, abs=0.015), "the tasks are independent"
    half = Corruption(withheld_valence_arousal=0.5, withheld_expressions=0.5, withheld_action_units=0.5)
    assert len(corrupted(frames, half)) / NUM == pytest.approx(1 - 0.125, abs=0.015)


@pytest.mark.parametrize(("wanted", "expected"), [(0.3, 3), (0.01, 1), (1.0, 10)])
def test_so_many_tracks_keep_their_labels(frames: LabelledFrames, wanted: float, expected: int) -> None:
    found = corrupted(frames, Corruption(labelled_tracks=wanted))
    assert len(np.unique(found.track_index_N)) == expected
    assert len(found) == expected * NUM / TRACKS


def test_a_seed_decides_and_another_draw_is_independent(frames: LabelledFrames) -> None:
    noise = Corruption(wrong_expressions=0.4, withheld_expressions=0.5)

    def labels(corruption: Corruption, draw: int = 0) -> np.ndarray:
        return corrupted(frames, corruption, draw=draw).expression_N

    np.testing.assert_array_equal(labels(noise), labels(noise))
    assert not np.array_equal(labels(noise), labels(noise.but(seed=1)), equal_nan=True)
    np.testing.assert_array_equal(np.isnan(labels(noise)), np.isnan(labels(noise, draw=1)))
    one, two = (labels(noise, draw) != frames.expression_N for draw in (0, 1))
    known_N = ~np.isnan(labels(noise))
    both = share(one[known_N] & two[known_N])
    assert both == pytest.approx(0.16, abs=0.015)

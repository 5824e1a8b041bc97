"""A plateau halves the learning rate, and takes the place of the optimiser's schedule."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from support.little_store import learnable_store

from data.batches.labelled_frames import labelled_frames
from data.labels import Edition, Split
from model.systems.mtanet.method import METHOD
from model.systems.mtanet.settings import Architecture
from model.training.learning import Learning, halvings, learning_rate
from model.training.loop import train


@pytest.mark.parametrize(
    ("sums", "plateau", "expected"),
    [
        ([], 2, 0),
        ([1.0, 2.0, 3.0], 2, 0),
        ([1.0, 0.5, 0.9], 2, 1),
        ([1.0, 0.5, 0.9, 0.8], 2, 1),
        ([1.0, 0.5, 0.9, 0.8, 0.7], 2, 2),
        ([1.0, 0.5, 1.5, 0.8, 0.7], 2, 1),
        ([1.0, 1.0], 1, 1),  # equal is not better
        ([math.nan, 1.0, math.nan], 1, 2),
    ],
)
def test_the_rate_is_halved_after_so_many_epochs_without_a_better_score(
    sums: list[float], plateau: int, expected: int
) -> None:
    assert halvings(sums, plateau) == expected


def test_without_a_plateau_the_optimisers_schedule_holds() -> None:
    cosine = Learning(optimiser="adamw", epochs=10, warm_up=0.0)
    assert learning_rate(cosine, 5, 0.0, halved=3) == pytest.approx(0.5 * cosine.learning_rate)
    assert learning_rate(cosine.but(plateau=2), 5, 0.0, halved=3) == cosine.learning_rate / 8


@pytest.mark.slow
def test_a_training_halves_its_rate_also_after_a_kill(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    files, labels = learnable_store(tmp_path)
    sets = [
        labelled_frames(files, labels, split=split, edition=Edition.ABAW_2020)
        for split in (Split.TRAIN, Split.VALIDATION)
    ]
    # So small a rate changes no answer, so no epoch is better than the first.
    learning = Learning(epochs=4, batch_size=24, learning_rate=1e-30, plateau=1)
    small = Architecture(layers=(1, 1, 1, 1), width=8, neck=8, dropout=0.0)
    records = train(tmp_path / "run", *sets, method=METHOD, architecture=small, learning=learning)
    assert [next(records)["learning_rate"] for _ in range(2)] == [1e-30, 1e-30]
    resumed = list(train(tmp_path / "run", *sets, method=METHOD, architecture=small, learning=learning))
    assert [record["learning_rate"] for record in resumed] == [1e-30, 1e-30, 5e-31, 2.5e-31]

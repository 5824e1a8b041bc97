"""Two processes that share a batch make the step of one process.

The whole batch is that of the single process, twice. With the same seed, each of the two therefore draws the numbers
of the single one, and all means are the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.noisy_pairs import tiny_batch, tiny_network
from support.two_processes import in_two_processes
from torch import Tensor, nan

from data.batches.batch import Batch
from model.systems.noisy_labels.method import step
from model.training.distributed import synchronise_batch_norm, world_size
from model.training.learning import Learning
from model.training.losses import NO_EMPHASIS
from model.training.step import Record, Run, make_optimiser

pytestmark = pytest.mark.slow

LEARNING = Learning(optimiser="sgd", weight_decay=0.0, task_weights="equal", channels_last=False, gradient_clip=10.0)
"""Not Adam, which hides the length of a gradient."""


def _batch() -> Batch:
    """This process's faces, with the labels of the whole batch, of which some are missing."""
    batch = tiny_batch(8)
    batch.expression_B[:3] = nan
    batch.valence_arousal_B2[2:4] = nan
    times = world_size()
    return Batch(
        batch.faces_BCHW,
        batch.valence_arousal_B2.repeat(times, 1),
        batch.expression_B.repeat(times),
        batch.action_units_BU.repeat(times, 1),
        batch.track_index_B.repeat(times),
        batch.frame_index_B.repeat(times),
        {
            "expression_1": (batch.expression_B.flip(0) + 1).remainder(7).repeat(times),
            "valence_arousal_1": batch.valence_arousal_B2.flip(0).repeat(times, 1),
        },
    )


def _steps() -> tuple[list[Record], dict[str, Tensor]]:
    torch.set_num_threads(1)
    network = tiny_network(gan_weight=2.0).train()
    synchronise_batch_norm(network)
    run = Run(network, make_optimiser(network, LEARNING))
    torch.manual_seed(7)
    numbers = [step(run, _batch(), LEARNING, NO_EMPHASIS, rate=1e-2, steps=number) for number in range(3)]
    return numbers, dict(network.named_parameters())


def test_two_processes_make_the_steps_of_one(tmp_path: Path) -> None:
    first, second = in_two_processes(_steps, tmp_path)
    assert first[0] == second[0]
    assert all(map(torch.equal, first[1].values(), second[1].values()))
    alone = _steps()
    for together, single in zip(first[0], alone[0], strict=True):
        assert together == pytest.approx(single, rel=1e-3, abs=1e-4)
    for name, weight in alone[1].items():
        torch.testing.assert_close(first[1][name], weight, rtol=1e-3, atol=1e-4, msg=name)

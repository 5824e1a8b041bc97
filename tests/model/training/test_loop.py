"""Training learns, is exactly repeatable, and resumes exactly after an interruption."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.little_store import learnable_store

from data.batches.augment import Augmentation
from data.batches.labelled_frames import LabelledFrames, labelled_frames
from data.labels import Edition, Split
from model.inference import predict_frames
from model.network import Network
from model.scores.metrics import scores
from model.systems.mtanet.method import METHOD
from model.systems.mtanet.settings import Architecture
from model.systems.registry import load_checkpoint
from model.training.learning import Learning, learning_rate
from model.training.loop import Record, train
from model.training.resume import best_epoch

pytestmark = pytest.mark.slow

TINY = Architecture(layers=(1, 1, 1, 1), width=8, neck=8)
QUICK = Learning(epochs=4, batch_size=16, learning_rate=1e-2, seed=5)

GOLDEN = [
    *(1.7587, 1.7146, 1.6607, 1.5976, 1.5348, 1.4687, 1.4017, 1.3406, 1.2852, 1.2336),
    *(1.1907, 1.1469, 1.1168, 1.0893, 1.0719, 1.0462, 1.0371, 1.0239, 1.0142, 1.0070),
]
"""Losses of 20 steps, as printed by a failing `pytest tests/model/training/test_loop.py -k golden`.

Processors differ by 0.3 %.
"""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelledFrames, LabelledFrames]:
    files, labels = learnable_store(tmp_path_factory.mktemp("store"))
    training, validation = (
        labelled_frames(files, labels, split=split, edition=Edition.ABAW_2020)
        for split in (Split.TRAIN, Split.VALIDATION)
    )
    return training, validation


Sets = tuple[LabelledFrames, LabelledFrames]


def _train(folder: Path, sets: Sets, learning: Learning = QUICK, epochs: int | None = None) -> list[Record]:
    records = train(
        folder,
        *sets,
        method=METHOD,
        architecture=TINY,
        learning=learning,
        augment=Augmentation(flip=0.5, crop=1, colour=1),
        about={"seed": 5},
    )
    return [
        {name: value for name, value in record.items() if name != "images_per_s"} for record in islice(records, epochs)
    ]


def _files(folder: Path) -> dict[str, bytes]:
    content = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    facts = json.loads(content["model.json"])
    for record in facts["records"]:
        del record["images_per_s"]
    return {**content, "model.json": json.dumps(facts).encode()}


def test_a_record_names_losses_weights_rate_speed_and_validation_scores(tmp_path: Path, sets: Sets) -> None:
    calls: list[tuple[int, int, int]] = []
    records = train(
        tmp_path,
        *sets,
        method=METHOD,
        architecture=TINY,
        learning=QUICK.but(epochs=2),
        progress=lambda *call: calls.append(call),
    )
    record = list(records)[1]
    assert set(record) >= {
        "epoch",
        "learning_rate",
        "images_per_s",
        "train/loss",
        *(f"train/{kind}_{task}" for kind in ("loss", "weight") for task in ("va", "expr", "au")),
        "validation/ccc",
        "validation/expression_macro_f1",
        "validation/f1_au12",
        "validation/total",
    }
    assert record["epoch"] == 1
    assert record["learning_rate"] == pytest.approx(0.005)
    assert calls == [(epoch, batch, 3) for epoch in (0, 1) for batch in (1, 2, 3)]


STRONG = QUICK.but(
    optimiser="adamw",
    balance=0.5,
    action_unit_weight=5.0,
    expression_balance="logit_adjustment",
    label_smoothing=0.1,
    ema_decay=0.9,
    gradient_clip=1.0,
    gradient_surgery=True,
    keep_epoch="best",
)


@pytest.mark.parametrize(
    "learning",
    [QUICK, QUICK.but(optimiser="adamw", task_weights="equal"), STRONG],
    ids=["paper", "adamw", "strong"],
)
def test_an_interrupted_training_resumes_to_the_same_curve_and_the_same_bytes(
    tmp_path: Path, sets: Sets, learning: Learning
) -> None:
    whole = _train(tmp_path / "whole", sets, learning)
    killed = tmp_path / "killed"
    _train(killed, sets, learning, epochs=2)
    (killed / "best-0003.safetensors").write_bytes(b"of an epoch that was not finished")
    (killed / "best-0003.json").write_bytes(b"{}")
    (killed / "epoch-0003.safetensors").write_bytes(b"killed before the JSON was written")
    (killed / "epoch-0003.json.partial").write_bytes(b"{")
    assert sorted(path.name for path in killed.glob("epoch-*.json")) == ["epoch-0002.json"]
    assert _train(killed, sets, learning) == whole
    assert _files(killed) == _files(tmp_path / "whole")
    assert sorted(_files(killed)) == ["model.json", "model.safetensors"]


def test_a_finished_training_only_returns_its_records(tmp_path: Path, sets: Sets) -> None:
    first = _train(tmp_path, sets)
    (tmp_path / "epoch-0003.json").write_text("left by an interruption")
    written = (tmp_path / "model.safetensors").stat().st_mtime_ns
    assert _train(tmp_path, sets) == first
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    assert load_checkpoint(tmp_path / "model.safetensors").about == {"seed": 5}


def test_the_loss_curve_of_20_steps_is_the_golden_one(tmp_path: Path, sets: Sets) -> None:
    learning = Learning(epochs=20, batch_size=48, learning_rate=1e-2, seed=1)
    losses = [
        record["train/loss"] for record in train(tmp_path, *sets, method=METHOD, architecture=TINY, learning=learning)
    ]
    assert losses == pytest.approx(GOLDEN, rel=0.01), " ".join(f"{loss:.4f}" for loss in losses)
    assert losses[-1] < losses[0]


def test_training_learns_and_generalises(tmp_path: Path, sets: Sets) -> None:
    learning = Learning(epochs=25, batch_size=16, optimiser="adamw", learning_rate=3e-3, seed=1)
    last = list(train(tmp_path, *sets, method=METHOD, architecture=TINY.but(dropout=0.1), learning=learning))[-1]
    assert last["validation/ccc"] > 0.8
    assert last["validation/action_units_mean_f1"] > 0.8


def test_a_loss_that_is_not_finite_names_the_tracks_and_frames(tmp_path: Path, sets: Sets) -> None:
    broken = replace(sets[0], valence_arousal_N2=np.full_like(sets[0].valence_arousal_N2, math.inf))
    broken.valence_arousal_N2[::2] = 0
    with pytest.raises(
        FloatingPointError, match=r"loss is nan in epoch 0, batch 0, .* frames: video0: \[.*\]; video1: \["
    ):
        _train(tmp_path, (broken, sets[1]))
    assert list(tmp_path.iterdir()) == []


def test_the_best_epoch_is_kept_by_the_official_score_even_below_zero() -> None:
    def records(*totals: float) -> list[Record]:
        return [{"validation/ccc": total - 0.5, "validation/expression": 0.5} for total in totals]

    assert best_epoch(records(-0.9, -0.2, -0.3)) == 1
    assert best_epoch(records(math.nan, -0.9)) == 1
    assert best_epoch(records(0.4, 0.4)) == 0
    with pytest.raises(
        ValueError, match="no labels to choose the best epoch by; keep the last epoch, without patience"
    ):
        best_epoch([{"validation/ccc_valence": 0.3}])


def test_patience_stops_training_and_the_best_epoch_becomes_the_model(tmp_path: Path, sets: Sets) -> None:
    # The rate is far too high, so that sooner or later an epoch is worse than an earlier one.
    learning = QUICK.but(epochs=30, learning_rate=0.2, keep_epoch="best", patience=2)
    records = _train(tmp_path / "best", sets, learning)
    best = best_epoch(records)
    assert len(records) == best + 3 < 30
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["model.json", "model.safetensors"]
    kept = load_checkpoint(tmp_path / "best" / "model.safetensors").network
    assert _scores(kept, sets) == {name: value for name, value in records[best].items() if "validation" in name}
    _train(tmp_path / "last", sets, learning.but(keep_epoch="last"))
    last = load_checkpoint(tmp_path / "last" / "model.safetensors").network
    assert _scores(last, sets) == {name: value for name, value in records[-1].items() if "validation" in name}


def _scores(network: Network, sets: Sets) -> Record:
    found = scores(predict_frames(network, sets[1], batch_size=16), sets[1].truth(), Edition.ABAW_2020)
    return {f"validation/{name}": value for name, value in found.items()}


def test_with_an_average_the_average_is_scored_and_kept(tmp_path: Path, sets: Sets) -> None:
    plain = _train(tmp_path / "plain", sets, QUICK)
    averaged = _train(tmp_path / "averaged", sets, QUICK.but(ema_decay=0.9))
    assert [record["train/loss"] for record in averaged] == [record["train/loss"] for record in plain]
    assert averaged[-1]["validation/ccc"] != plain[-1]["validation/ccc"]
    kept = load_checkpoint(tmp_path / "averaged" / "model.safetensors").network
    assert _scores(kept, sets)["validation/ccc"] == averaged[-1]["validation/ccc"]


@pytest.mark.parametrize("faster", [{"precision": "bfloat16"}, {"channels_last": False}])
def test_a_setting_for_speed_changes_the_curve_by_rounding_only(
    tmp_path: Path, sets: Sets, faster: dict[str, Any]
) -> None:
    learning = QUICK.but(epochs=3)
    plain, fast = (
        _train(tmp_path / name, sets, setting)
        for name, setting in (("plain", learning), ("fast", learning.but(**faster)))
    )
    near = [pytest.approx(record["train/loss"], rel=0.02) for record in plain]
    assert [record["train/loss"] for record in fast] == near


def test_another_networks_checkpoint_is_refused(tmp_path: Path, sets: Sets) -> None:
    _train(tmp_path, sets, epochs=1)
    records = train(tmp_path, *sets, method=METHOD, architecture=TINY.but(neck=16), learning=QUICK)
    with pytest.raises(ValueError, match=r"epoch-0001.safetensors: expected 2020 .*neck=16.*, found 2020 .*neck=8"):
        next(records)


def test_the_papers_rate_falls_linearly_and_the_other_warms_up_and_falls_along_a_cosine() -> None:
    paper = Learning()
    assert [learning_rate(paper, epoch, 0.7) for epoch in (0, 50, 99)] == pytest.approx([1e-3, 5e-4, 1e-5])
    cosine = Learning(epochs=10, optimiser="adamw", learning_rate=1.0, warm_up=0.2)
    rates = [learning_rate(cosine, epoch, 0) for epoch in (0, 1, 2, 6)] + [learning_rate(cosine, 9, 1)]
    assert rates == pytest.approx([0, 0.5, 1, 0.5, 0])

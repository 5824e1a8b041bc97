"""Two processes that share every batch train the same network as one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.little_store import jpeg, label, write_labels, write_track
from support.two_processes import in_two_processes
from torch import Tensor, nn

from data.batches.augment import LANDMARKS, Augmentation
from data.batches.labelled_frames import LabelledFrames, labelled_frames
from data.batches.loader import batches
from data.faces.crops import TEMPLATE_52
from data.labels import Edition, Split
from model.systems.dense_detection.settings import DenseDetectionArchitecture
from model.systems.expr_cnn.settings import ExprCnnArchitecture
from model.systems.mtanet.method import METHOD
from model.systems.mtanet.settings import Architecture
from model.systems.registry import load_checkpoint, method_of
from model.systems.weak_labels.settings import WeakLabelsArchitecture
from model.training import distributed
from model.training.checkpoint import MODEL
from model.training.distributed import (
    all_gather_columns,
    average,
    barrier,
    broadcast_job,
    check_same_on_all_ranks,
    join_process_group,
    receive_job,
    synchronise_batch_norm,
)
from model.training.learning import Learning
from model.training.loop import Record, train
from model.training.resume import Plan, finished

pytestmark = pytest.mark.slow

TINY = Architecture(layers=(1, 1, 1, 1), width=8, neck=8, dropout=0.0)
PAPER = Learning(epochs=4, batch_size=16, learning_rate=1e-2, seed=5)
STRONG = PAPER.but(optimiser="adamw", learning_rate=3e-4, balance=0.5, ema_decay=0.9, gradient_clip=1.0)
RECIPES = {"paper": PAPER, "strong": STRONG.but(keep_epoch="best", label_smoothing=0.1, action_unit_weight=5.0)}
RECIPES["surgery"] = PAPER.but(learning_rate=5e-3, seed=10, gradient_surgery=True)
"""With this seed the order of the tasks matters: losses are 5e-4 off if each process draws its own."""
SYSTEMS = {
    "dense_detection": DenseDetectionArchitecture(**TINY.model_dump()),
    "expr_cnn": ExprCnnArchitecture(filters=(8, 8, 8, 8), dense=(16, 8), dropout=0.0),
    "weak_labels": WeakLabelsArchitecture(**TINY.model_dump()),
}
RECIPES |= dict.fromkeys(SYSTEMS, PAPER) | {"expr_cnn": PAPER.but(learning_rate=1e-4)}


def _sets(folder: Path) -> tuple[LabelledFrames, LabelledFrames]:
    """One training frame in four has valence and arousal, every second an expression; track b has action units.

    The pictures are coarse noise, because in smooth pictures normalisation amplifies rounding errors.
    """
    folder = folder / f"data-{distributed.rank()}"
    folder.mkdir(exist_ok=True)
    noise, files, rows = np.random.default_rng(0), list[Path](), list[Any]()
    for name in ("a", "b", "c"):
        pictures = noise.integers(0, 256, (24, 14, 14, 3), dtype=np.uint8)
        crops = {frame: jpeg(np.kron(picture, np.ones((8, 8, 1), np.uint8))) for frame, picture in enumerate(pictures)}
        files.append(write_track(folder, name, 24, crops=crops))
        rows += [_label(name, frame, float(picture.mean()) / 128 - 1) for frame, picture in enumerate(pictures)]
    labels = write_labels(folder / "labels.parquet", rows)
    training, validation = (
        labelled_frames(files, labels, split=split, edition=Edition.ABAW_2020)
        for split in (Split.TRAIN, Split.VALIDATION)
    )
    return replace(training, extras=_extras(training)), validation


def _extras(frames: LabelledFrames) -> dict[str, np.ndarray]:
    """What the systems need besides: landmarks, and a teacher who fills every second expression."""
    drawn = np.random.default_rng(1)
    every_second_N = np.arange(len(frames)) % 2 == 0
    extras = {
        LANDMARKS: TEMPLATE_52 + drawn.normal(0, 4, (len(frames), 5, 2)),
        "teacher_valence_arousal": drawn.uniform(-1, 1, (len(frames), 2)),
        "teacher_expression": drawn.dirichlet(np.ones(7), len(frames)),
        "teacher_action_units": drawn.uniform(0.1, 0.9, (len(frames), 8)),
        "filled_valence_arousal": np.full((len(frames), 2), np.nan),
        "filled_expression": np.where(every_second_N, 3.0, np.nan),
        "filled_action_units": np.full((len(frames), 8), np.nan),
    }
    return {name: values.astype(np.float32) for name, values in extras.items()}


def _label(name: str, frame: int, level: float) -> Any:
    values: dict[str, Any] = {"expression": frame % 7} if frame % 2 or name == "c" else {}
    if frame % 4 == 0 or name == "c":
        values |= {"valence": level, "arousal": -level}
    if name != "a":
        values |= {f"au{unit}": bool(frame * unit % 3) for unit in (1, 2, 4, 6, 12, 15, 20, 25)}
    split = Split.VALIDATION if name == "c" else Split.TRAIN
    return label(name, frame, split=split.value, **values)


def _records(
    folder: Path, sets: tuple[LabelledFrames, LabelledFrames], learning: Learning, system: str = "mtanet"
) -> list[Record]:
    """Records of a training that was interrupted after the first epoch and resumed."""
    torch.set_num_threads(1)
    how: dict[str, Any] = {"method": method_of(system), "architecture": SYSTEMS.get(system, TINY), "learning": learning}
    list(islice(train(folder, *sets, **how), 1))
    return list(train(folder, *sets, **how))


def _train_all(folder: Path, name: str) -> dict[str, list[Record]]:
    sets = _sets(folder)
    found = {
        recipe: _records(folder / name / recipe, sets, learning, recipe if recipe in SYSTEMS else "mtanet")
        for recipe, learning in RECIPES.items()
    }
    one_frame = (sets[0], sets[1].take(np.arange(1)))
    return {**found, "one frame": _records(folder / name / "one", one_frame, PAPER.but(epochs=1))}


def _try_all(folder: Path) -> dict[str, Any]:
    """Everything that the tests compare, computed in each process."""
    training, _ = sets = _sets(folder)
    rank = distributed.rank()
    found: dict[str, Any] = {"rank": (rank, distributed.world_size()), "records": _train_all(folder, "two")}
    shares = {"batch_size": 8, "shuffle": True, "augment": Augmentation(flip=0.5, crop=1, colour=1), "part": (rank, 2)}
    found["batches"] = [_named(batch) for batch in batches(training, **shares)]  # type: ignore[arg-type]
    found["average"] = average([torch.full((2, 2), float(rank)), torch.tensor([4.0 * rank])])
    found["columns"] = all_gather_columns({"valence": np.full(rank + 1, rank, np.float32)})
    found["normalised"] = _normalised(_numbers().chunk(2)[rank])
    found["error"] = _error(lambda: check_same_on_all_ranks(rank, "the epochs"))
    found["records"]["again"] = _records(folder / "two" / "paper" if rank == 0 else folder / "nothing", sets, PAPER)
    found["left"] = _left_by_a_kill(folder / "two" / "surgery")
    if rank == 0:
        broadcast_job("a job")
    else:
        found["job"] = receive_job()
    return found


def _left_by_a_kill(folder: Path) -> bool:
    """Whether a partial file remains after the second process has checked the folder."""
    left = folder / "epoch-0009.json.partial"
    if distributed.rank() == 0:
        left.touch()
    barrier()
    if distributed.rank() > 0:
        finished(folder, Plan(edition=Edition.ABAW_2020, method=METHOD, architecture=TINY, learning=Learning()))
    barrier()
    return left.exists()


def _named(batch: Any) -> tuple[list[tuple[int, int]], Tensor]:
    names = zip(batch.track_index_B.tolist(), batch.frame_index_B.tolist(), strict=True)
    return list(names), batch.faces_BCHW.clone()


def _numbers() -> Tensor:
    return torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1


def _normalised(part_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The output, its gradient for a loss over the whole batch, and the running variance."""
    part_BCHW = part_BCHW.requires_grad_()
    norm = synchronise_batch_norm(nn.Sequential(nn.BatchNorm2d(3)))  # type: ignore[arg-type]
    normal_BCHW = norm(part_BCHW)
    normal_BCHW.pow(3).sum().backward()
    assert part_BCHW.grad is not None
    return normal_BCHW.detach(), part_BCHW.grad, norm.state_dict()["0.running_var"]


def _error(call: Callable[[], object]) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("two")
    first, second = in_two_processes(_try_all, folder, folder)
    return {**first, "folder": folder}, second


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Record]]]:
    folder = tmp_path_factory.mktemp("alone")
    return folder, _train_all(folder, "one")


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_two_processes_have_the_loss_curve_of_one_to_a_ten_thousandth(
    two: tuple[dict[str, Any], dict[str, Any]], alone: tuple[Path, dict[str, list[Record]]], recipe: str
) -> None:
    assert len(alone[1][recipe]) == RECIPES[recipe].epochs
    for records in (member["records"][recipe] for member in two):
        for epoch, (together, single) in enumerate(zip(records, alone[1][recipe], strict=True)):
            assert set(together) == set(single)
            for name in set(single) - {"images_per_s"}:
                tolerance = 1e-4 if name.startswith("train/loss") else 2e-3
                assert together[name] == pytest.approx(single[name], abs=tolerance, nan_ok=True), (epoch, name)


def test_two_processes_stay_identical_with_gradient_surgery(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    first, second = (
        [
            {name: value for name, value in record.items() if name != "images_per_s"}
            for record in member["records"]["surgery"]
        ]
        for member in two
    )
    assert first == second


def test_only_the_first_process_writes_and_its_network_is_that_of_one_process(
    two: tuple[dict[str, Any], dict[str, Any]], alone: tuple[Path, dict[str, list[Record]]]
) -> None:
    together, single = (
        load_checkpoint(folder / "paper" / MODEL).network.state_dict()
        for folder in (two[0]["folder"] / "two", alone[0] / "one")
    )
    assert set(together) == set(single)
    for name, tensor in single.items():
        torch.testing.assert_close(together[name], tensor, atol=1e-3, rtol=1e-3)


def test_a_process_may_have_no_validation_frames(
    two: tuple[dict[str, Any], dict[str, Any]], alone: tuple[Path, dict[str, list[Record]]]
) -> None:
    (single,) = alone[1]["one frame"]
    for (together,) in (member["records"]["one frame"] for member in two):
        for name in (name for name in single if name.startswith("validation/")):
            assert together[name] == pytest.approx(single[name], abs=2e-3, nan_ok=True), name


def test_the_first_process_decides_whether_a_training_is_finished(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for member in two:
        assert member["records"]["again"] == two[0]["records"]["paper"]
    assert not (two[0]["folder"] / "nothing" / MODEL).exists()


def test_only_the_first_process_removes_partial_files(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert [member["left"] for member in two] == [True, True]


def test_the_parts_of_a_batch_are_the_batch_and_no_frame_comes_twice(
    two: tuple[dict[str, Any], dict[str, Any]], alone: tuple[Path, dict[str, list[Record]]]
) -> None:
    training, _ = _sets(alone[0])
    whole = batches(training, batch_size=8, shuffle=True, augment=Augmentation(flip=0.5, crop=1, colour=1))
    seen = []
    for batch, (names, faces), (other_names, other_faces) in zip(
        whole, *(member["batches"] for member in two), strict=True
    ):
        expected_names, expected_faces = _named(batch)
        assert names + other_names == expected_names
        assert torch.equal(torch.cat([faces, other_faces]), expected_faces)
        seen += expected_names
    assert len(set(seen)) == len(seen) == len(training) // 8 * 8


def test_normalisation_and_its_gradient_are_those_of_the_whole_batch(
    two: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    normal_BCHW, gradient_BCHW, variance_C = _normalised(_numbers())
    parts = [member["normalised"] for member in two]
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), normal_BCHW, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), gradient_BCHW, atol=1e-4, rtol=1e-4)
    for part in parts:
        torch.testing.assert_close(part[2], variance_C)


def test_what_the_processes_exchange(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert [member["rank"] for member in two] == [(0, 2), (1, 2)]
    assert two[1]["job"] == "a job"
    for member in two:
        assert [gradient.tolist() for gradient in member["average"]] == [[[0.5, 0.5], [0.5, 0.5]], [2.0]]
        assert member["columns"]["valence"].tolist() == [0, 1, 1]
        assert (
            member["error"] == "the epochs differ between the processes: [0, 1]; all processes must use the same store"
        )


def test_a_batch_that_cannot_be_shared_evenly_is_refused(tmp_path: Path) -> None:
    training, _ = _sets(tmp_path)
    with pytest.raises(
        ValueError, match="3 processes cannot share a batch of 16 frames evenly: make the batch size a mul"
    ):
        next(batches(training, batch_size=16, shuffle=True, part=(0, 3)))


def test_without_torchrun_one_process_trains_alone() -> None:
    with join_process_group("cpu"):
        assert (distributed.rank(), distributed.world_size()) == (0, 1)
        assert synchronise_batch_norm(nn.BatchNorm2d(3)).__class__ is nn.BatchNorm2d  # type: ignore[arg-type,comparison-overlap]

"""What every system must do: learn, and after a kill end in the same bytes."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from support.little_store import learnable_store
from support.noisy_pairs import TINY as TINY_NOISY

from data.batches.augment import LANDMARKS, Augmentation
from data.batches.labelled_frames import LabelledFrames, labelled_frames
from data.faces.crops import TEMPLATE_52
from data.labels import Edition, Split, Task
from data.settings import Settings
from model.answers import task_columns
from model.finished import finished_columns, load_finished, predict_track
from model.systems.dense_detection.settings import DenseDetectionArchitecture
from model.systems.expr_cnn.settings import ExprCnnArchitecture
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network, load_checkpoint, method_of
from model.systems.settings import SYSTEMS
from model.systems.weak_labels.settings import WeakLabelsArchitecture
from model.training.learning import Learning
from model.training.loop import Record, train

EDITION = Edition.ABAW_2020
_SMALL = {"layers": (1, 1, 1, 1), "width": 8, "neck": 8, "dropout": 0.1}
TINY: dict[str, Settings] = {
    "mtanet": Architecture(**_SMALL),  # type: ignore[arg-type]
    "dense_detection": DenseDetectionArchitecture(**_SMALL),  # type: ignore[arg-type]
    "noisy_labels": TINY_NOISY.but(gan_weight=0.1, adversarial_from_epoch=1),
    "weak_labels": WeakLabelsArchitecture(**_SMALL),  # type: ignore[arg-type]
    "expr_cnn": ExprCnnArchitecture(filters=(8, 8, 8, 8), dense=(16, 8)),
}
LEARNING = Learning(epochs=3, batch_size=16, learning_rate=1e-2, optimiser="adamw", ema_decay=0.5, seed=5)
BY_EPOCHS = [name for name, system in SYSTEMS.items() if system.learns == "by epochs"]


def _train(system: str, folder: Path, store: Path, epochs: int | None = None) -> list[Record]:
    files, labels = learnable_store(store)
    training, validation = (
        labelled_frames(files, labels, split=split, edition=EDITION, tasks=SYSTEMS[system].tasks)
        for split in (Split.TRAIN, Split.VALIDATION)
    )
    records = train(
        folder,
        _with_extras(training),
        validation,
        method=method_of(system),
        architecture=TINY[system],
        learning=LEARNING,
        augment=Augmentation(flip=0.5, crop=0.5),
    )
    return list(islice(records, epochs))


def _with_extras(frames: LabelledFrames) -> LabelledFrames:
    """The frames with all that some system needs; the teacher knows the labels, and has nothing to fill."""
    arrays = {
        LANDMARKS: np.broadcast_to(TEMPLATE_52, (len(frames), 5, 2)),
        "teacher_valence_arousal": frames.valence_arousal_N2,
        "teacher_expression": 0.1 + 0.3 * np.eye(7)[frames.expression_N.astype(int)],
        "teacher_action_units": 0.1 + 0.8 * frames.action_units_NU,
        "expression_1": frames.expression_N,
        "valence_arousal_1": frames.valence_arousal_N2,
        "filled_valence_arousal": np.full((len(frames), 2), np.nan),
        "filled_expression": np.full(len(frames), np.nan),
        "filled_action_units": np.full(frames.action_units_NU.shape, np.nan),
    }
    return replace(frames, extras={name: values.astype(np.float32) for name, values in arrays.items()})


def test_every_system_has_a_tiny_variant_here() -> None:
    assert TINY.keys() == set(BY_EPOCHS)


@pytest.mark.parametrize("system", [name for name, system in SYSTEMS.items() if system.learns != "elsewhere"])
def test_a_system_is_called_the_same_everywhere_and_its_network_answers_its_tasks(system: str) -> None:
    method = method_of(system)
    assert (method.name, method.settings) == (system, SYSTEMS[system].settings)
    assert build_network(EDITION, TINY.get(system, method.settings())).tasks == set(SYSTEMS[system].tasks)


@pytest.mark.slow
@pytest.mark.parametrize("system", BY_EPOCHS)
def test_it_learns_and_after_a_kill_it_ends_in_the_same_bytes(system: str, tmp_path: Path) -> None:
    whole = _train(system, tmp_path / "whole", tmp_path)
    losses = {name.removeprefix("train/loss_") for name in whole[0] if name.startswith("train/loss_")}
    assert losses >= {task.value for task in SYSTEMS[system].tasks}
    assert not losses & {task.value for task in set(Task) - set(SYSTEMS[system].tasks)}
    assert whole[-1]["train/loss"] < whole[0]["train/loss"]
    _train(system, tmp_path / "resumed", tmp_path, epochs=1)
    _train(system, tmp_path / "resumed", tmp_path)
    one, other = ((tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "resumed"))
    assert one == other
    assert load_checkpoint(tmp_path / "whole" / "model.safetensors").system == system


@pytest.mark.slow
@pytest.mark.parametrize("system", BY_EPOCHS)
def test_its_predictions_lack_what_it_does_not_answer(system: str, tmp_path: Path) -> None:
    _train(system, tmp_path / "run", tmp_path)
    model = load_finished(tmp_path / "run")
    files, _ = learnable_store(tmp_path)
    frame_index_N, predicted = predict_track(model, files[0])
    finished = finished_columns(model, frame_index_N, predicted)
    for task in Task:
        names = [name for name in task_columns(task, EDITION) if not name.startswith("p_")]
        for name in names:
            is_missing = np.isnan(predicted[name]).all()
            prefix = "smoothed" if task is Task.VA else "decided"
            assert is_missing == np.isnan(finished[f"{prefix}_{name}"]).all() == (task not in SYSTEMS[system].tasks)

"""The teacher of a system that learns from weak labels: trained, calibrated, and asked for the missing labels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from data.annotations.splits import recording_of
from data.batches.labelled_frames import LabelledFrames
from data.labels import Task
from data.machine import Device
from data.store.access import hold
from data.store.shards import write_file
from data.video.frames import resolve_device
from model.answers import value_columns
from model.inference import Predictions, predict_frames
from model.network import Network
from model.postprocessing.crossfit import deal
from model.systems.registry import load_checkpoint
from model.systems.weak_labels.calibration import (
    Answers,
    Calibration,
    Truth,
    calibrated,
    expected_calibration_error,
)
from model.systems.weak_labels.filling import Filled, counted, extras_of, fill
from model.systems.weak_labels.network import Mirrored
from model.systems.weak_labels.settings import Filling
from model.training.loop import MODEL
from tasks.config import EpochsConfig, MachineConfig, TrainConfig
from tasks.progress import log, show_text
from tasks.tracking import runs
from tasks.training.epochs import cores
from tasks.training.frames import TEACHER_FILE

TABLE = "filled_labels.md"


def teacher_of(config: EpochsConfig) -> TrainConfig:
    """The training of the teacher: an MTANet of the same size that learns in the same way from the given labels."""
    return TrainConfig(**{name: getattr(config, name) for name in TrainConfig.model_fields})


def ask_teacher(
    trained: Path,
    folder: Path,
    training: LabelledFrames,
    complete: LabelledFrames,
    validation: LabelledFrames,
    config: EpochsConfig,
    machine: MachineConfig,
    run_id: str,
) -> None:
    """Fills the missing labels of the training frames into the student's folder.

    The calibration is fitted on all validation recordings; how good it is, is measured with one that was fitted on one
    half of them and tried on the other. A table says how many labels were filled, and how right they are where labels
    were withheld by `[corruption]` and are known. It goes to the run, the log and Prefect.

    Args:
        trained: The teacher's folder.
        folder: The student's folder.
        training: All training frames, with the labels that the student is given.
        complete: The same frames with all their labels.
    """
    device = resolve_device(machine.device)
    network = load_checkpoint(trained / MODEL).network
    on_validation, on_training = (_answers(network, frames, device) for frames in (validation, training))
    calibration = calibrated(on_validation, _truth(validation))
    quality = _calibration_quality(on_validation, validation)
    given = _truth(training)
    filled = fill(given, on_training, calibration, config.part(Filling))
    rows = counted(given, filled, _truth(complete), training.edition)
    page = _page(rows, calibration, quality)
    log.info("%s", page)
    runs.log_text(machine.store, run_id, TABLE, page)
    show_text(page, key="filled-labels", description="What the teacher filled")
    with hold(machine.store, f"models-{folder.name}", what="this training"):
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / TEACHER_FILE, save(extras_of(filled, on_training, calibration)))


def _answers(network: Network, frames: LabelledFrames, device: Device) -> Answers:
    def columns(found: Predictions, names: tuple[str, ...]) -> np.ndarray:
        return np.stack([found[name] for name in names], axis=1).astype(np.float64)

    plain, mirrored = (
        predict_frames(asked, frames, device=device, threads=cores()) for asked in (network, Mirrored(network))
    )
    edition = frames.edition
    return Answers(
        columns(plain, value_columns(Task.VA, edition)),
        columns(mirrored, value_columns(Task.VA, edition)),
        columns(plain, value_columns(Task.EXPR, edition)),
        columns(plain, value_columns(Task.AU, edition)),
    )


def _truth(frames: LabelledFrames) -> Truth:
    labels = (frames.valence_arousal_N2, frames.expression_N, frames.action_units_NU)
    return Truth(*(values.astype(np.float64) for values in labels))


def _calibration_quality(answers: Answers, validation: LabelledFrames) -> dict[str, tuple[float, float]]:
    """The expected calibration error of the expressions and of the units, before and after, in recordings that the
    calibration was not fitted on; empty with fewer than two.
    """
    recordings = [recording_of(track_id) for track_id in validation.track_ids]
    number_T = np.unique(recordings, return_inverse=True)[1]
    half_N = deal(number_T[validation.track_index_N], 2, seed=0)
    if half_N.max() == 0:
        return {}
    truth, plain = _truth(validation), Calibration()
    before_NE, before_NU = plain.expressions(answers), plain.action_units(answers)
    after_NE, after_NU = np.empty_like(before_NE), np.empty_like(before_NU)
    for half in (0, 1):
        fitted_on, tried_on = np.flatnonzero(half_N != half), np.flatnonzero(half_N == half)
        found = calibrated(answers.take(fitted_on), truth.take(fitted_on))
        after_NE[tried_on] = found.expressions(answers.take(tried_on))
        after_NU[tried_on] = found.action_units(answers.take(tried_on))
    known_N, known_NU = ~np.isnan(truth.expression_N), ~np.isnan(truth.action_units_NU)
    quality = {}
    if known_N.any():
        quality["expression"] = tuple(
            expected_calibration_error(
                p_NE[known_N].max(axis=1), p_NE[known_N].argmax(axis=1) == truth.expression_N[known_N]
            )
            for p_NE in (before_NE, after_NE)
        )
    if known_NU.any():
        quality["action units"] = tuple(
            expected_calibration_error(
                np.maximum(p_NU, 1 - p_NU)[known_NU], (p_NU > 0.5)[known_NU] == truth.action_units_NU[known_NU]
            )
            for p_NU in (before_NU, after_NU)
        )
    return quality  # type: ignore[return-value]


def _page(rows: list[Filled], calibration: Calibration, quality: dict[str, tuple[float, float]]) -> str:
    lines = [
        "# Labels that the teacher filled",
        "",
        "| label | missing | filled | share | checked | right, or mean error |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = f"{row.filled / row.missing:.0%}" if row.missing else "-"
        right = f"{row.right:.3f}" if row.checked else "-"
        lines.append(f"| {row.name} | {row.missing} | {row.filled} | {share} | {row.checked} | {right} |")
    lines += [
        "",
        "`missing` of an expression counts the frames without any expression. `checked` are the filled labels whose "
        "truth is known, because `[corruption]` withheld it. `right` is the share of them that are right; of valence "
        "and arousal it is the mean absolute error.",
        "",
        "Calibration: " + ", ".join(f"{name} {value:.3f}" for name, value in asdict(calibration).items()) + ".",
    ]
    lines += [
        f"Expected calibration error of the {name}: {before:.3f} before, {after:.3f} after, in recordings that the "
        "calibration was not fitted on."
        for name, (before, after) in quality.items()
    ]
    return "\n".join(lines) + "\n"

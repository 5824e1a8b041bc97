"""Trains the temporal head on stored features of the frozen network.

All random numbers of an epoch are drawn from (seed, epoch), so an interrupted training resumes exactly.
Letters: B windows, T frames of each, C features, L labels (valence, arousal, expression, units), N rows of a track, M
rows with a face.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW

from data.labels import Edition, action_unit_columns
from data.machine import Device
from model.answers import as_columns
from model.network import Outputs
from model.scores.metrics import scores
from model.systems.mtanet.network import MTANet
from model.temporal.checkpoint import HEAD, HeadCheckpoint, Record, load_head, save_head
from model.temporal.head import TemporalHead, answer_track, build_head
from model.temporal.settings import TemporalArchitecture, TemporalLearning
from model.temporal.windows import LabelledTrack, mean_and_scale, read_windows, windows_of
from model.training.learning import learning_rate
from model.training.losses import NO_EMPHASIS, Emphasis, action_units_loss, expression_loss, valence_arousal_loss

_UNFINISHED = "temporal-unfinished.safetensors"


@dataclass
class _Run:
    head: TemporalHead
    optimiser: AdamW
    records: list[Record] = field(default_factory=list)


def train_head(
    folder: Path,
    network: MTANet,
    training: Sequence[LabelledTrack],
    validation: Sequence[LabelledTrack],
    *,
    edition: Edition,
    architecture: TemporalArchitecture,
    learning: TemporalLearning,
    emphasis: Emphasis = NO_EMPHASIS,
    device: Device = "cpu",
) -> Iterator[Record]:
    """Trains a head, resuming from `folder` if possible, and writes `temporal.safetensors` there.

    Yields one record per epoch, including epochs finished by an earlier call: `temporal/learning_rate`,
    `temporal/train_loss`, the head's scores on the validation tracks (`temporal/<score>`), the scores of the network
    alone on the same features (`temporal/frame_<score>`), and the difference, head minus network
    (`temporal/gain_<score>`).

    Raises:
        FloatingPointError: A loss is not finite; names the tracks of the batch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / HEAD).is_file():
        yield from load_head(folder / HEAD).records
        return
    torch_device = "cuda" if device == "gpu" else "cpu"
    run = _start(folder, network, training, edition, architecture, learning, torch_device)
    frame = _scores(
        validation, lambda features_NC: _frame_answers(network, features_NC, edition), edition, torch_device
    )
    yield from run.records
    for epoch in range(len(run.records), learning.epochs):
        record = _train_epoch(run, training, learning, emphasis, epoch, torch_device)
        run.head.eval()
        found = _scores(
            validation, lambda features_NC: answer_track(run.head, features_NC, edition), edition, torch_device
        )
        run.records.append(record | _compared(found, frame))
        last = epoch + 1 == learning.epochs
        optimiser = {} if last else run.optimiser.state_dict()["state"]
        checkpoint = HeadCheckpoint(head=run.head, edition=edition, records=tuple(run.records), optimiser=optimiser)
        save_head(folder / (HEAD if last else _UNFINISHED), checkpoint)
        yield run.records[-1]
    (folder / _UNFINISHED).unlink(missing_ok=True)


def _start(
    folder: Path,
    network: MTANet,
    training: Sequence[LabelledTrack],
    edition: Edition,
    architecture: TemporalArchitecture,
    learning: TemporalLearning,
    torch_device: str,
) -> _Run:
    records: list[Record] = []
    if (folder / _UNFINISHED).is_file():
        checkpoint = load_head(folder / _UNFINISHED)
        head, records = checkpoint.head, list(checkpoint.records)
    else:
        torch.manual_seed(learning.seed)
        head = build_head(edition, network.valence_arousal.in_features, architecture)
        head.mean_C, head.scale_C = (torch.from_numpy(values_C) for values_C in mean_and_scale(training))
    head = head.to(torch_device)
    optimiser = AdamW(head.parameters(), lr=learning.learning_rate, weight_decay=learning.weight_decay)
    if records:
        optimiser.load_state_dict({**optimiser.state_dict(), "state": checkpoint.optimiser})
    return _Run(head, optimiser, records)


def _train_epoch(
    run: _Run,
    training: Sequence[LabelledTrack],
    learning: TemporalLearning,
    emphasis: Emphasis,
    epoch: int,
    torch_device: str,
) -> Record:
    torch.manual_seed(int(np.random.SeedSequence((learning.seed, epoch)).generate_state(1)[0]))
    run.head.train()
    frame_step = run.head.architecture.frame_step
    windows = windows_of(training, length=learning.window, frame_step=frame_step, seed=learning.seed, epoch=epoch)
    num_batches = math.ceil(len(windows) / learning.batch_size)
    rate, losses = 0.0, []
    for number in range(num_batches):
        batch = windows[number * learning.batch_size : (number + 1) * learning.batch_size]
        rate = learning_rate(learning.schedule, epoch, (number + 0.5) / num_batches)
        features_BTC, labels_BTL = (torch.from_numpy(array).to(torch_device) for array in read_windows(training, batch))
        loss = _loss(run.head(features_BTC), labels_BTL, ~features_BTC[..., 0].isnan(), emphasis)
        if loss is None:
            continue
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            tracks = ", ".join(sorted({training[window.track].track_id for window in batch}))
            raise FloatingPointError(
                f"the loss of the temporal head is {losses[-1]} in epoch {epoch}, batch {number}, "
                f"at learning rate {rate:g}; lower the rate, or check the faces and labels of these tracks: {tracks}"
            )
        for group in run.optimiser.param_groups:
            group["lr"] = rate
        run.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimiser.step()
    return {"temporal/learning_rate": rate, "temporal/train_loss": sum(losses) / max(len(losses), 1)}


def _loss(outputs: Outputs, labels_BTL: Tensor, has_face_BT: Tensor, emphasis: Emphasis) -> Tensor | None:
    """The sum of the task losses over frames with a face; None if no task has a loss there."""
    labels_ML = labels_BTL[has_face_BT]
    losses = (
        valence_arousal_loss(outputs.valence_arousal_B2[has_face_BT], labels_ML[:, :2]),
        expression_loss(outputs.expression_BE[has_face_BT], labels_ML[:, 2], emphasis),
        action_units_loss(outputs.action_units_BU[has_face_BT], labels_ML[:, 3:], emphasis),
    )
    known = [loss for loss in losses if loss is not None]
    return torch.stack(known).sum() if known else None


def _frame_answers(network: MTANet, features_NC: Tensor, edition: Edition) -> dict[str, Tensor]:
    has_face_N = ~features_NC[:, 0].isnan()
    predicted = as_columns(network.heads(features_NC), edition)
    return {name: torch.where(has_face_N, values_N.float(), torch.nan) for name, values_N in predicted.items()}


def _scores(
    tracks: Sequence[LabelledTrack], answer: Callable[[Tensor], Mapping[str, Tensor]], edition: Edition, device: str
) -> dict[str, float]:
    """Scores of the predictions of `answer` for complete tracks, on all their labelled frames."""
    predicted, labels = [], []
    for track in tracks:
        row_M = np.flatnonzero(~np.isnan(track.labels_NL).all(axis=1))
        with torch.inference_mode():
            found = answer(torch.from_numpy(track.features_NC.astype(np.float32)).to(device))
        predicted.append({name: values_N.cpu()[row_M] for name, values_N in found.items()})
        labels.append(track.labels_NL[row_M])
    names = ("valence", "arousal", "expression", *action_unit_columns(edition))
    truth = dict(zip(names, np.concatenate(labels).T, strict=True))
    return scores({name: torch.cat([part[name] for part in predicted]) for name in names}, truth, edition)


def _compared(found: Mapping[str, float], frame: Mapping[str, float]) -> Record:
    return {
        **{f"temporal/{name}": value for name, value in found.items()},
        **{f"temporal/frame_{name}": value for name, value in frame.items()},
        **{f"temporal/gain_{name}": value - frame[name] for name, value in found.items()},
    }

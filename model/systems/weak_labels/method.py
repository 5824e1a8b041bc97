"""How the student is trained: from given and filled labels, and towards its teacher's answers.

Letters: B faces, E expressions, U action units.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from data.batches.batch import Batch
from data.labels import Task
from model.network import Outputs
from model.systems.weak_labels.filling import FILLED, TEACHER
from model.systems.weak_labels.network import Student
from model.systems.weak_labels.settings import WeakLabelsArchitecture
from model.training.distributed import all_gather_outputs
from model.training.learning import Learning
from model.training.losses import Emphasis, task_losses, valence_arousal_loss
from model.training.step import Method, Record, Run, descend, forward_pass


def step(run: Run, batch: Batch, learning: Learning, emphasis: Emphasis, *, rate: float, steps: int) -> Record:
    """As `model.training.step.step`, with the student's losses."""
    network = run.network
    assert isinstance(network, Student), "the loop trains the network that the method built"
    outputs = all_gather_outputs(forward_pass(run, batch, learning))
    supervised = supervised_losses(outputs, batch, emphasis, network.filled_weight)
    distilled = distillation_losses(outputs, batch, network.temperature)
    share = network.distillation
    losses = {
        task: (1 - share) * supervised[task] + share * distilled[task] if task in supervised else distilled[task]
        for task in distilled
    }
    return descend(run, losses, learning, rate=rate, steps=steps)


def supervised_losses(outputs: Outputs, batch: Batch, emphasis: Emphasis, filled_weight: float) -> dict[Task, Tensor]:
    """The loss of each task on the given labels and on the filled ones: (n L + w m M) / (n + w m) for n given labels
    with loss L and m filled ones with loss M and weight w each.
    """
    filled = replace(
        batch,
        valence_arousal_B2=batch.extras[f"{FILLED}_valence_arousal"],
        expression_B=batch.extras[f"{FILLED}_expression"],
        action_units_BU=batch.extras[f"{FILLED}_action_units"],
    )
    given_losses, filled_losses = task_losses(outputs, batch, emphasis), task_losses(outputs, filled, emphasis)
    losses = {}
    for task in Task:
        parts = [
            (weight * _num_labels(labels, task), found[task])
            for weight, labels, found in ((1.0, batch, given_losses), (filled_weight, filled, filled_losses))
            if task in found
        ]
        total = sum(weight for weight, _ in parts)
        if total > 0:
            losses[task] = torch.stack([weight / total * loss for weight, loss in parts]).sum()
    return losses


def distillation_losses(outputs: Outputs, batch: Batch, temperature: float) -> dict[Task, Tensor]:
    """How far the outputs are from the teacher's answers: 1 - CCC for valence and arousal; for expressions and units
    the Kullback-Leibler divergence of the softened probabilities, times the temperature squared.

    Source: Hinton et al. (2015), arXiv 1503.02531.
    """
    losses = {}
    found = valence_arousal_loss(outputs.valence_arousal_B2, batch.extras[f"{TEACHER}_valence_arousal"])
    if found is not None:
        losses[Task.VA] = found
    teacher_BE = (batch.extras[f"{TEACHER}_expression"].log() / temperature).softmax(1)
    student_BE = (outputs.expression_BE / temperature).log_softmax(1)
    losses[Task.EXPR] = temperature**2 * functional.kl_div(student_BE, teacher_BE, reduction="batchmean")
    teacher_BU = (batch.extras[f"{TEACHER}_action_units"].logit(1e-6) / temperature).sigmoid()
    student_BU = outputs.action_units_BU / temperature
    apart = functional.binary_cross_entropy_with_logits(student_BU, teacher_BU)
    losses[Task.AU] = temperature**2 * (apart - functional.binary_cross_entropy(teacher_BU, teacher_BU))
    return losses


def _num_labels(batch: Batch, task: Task) -> float:
    labels = {Task.VA: batch.valence_arousal_B2, Task.EXPR: batch.expression_B, Task.AU: batch.action_units_BU}
    return float((~labels[task].isnan()).sum())


METHOD = Method("weak_labels", WeakLabelsArchitecture, Student, step)

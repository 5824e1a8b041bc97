"""The losses of the labels, averaged over label sets, and those of the adversarial game.

Real pairs are the encoder's: a face with its latent code and predicted labels. Fake pairs are the decoder's: a decoded
face with the drawn latent code and noisy labels. `weight_BS` is each score's share in the mean; it sums to 1 over the
whole batch.

Letters: B pairs or faces, S the five scores.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from data.labels import Task
from model.network import Outputs
from model.systems.noisy_labels.pairs import LabelSet
from model.training.losses import NO_EMPHASIS, Emphasis, expression_loss, valence_arousal_loss


def label_losses(outputs: Outputs, sets: Sequence[LabelSet], emphasis: Emphasis = NO_EMPHASIS) -> dict[Task, Tensor]:
    """The loss of each task, averaged over the label sets that define it; a task that none defines is absent."""
    losses = defaultdict[Task, list[Tensor]](list)
    for labels in sets:
        found = {
            Task.VA: valence_arousal_loss(outputs.valence_arousal_B2, labels.valence_arousal_B2),
            Task.EXPR: expression_loss(outputs.expression_BE, labels.expression_B, emphasis),
        }
        for task, loss in found.items():
            if loss is not None:
                losses[task].append(loss)
    return {task: torch.stack(parts).mean() for task, parts in losses.items()}


def discriminator_loss(real_BS: Tensor, fake_BS: Tensor, weight_BS: Tensor) -> Tensor:
    """Hinge loss of every score: 2 if all scores are 0, 0 if all of real pairs are above 1 and of fake below -1."""
    return (weight_BS * ((1 - real_BS).relu() + (1 + fake_BS).relu())).sum()


def encoder_decoder_loss(real_BS: Tensor, fake_BS: Tensor, weight_BS: Tensor) -> Tensor:
    """How much higher real pairs score than fake ones, which encoder and decoder lower."""
    return (weight_BS * (real_BS - fake_BS)).sum()

"""What the discriminators compare: pairs of a face and a code. And the labels that are drawn for the decoder's.

Letters: B pairs, C channels, H height, W width, E expressions, Z numbers of the latent code, N label sets,
S the five scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from data.batches.batch import Batch


@dataclass(frozen=True)
class Pairs:
    """`expression_BE` are logits in a real pair and one-hot in a fake one, as published. `known_B2` (bool): whether the
    expression counts, and whether valence and arousal do."""

    faces_BCHW: Tensor
    latent_BZ: Tensor
    expression_BE: Tensor
    valence_arousal_B2: Tensor
    known_B2: Tensor

    def detached(self) -> Pairs:
        """Without a way back for gradients."""
        return Pairs(*(value.detach() for value in vars(self).values()))

    def and_then(self, others: Pairs) -> Pairs:
        """These pairs, then the others."""
        return Pairs(*(torch.cat([getattr(self, field.name), getattr(others, field.name)]) for field in fields(self)))


@dataclass(frozen=True)
class LabelSet:
    """One opinion on each face of a batch; missing labels are NaN."""

    expression_B: Tensor
    valence_arousal_B2: Tensor

    def known(self) -> Tensor:
        """`known_B2`: whether a face has an expression, and whether it has both valence and arousal."""
        return torch.stack([~self.expression_B.isnan(), ~self.valence_arousal_B2.isnan().any(1)], dim=1)


def label_sets(batch: Batch) -> list[LabelSet]:
    """The labels of the batch, and the further sets `expression_1` and `valence_arousal_1`, `expression_2`, ..."""
    sets = [LabelSet(batch.expression_B, batch.valence_arousal_B2)]
    while f"expression_{len(sets)}" in batch.extras:
        sets.append(LabelSet(batch.extras[f"expression_{len(sets)}"], batch.extras[f"valence_arousal_{len(sets)}"]))
    return sets


def known_to_any(sets: Sequence[LabelSet]) -> Tensor:
    """`known_B2`: whether any set has the expression of a face, and whether any has its valence and arousal."""
    return torch.stack([labels.known() for labels in sets]).any(0)


def draw_labels(sets: Sequence[LabelSet]) -> LabelSet:
    """The labels of a face from one set, drawn at random for each face.

    A label that is missing there comes from another set, and is NaN only if no set has it.
    """
    known_NB2 = torch.stack([labels.known() for labels in sets])
    rank_NB = torch.rand(known_NB2.shape[:2], device=known_NB2.device)
    chosen_B2 = torch.where(known_NB2, rank_NB[:, :, None], -1.0).argmax(0)
    face_B = torch.arange(len(chosen_B2), device=chosen_B2.device)
    expression_NB = torch.stack([labels.expression_B for labels in sets])
    valence_arousal_NB2 = torch.stack([labels.valence_arousal_B2 for labels in sets])
    return LabelSet(expression_NB[chosen_B2[:, 0], face_B], valence_arousal_NB2[chosen_B2[:, 1], face_B])


def has_score(known_B2: Tensor) -> Tensor:
    """`has_score_BS` (bool): every pair has a score of its face, its latent code and the whole, but of known labels
    only."""
    always_B1 = torch.ones_like(known_B2[:, :1])
    return torch.cat([always_B1, always_B1, known_B2, always_B1], dim=1)

"""What every system trains: a network that reads faces and gives valence, arousal, action units and expressions.

Letters: B faces, C channels, H height, W width, U action units, E expressions, T tasks (`data.labels.Task`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data.labels import Task


@dataclass(frozen=True)
class Outputs:
    """The network's outputs for a batch: valence and arousal unsquashed, the rest as logits."""

    valence_arousal_B2: Tensor
    action_units_BU: Tensor
    expression_BE: Tensor


class Network(nn.Module):
    """What is trained and answers: faces in, `Outputs` out, of which those of the tasks that it lacks are NaN.

    `log_sigma_T` are the learned scalars that weight the losses (`model.training.losses`).
    """

    tasks: frozenset[Task] = frozenset(Task)
    """The tasks that it answers."""
    log_sigma_T: nn.Parameter

    def forward(self, faces_BCHW: Tensor) -> Outputs:
        """`faces_BCHW`: RGB in [-1, 1], 112 x 112."""
        raise NotImplementedError

    @property
    def answering(self) -> Sequence[Tensor]:
        """What was learned and is needed to answer; all parameters by default, but for the scalars of the losses."""
        return [weight for weight in self.parameters() if weight is not self.log_sigma_T]

    @property
    def shared(self) -> Sequence[nn.Parameter]:
        """The parameters that all tasks share; none by default."""
        return ()


def missing(like_BX: Tensor, num_columns: int) -> Tensor:
    """The outputs of a task that a network does not answer: NaN, a column for each, for as many faces."""
    return like_BX.new_full((len(like_BX), 1), torch.nan).expand(-1, num_columns)

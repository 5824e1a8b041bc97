"""Says when the adversarial game is over: the discriminators have won, or can tell nothing apart any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile

NUM_EPOCHS = 3
"""Epochs in a row, up to the last, that a state must have lasted."""
WON = 0.1
"""Hinge loss (0 to 2 and more; 2 if all scores are 0) below which the discriminators have won: nearly all scores are
beyond their margins."""
DIED = 0.05
"""Difference of the mean summed scores of real and fake pairs below which the discriminators tell nothing apart."""

_Epoch = Mapping[str, float]


def collapsed(records: Sequence[_Epoch]) -> str | None:
    """A sentence if the discriminators won or died in the last `NUM_EPOCHS` epochs or more; None otherwise.

    Epochs without the adversarial part count as neither.
    """
    won, died = (_lasting(records, is_so) for is_so in (_has_won, _has_died))
    if won >= NUM_EPOCHS:
        return (
            f"the discriminators won: from epoch {len(records) - won + 1} on their loss is below {WON}, so encoder and "
            "decoder have no chance; lower the learning rate or discriminator_steps"
        )
    if died >= NUM_EPOCHS:
        return (
            f"the discriminators died: from epoch {len(records) - died + 1} on real pairs score less than {DIED} above "
            "fake ones, so encoder and decoder learn nothing from them; raise discriminator_steps or lower gan_weight"
        )
    return None


def _lasting(records: Sequence[_Epoch], is_so: Callable[[_Epoch], bool]) -> int:
    """For how many epochs up to the last this has been so."""
    return len(list(takewhile(is_so, reversed(records))))


def _has_won(record: _Epoch) -> bool:
    return record.get("train/loss_discriminator", 2.0) < WON


def _has_died(record: _Epoch) -> bool:
    real, fake = record.get("train/score_real"), record.get("train/score_fake")
    return real is not None and fake is not None and real - fake < DIED

"""Training labels that are made wrong or withheld, to ask how much a method suffers from it.

Everything is drawn from the seed and a frame's place among the frames, so the same settings give the same labels.
Letters: N frames, E expressions.

Sources: symmetric and asymmetric noise as in Patrini et al. (2017), arXiv 1609.03683, with pairs of like expressions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from data.labels import EXPRESSIONS
from data.settings import Settings

if TYPE_CHECKING:
    from data.batches.labelled_frames import LabelledFrames  # the settings are read where torch is not

VA_NOISE = 0.5
"""Standard deviation of Gaussian noise, in units of the labels, which range from -1 to 1."""
MISTAKEN_FOR = {
    "neutral": "sadness",
    "anger": "disgust",
    "disgust": "anger",
    "fear": "surprise",
    "happiness": "neutral",
    "sadness": "neutral",
    "surprise": "fear",
    "other": "neutral",
}
"""What an expression is taken for under asymmetric noise."""

Share = Annotated[float, Field(ge=0, le=1)]


class Corruption(Settings):
    """How training labels are made wrong or withheld; by default not at all. Validation labels are never touched."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Which frames are hit, and how."""
    expression_noise: Literal["symmetric", "asymmetric"] = "symmetric"
    """A wrong expression is any other (`symmetric`) or the one that looks most alike (`asymmetric`)."""
    wrong_expressions: Share = 0.0
    """Share of the expression labels that are wrong."""
    valence_arousal_noise: Literal["gaussian", "swapped"] = "gaussian"
    """Valence and arousal get noise with a standard deviation of 0.5 (`gaussian`), or change places (`swapped`)."""
    wrong_valence_arousal: Share = 0.0
    """Share of the frames whose valence and arousal are wrong."""
    withheld_valence_arousal: Share = 0.0
    """Share of the frames whose valence and arousal are withheld."""
    withheld_expressions: Share = 0.0
    """Share of the frames whose expression is withheld."""
    withheld_action_units: Share = 0.0
    """Share of the frames whose action units are withheld."""
    labelled_tracks: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the tracks that keep their labels; at least one does."""

    @property
    def is_on(self) -> bool:
        return self != Corruption(
            seed=self.seed,
            expression_noise=self.expression_noise,
            valence_arousal_noise=self.valence_arousal_noise,
        )

    def __str__(self) -> str:
        """The settings that are not the default."""
        fields = type(self).model_fields
        return ", ".join(f"{name}={value}" for name, value in self if value != fields[name].default)


def corrupted(
    frames: LabelledFrames, corruption: Corruption, *, draw: int = 0, keeps_unlabelled: bool = False
) -> LabelledFrames:
    """The frames with such labels; without those that have none left, unless they are kept.

    Args:
        frames: Training frames.
        corruption: What is done to their labels.
        draw: Another number gives other wrong labels, drawn independently; what is withheld stays the same.
    """
    wrong, withheld = (np.random.default_rng((corruption.seed, number)) for number in (draw + 1, 0))
    expression_N = _wrong_expressions(frames, corruption, wrong)
    valence_arousal_N2 = _wrong_valence_arousal(frames.valence_arousal_N2, corruption, wrong)
    action_units_NU = frames.action_units_NU.copy()
    tracks = np.unique(frames.track_index_N)
    kept = withheld.permutation(tracks)[: max(1, round(corruption.labelled_tracks * len(tracks)))]
    hidden_N = ~np.isin(frames.track_index_N, kept)
    for labels, share in (
        (valence_arousal_N2, corruption.withheld_valence_arousal),
        (expression_N, corruption.withheld_expressions),
        (action_units_NU, corruption.withheld_action_units),
    ):
        labels[hidden_N | (withheld.random(len(frames)) < share)] = np.nan
    labels_NL = np.concatenate([valence_arousal_N2, expression_N[:, None], action_units_NU], axis=1)
    left = replace(
        frames,
        valence_arousal_N2=valence_arousal_N2,
        expression_N=expression_N,
        action_units_NU=action_units_NU,
    )
    return left if keeps_unlabelled else left.take(np.flatnonzero(~np.isnan(labels_NL).all(axis=1)))


def _wrong_expressions(
    frames: LabelledFrames, corruption: Corruption, generator: np.random.Generator
) -> NDArray[np.float32]:
    names = EXPRESSIONS[frames.edition]
    expression_N = frames.expression_N.copy()
    hit_N = (generator.random(len(frames)) < corruption.wrong_expressions) & ~np.isnan(expression_N)
    further_N = generator.integers(1, len(names), len(frames))  # so many classes further on is any other
    if corruption.expression_noise == "symmetric":
        expression_N[hit_N] = (expression_N[hit_N] + further_N[hit_N]) % len(names)
    else:
        alike_E = np.array([names.index(MISTAKEN_FOR[name]) for name in names], np.float32)
        expression_N[hit_N] = alike_E[expression_N[hit_N].astype(int)]
    return expression_N


def _wrong_valence_arousal(
    valence_arousal_N2: NDArray[np.float32], corruption: Corruption, generator: np.random.Generator
) -> NDArray[np.float32]:
    wrong_N2 = valence_arousal_N2.copy()
    hit_N = generator.random(len(wrong_N2)) < corruption.wrong_valence_arousal
    noise_N2 = generator.normal(0, VA_NOISE, wrong_N2.shape)
    if corruption.valence_arousal_noise == "gaussian":
        wrong_N2[hit_N] = (wrong_N2[hit_N] + noise_N2[hit_N]).clip(-1, 1)
    else:
        wrong_N2[hit_N] = wrong_N2[hit_N][:, ::-1]
    return wrong_N2

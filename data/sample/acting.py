"""The movements of a synthetic face and their labels: action units, expression, valence and arousal per frame.

The labels follow from the movements by a fixed convention, not from human judgement: an expression is a set of
action units after EMFACS; its valence and arousal are `VALENCE_AROUSAL` times its intensity; a unit counts as
present, and an expression as shown, above `THRESHOLD`.

Letters: F frames, U action units, E expressions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.labels import EXPRESSIONS, Edition
from data.sample.curves import Floats, smoothstep, sway
from data.sample.head import UNITS

EDITION = Edition.ABAW_2020
EXPRESSION_NAMES = EXPRESSIONS[EDITION]
THRESHOLD = 0.3

VALENCE_AROUSAL = {
    "neutral": (0.0, 0.0),
    "anger": (-0.55, 0.70),
    "disgust": (-0.65, 0.35),
    "fear": (-0.60, 0.80),
    "happiness": (0.80, 0.50),
    "sadness": (-0.70, -0.45),
    "surprise": (0.20, 0.85),
}
_ALWAYS: dict[str, dict[int, float]] = {
    "neutral": {},
    "anger": {4: 1.0, 7: 0.8, 23: 0.8},
    "disgust": {9: 0.9, 10: 0.9},
    "fear": {1: 1.0, 2: 0.6, 4: 0.55, 5: 0.8, 20: 1.0, 25: 0.6},
    "happiness": {6: 0.9, 12: 1.0, 25: 0.7},
    "sadness": {1: 0.9, 15: 1.0, 17: 0.5},
    "surprise": {1: 1.0, 2: 1.0, 5: 0.9, 25: 0.7, 26: 1.0},
}
"""Expression -> the intensity of its action units at its height."""
_SOMETIMES: dict[str, dict[int, float]] = {
    "neutral": {},
    "anger": {5: 0.3},
    "disgust": {4: 0.6, 25: 0.5},
    "fear": {26: 0.2},
    "happiness": {},
    "sadness": {4: 0.55},
    "surprise": {},
}
"""Units that come along in 6 of 10 cases."""


@dataclass(frozen=True, eq=False)
class Performance:
    """One person's acting. Intensities are in 0..1, valence and arousal in -1..1, angles in radians."""

    units_FU: Floats
    expressions_FE: Floats
    yaw_F: Floats
    pitch_F: Floats
    roll_F: Floats
    gaze_yaw_F: Floats
    gaze_pitch_F: Floats

    @property
    def valence_arousal(self) -> Floats:
        """Valence and arousal (F, 2)."""
        return self.expressions_FE @ np.array([VALENCE_AROUSAL[name] for name in EXPRESSION_NAMES], np.float32)

    @property
    def expression(self) -> NDArray[np.int64]:
        """The class number of the expression shown (F); neutral if none is."""
        shown_F = self.expressions_FE.max(1) > THRESHOLD
        return np.where(shown_F, self.expressions_FE.argmax(1), EXPRESSION_NAMES.index("neutral"))

    def present(self, unit: int) -> NDArray[np.bool_]:
        """Whether an action unit is present (F)."""
        return self.units_FU[:, UNITS.index(unit)] > THRESHOLD


def perform(rng: np.random.Generator, num_frames: int, fps: float) -> Performance:
    """Acts every expression once in 5.5 s, in random order; blinks, glances, nods, and sometimes speaks."""
    time_s = np.arange(num_frames, dtype=np.float32) / np.float32(fps)
    units_FU = np.zeros((num_frames, len(UNITS)), np.float32)
    expressions_FE = np.zeros((num_frames, len(EXPRESSION_NAMES)), np.float32)
    for name, start_s, end_s in _script(rng, num_frames / fps):
        envelope_F = rng.uniform(0.75, 1) * _envelope(rng, time_s, start_s, end_s)
        for unit, height in _units_of(rng, name).items():
            units_FU[:, UNITS.index(unit)] += envelope_F * min(1.0, height * rng.uniform(0.85, 1.1))
        if name != "neutral":
            expressions_FE[:, EXPRESSION_NAMES.index(name)] += envelope_F
    _speak(rng, time_s, units_FU)
    _blink(rng, time_s, units_FU)
    yaw_F = rng.uniform(-0.12, 0.12) + sway(rng, time_s, rng.uniform(0.08, 0.36), 5)
    return Performance(
        units_FU=np.clip(units_FU, 0, 1),
        expressions_FE=expressions_FE,
        yaw_F=yaw_F.astype(np.float32),
        pitch_F=sway(rng, time_s, 0.12, 6),
        roll_F=sway(rng, time_s, 0.10, 7),
        gaze_yaw_F=sway(rng, time_s, 0.15, 3),
        gaze_pitch_F=sway(rng, time_s, 0.08, 4),
    )


def _script(rng: np.random.Generator, length_s: float) -> list[tuple[str, float, float]]:
    """The time span of each acted expression. Every round has all expressions, so that none is rare in any clip."""
    names: list[str] = []
    for _ in range(max(1, round(length_s / 5.5))):
        names.extend(rng.permutation(EXPRESSION_NAMES))
    # Neutral faces also occur between the others.
    shares = rng.uniform(0.8, 1.2, len(names)) * [0.6 if name == "neutral" else 1 for name in names]
    ends_s = np.cumsum(shares) / shares.sum() * length_s
    return list(zip(names, [0.0, *ends_s[:-1].tolist()], ends_s.tolist(), strict=True))


def _envelope(rng: np.random.Generator, time_s: Floats, start_s: float, end_s: float) -> Floats:
    """From 0 to 1 and back, between two moments."""
    length_s = end_s - start_s
    onset_s, offset_s = rng.uniform(0.15, 0.25, 2) * length_s
    return smoothstep(start_s, start_s + onset_s, time_s) * smoothstep(end_s, end_s - offset_s, time_s)


def _units_of(rng: np.random.Generator, name: str) -> dict[int, float]:
    extra = {unit: height for unit, height in _SOMETIMES[name].items() if rng.random() < 0.6}
    return _ALWAYS[name] | extra


def _blink(rng: np.random.Generator, time_s: Floats, units_FU: Floats) -> None:
    lids_F = units_FU[:, UNITS.index(45)]
    at_s = rng.uniform(0.5, 3)
    while at_s < time_s[-1]:
        np.maximum(lids_F, np.cos(np.clip((time_s - at_s) / 0.12, -1, 1) * np.pi / 2), out=lids_F)
        at_s += rng.uniform(2, 5)


def _speak(rng: np.random.Generator, time_s: Floats, units_FU: Floats) -> None:
    """In 4 of 10 clips the mouth opens and closes for a while as in speech, whatever the expression."""
    start_s, end_s = np.sort(rng.uniform(0, time_s[-1], 2))
    speaks = rng.random() < 0.4
    syllables_F = np.abs(np.sin(2 * np.pi * 2.2 * time_s) * np.sin(3.1 * time_s)) * speaks
    syllables_F *= (time_s > start_s) & (time_s < end_s)
    for unit, height in ((25, 0.8), (26, 0.5)):
        mouth_F = units_FU[:, UNITS.index(unit)]
        np.maximum(mouth_F, height * syllables_F, out=mouth_F)

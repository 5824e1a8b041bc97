"""What distinguishes people: ancestry, sex, age, weight, hair and the colours of skin, hair, eyes and shirt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from data.sample.curves import Floats, floats, smoothstep


class Hair(Enum):
    """A hair style: its lower end in mesh coordinates (y), and its distance from the scalp."""

    SHORT = (7.15, 0.10)
    BOB = (6.05, 0.20)
    AFRO = (6.9, 0.34)
    BALD = (7.0, 0.0)

    @property
    def lowest(self) -> float:
        return self.value[0]

    @property
    def volume(self) -> float:
        return self.value[1]

    @property
    def over_ears(self) -> bool:
        return self in (Hair.BOB, Hair.AFRO)


@dataclass(frozen=True, eq=False)
class Traits:
    """The traits of a person; colours are RGB in 0..1.

    `ancestry` mixes MakeHuman's African, Asian and Caucasian targets; `age` is 0 for a young adult and 1 for an old
    person; `weight` is in [-1, 1]. `hairline` is the height (y) at which the hair over the forehead begins.
    """

    ancestry: Floats
    female: bool
    age: float
    weight: float
    hair: Hair
    hairline: float
    skin_colour: Floats
    hair_colour: Floats
    iris_colour: Floats
    shirt_colour: Floats


def _colours(*hexadecimal: str) -> Floats:
    return floats([list(bytes.fromhex(colour)) for colour in hexadecimal]) / np.float32(255)


_SKINS = _colours("ecc8b2", "e0b498", "cd9b7a", "b07c5c", "84583e", "5c3c2c")
"""From light to dark; tones in between are mixed."""
_DARK_HAIRS = _colours("1c1614", "342218")
_OTHER_HAIRS = _colours("1c1614", "342218", "563824", "8c643e", "c4a068", "6e341e")
_GREY = _colours("96928e")[0]
_DARK_IRISES = _colours("462d1c", "5e4024")
_OTHER_IRISES = _colours("462d1c", "5e4024", "566846", "587694", "707c82")

_UNIFORM_COLOUR = (0.1, 0.14, 0.3)
_WOMENS_HAIR = {Hair.SHORT: 0.45, Hair.BOB: 0.4, Hair.AFRO: 0.15}
_MENS_HAIR = {Hair.SHORT: 0.66, Hair.BOB: 0.06, Hair.AFRO: 0.1, Hair.BALD: 0.18}


def sample_traits(rng: np.random.Generator) -> Traits:
    """Someone at random."""
    ancestry = rng.dirichlet([0.45] * 3)
    female = bool(rng.random() < 0.5)
    age = max(0.0, float(rng.beta(1.1, 1.6)) - 0.15)
    styles = _WOMENS_HAIR if female else _MENS_HAIR
    tone = np.clip(ancestry @ np.array([4.3, 1.4, 0.6]) + rng.normal(0, 0.35), 0, len(_SKINS) - 1)
    hairs, irises = (_OTHER_HAIRS, _OTHER_IRISES) if ancestry[2] > 0.5 else (_DARK_HAIRS, _DARK_IRISES)
    grey = 0.75 * age
    shirt = rng.uniform(0.06, 0.8, 3)
    return Traits(
        ancestry=floats(ancestry),
        female=female,
        age=age,
        weight=float(rng.uniform(-1, 1)),
        hair=list(styles)[rng.choice(len(styles), p=list(styles.values()))],
        hairline=float(rng.uniform(7.78, 8.0)) + (0 if female else 0.12 * age),
        skin_colour=_between(_SKINS, float(tone)),
        hair_colour=floats(rng.choice(hairs) * (1 - grey) + _GREY * grey),
        iris_colour=rng.choice(irises),
        shirt_colour=floats(shirt.mean() * 0.5 + shirt * 0.5),
    )


def in_uniform(traits: Traits) -> Traits:
    """The same person with the hair and the shirt that all have in uniform."""
    return replace(
        traits, hair=Hair.SHORT, hairline=7.9, hair_colour=_DARK_HAIRS[0], shirt_colour=floats(_UNIFORM_COLOUR)
    )


def _between(colours: Floats, position: float) -> Floats:
    return floats([np.interp(position, range(len(colours)), channel) for channel in colours.T])


def hair_cover(traits: Traits, mesh_N3: Floats) -> Floats:
    """How much (0..1) of each skin point, given in mesh coordinates, is covered by hair."""
    _, y, z = mesh_N3.T
    above_forehead = smoothstep(traits.hairline - 0.05, traits.hairline + 0.06, y)
    behind_face = smoothstep(0.72, 0.5, z + 0.1 * (y - 7.4) + 0.75 * smoothstep(7.0, 6.55, y))
    above_nape = smoothstep(traits.hair.lowest - 0.05, traits.hair.lowest + 0.08, y)
    return np.maximum(above_forehead, behind_face) * above_nape

"""Paints a person's skin, brows, lips, hair and shirt, texel by texel, by where on the mesh a texel is.

Letters: P painted texels.
"""

from __future__ import annotations

import numpy as np

from data.sample.curves import Floats, floats, smooth_noise, smoothstep
from data.sample.head import TEXTURE_SIZE, Head
from data.sample.traits import Hair, Traits, hair_cover

_LIPSTICKS = floats([[0.70, 0.18, 0.22], [0.62, 0.24, 0.28], [0.75, 0.35, 0.35]])


def paint_skin(head: Head, traits: Traits, rng: np.random.Generator) -> Floats:
    """The colour of every painted texel (P, 3), RGB in 0..1."""
    canvas = _Canvas(head, rng, np.tile(traits.skin_colour, (len(head.texel_P3), 1)))
    _paint_complexion(canvas, rng)
    _paint_lips_and_lids(canvas, head, traits, rng)
    if not traits.female and rng.random() < 0.6:
        _paint_beard(canvas, head, traits, rng)
    _paint_brows(canvas, traits, rng)
    _paint_wrinkles(canvas, traits)
    _paint_hair(canvas, head, traits, rng)
    _paint_shirt(canvas, traits, rng)
    return np.clip(canvas.colour_P3, 0, 1)


class _Canvas:
    """The colours so far and their positions: `x_P`, `y_P`, `z_P` in mesh coordinates, `side_P` = |x|."""

    def __init__(self, head: Head, rng: np.random.Generator, colour_P3: Floats) -> None:
        self.colour_P3 = colour_P3
        self.x_P, self.y_P, self.z_P = np.ascontiguousarray(head.texel_P3.T)
        self.side_P = np.abs(self.x_P)
        self._painted_SS = head.painted_SS
        self.fine_P = rng.standard_normal(len(self.x_P), np.float32)

    def blend(self, amount_P: Floats, colour: Floats) -> None:
        """Paints a colour over the existing ones, with an opacity in 0..1. `colour` is one colour or (P, 3)."""
        self.colour_P3 += amount_P[:, None] * (colour - self.colour_P3)

    def tint(self, amount_P: Floats, factor: Floats) -> None:
        self.colour_P3 *= 1 + amount_P[:, None] * (factor - 1)

    def noise(self, rng: np.random.Generator, cell: int) -> Floats:
        return smooth_noise(rng, TEXTURE_SIZE, TEXTURE_SIZE, cell)[self._painted_SS]

    def spot(self, side: float, y: float, width: float, height: float) -> Floats:
        """A soft spot on the front of the face, on both sides of it."""
        spot_P = np.exp(-(((self.side_P - side) / width) ** 2) - ((self.y_P - y) / height) ** 2)
        return np.where(self.z_P > 0.7, spot_P, 0)


def _paint_complexion(canvas: _Canvas, rng: np.random.Generator) -> None:
    canvas.tint(
        0.55 * canvas.spot(0.45, 6.85, 0.25, 0.25) + 0.5 * canvas.spot(0, 6.95, 0.16, 0.18), floats([1.05, 0.86, 0.84])
    )
    canvas.tint(0.5 * canvas.spot(0.30, 7.10, 0.2, 0.06), floats([0.82, 0.76, 0.78]))
    if rng.random() < 0.35:
        freckles_P = (canvas.noise(rng, 3) > 0.62) * canvas.spot(0.3, 6.95, 0.4, 0.3)
        canvas.tint(0.5 * freckles_P, floats([0.75, 0.62, 0.5]))
    blotches_P = 0.5 * canvas.noise(rng, 5) + 0.3 * canvas.noise(rng, 12) + 0.4 * canvas.noise(rng, 45)
    canvas.colour_P3 *= (1 + 0.05 * blotches_P + 0.02 * canvas.fine_P)[:, None]


def _paint_lips_and_lids(canvas: _Canvas, head: Head, traits: Traits, rng: np.random.Generator) -> None:
    lips = traits.skin_colour * floats([0.92, 0.62, 0.62]) + floats([0.02, 0, 0.01])
    if traits.female and rng.random() < 0.6:
        lips = 0.4 * lips + 0.6 * rng.choice(_LIPSTICKS)
    canvas.blend(0.85 * head.masks_P["lips"], lips)
    canvas.tint(0.35 * head.masks_P["eyelids"], floats([0.78, 0.68, 0.68]))
    if traits.female and rng.random() < 0.5:
        shadow = traits.skin_colour * rng.uniform(0.35, 0.7, 3).astype(np.float32)
        canvas.blend(0.3 * canvas.spot(0.31, 7.45, 0.2, 0.06), shadow)
    canvas.blend(head.masks_P["inside-mouth"], floats([0.32, 0.09, 0.09]))


def _paint_beard(canvas: _Canvas, head: Head, traits: Traits, rng: np.random.Generator) -> None:
    jaw_P = (
        smoothstep(6.75, 6.6, canvas.y_P) * smoothstep(6.12, 6.25, canvas.y_P) * smoothstep(0.85, 0.75, canvas.side_P)
    )
    moustache_P = canvas.spot(0, 6.74, 0.34, 0.06)
    beard_P = np.maximum(jaw_P * (canvas.z_P > 0.25), moustache_P) * (1 - np.clip(1.5 * head.masks_P["lips"], 0, 1))
    thickness = rng.choice([0.25, 0.45, 0.85])
    canvas.blend(np.clip(thickness * beard_P * (0.8 + 0.25 * canvas.fine_P), 0, 1), traits.hair_colour * 0.8)


def _paint_brows(canvas: _Canvas, traits: Traits, rng: np.random.Generator) -> None:
    along_P = (canvas.side_P - 0.115) / 0.455
    inside_P = np.clip(along_P, 0, 1)
    height, arch = rng.uniform(7.535, 7.575), rng.uniform(0.055, 0.105)
    middle_P = height + arch * np.sin(inside_P * 2.2) - 0.055 * inside_P**3
    half_width_P = (0.042 if traits.female else 0.060) * rng.uniform(0.75, 1.25) * (1 - 0.55 * inside_P**2)
    brow_P = smoothstep(1.25, 0.55, np.abs(canvas.y_P - middle_P) / half_width_P)
    brow_P *= smoothstep(-0.06, 0.16, along_P) * smoothstep(1.06, 0.9, along_P) * (canvas.z_P > 0.7)
    hairs_P = np.sin((canvas.x_P + 0.55 * canvas.y_P * np.sign(canvas.x_P)) * 140 + 3 * canvas.noise(rng, 8))
    canvas.blend(brow_P * (0.81 + 0.19 * hairs_P), traits.hair_colour * 0.55)


def _paint_wrinkles(canvas: _Canvas, traits: Traits) -> None:
    """Lines across the forehead of older people."""
    from_line_P = np.mod(canvas.y_P + 0.03 * np.cos(canvas.x_P * 5), 0.11) - 0.055
    lines_P = np.exp(-((from_line_P / 0.012) ** 2)) * canvas.spot(0, 7.85, 0.45, 0.14)
    canvas.tint(0.35 * traits.age * lines_P, floats([0.7, 0.7, 0.7]))


def _paint_hair(canvas: _Canvas, head: Head, traits: Traits, rng: np.random.Generator) -> None:
    bare_P = (0 if traits.hair.over_ears else 1) * np.clip(1.4 * head.masks_P["ears"], 0, 1)
    cover_P = smoothstep(0.01, 0.12, hair_cover(traits, head.texel_P3))  # the sides of thick hair are hair too
    cover_P *= (1 - bare_P) * (0.25 if traits.hair is Hair.BALD else 1)
    phase_P = canvas.x_P * 70 + canvas.z_P * 25 + 5 * canvas.noise(rng, 9)
    strands_P = 0.85 + 0.2 * np.sin(phase_P) + 0.08 * canvas.fine_P
    canvas.blend(cover_P, traits.hair_colour * np.clip(strands_P, 0.3, 1.4)[:, None])


def _paint_shirt(canvas: _Canvas, traits: Traits, rng: np.random.Generator) -> None:
    neckline_P = 5.95 - 0.55 * np.exp(-((canvas.side_P / 0.6) ** 2)) * smoothstep(-0.2, 0.4, canvas.z_P)
    shirt_P = smoothstep(0.04, -0.04, canvas.y_P - neckline_P)
    stripes_P = 0.9 + 0.1 * np.sin(canvas.y_P * 40) * (rng.random() < 0.4)
    canvas.blend(shirt_P, traits.shirt_colour * stripes_P[:, None])

"""Synthetic people: random traits, and from them a shape, hair and a painted skin.

Letters: V vertices, T triangles, E edges (both directions), U action units, S texels along an edge of the texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.sample.curves import Floats, floats, smoothstep
from data.sample.head import Head, Part
from data.sample.raster import ambient_occlusion
from data.sample.skin import paint_skin
from data.sample.traits import Hair, Traits, hair_cover, in_uniform, sample_traits


@dataclass(frozen=True, eq=False)
class Person:
    """One identity, ready to be posed. Units: the head is 2.35 high and the point between the eyes is the origin.

    `ambient_V` is the light that reaches a vertex from all around, `hair_V` how much of it is hair, `turns_V` how far
    it goes along when the head turns. `eyes` are the centres of the left and the right eyeball; `face_V` marks the
    vertices that the true box of the face encloses. `texture_1CSS` is RGB in 0..1.
    """

    head: Head
    traits: Traits
    rest_V3: Tensor
    ambient_V: Tensor
    hair_V: Tensor
    turns_V: Tensor
    face_V: Tensor
    eyes: tuple[Tensor, Tensor]
    texture_1CSS: Tensor


def make_person(head: Head, seed: tuple[int, ...], *, uniformed: bool = False) -> Person:
    """The person of a seed; the same seed gives the same person. Takes about half a second.

    People in uniform have the same clothes and hair.
    """
    rng = np.random.default_rng(seed)
    traits = in_uniform(sample_traits(rng)) if uniformed else sample_traits(rng)
    hair_V = _hair(head, traits)
    vertices_V3 = _clothed(head, _normalised(head, _shape(head, traits, rng)))
    if traits.hair.over_ears:
        vertices_V3 = _smoothed(head, vertices_V3, _ears(head), times=40)
    vertices_V3 += _hair_growth(head, traits, vertices_V3, hair_V, rng)
    texture_SSC = paint_skin(head, traits, rng)[head.texel_SS]
    rest_V3 = torch.from_numpy(vertices_V3.astype(np.float32))
    is_body_T = head.part_T == Part.BODY
    return Person(
        head=head,
        traits=traits,
        rest_V3=rest_V3,
        ambient_V=ambient_occlusion(rest_V3, head.triangles_T3[is_body_T]),
        hair_V=torch.from_numpy(hair_V),
        turns_V=torch.from_numpy(_turns(head)),
        face_V=torch.from_numpy(_face(head)),
        eyes=(_centre(head, rest_V3, Part.LEFT_EYE), _centre(head, rest_V3, Part.RIGHT_EYE)),
        texture_1CSS=torch.from_numpy(texture_SSC).permute(2, 0, 1)[None].contiguous(),
    )


_DETAILS = {  # region of the face -> number of targets drawn, the greatest weight of one
    "head": (4, 0.5),
    "nose": (8, 0.55),
    "chin": (4, 0.5),
    "forehead": (2, 0.5),
    "mouth": (4, 0.35),
    "neck": (2, 0.4),
    "eyebrows": (1, 0.4),
}
_EYE_DETAILS = {
    "eye-scale-incr": 0.35,
    "eye-scale-decr": 0.3,
    "eye-trans-in": 0.25,
    "eye-trans-out": 0.25,
    "eye-height2-incr": 0.35,
}
_UNNATURAL = ("age", "trans-in", "trans-out", "angle", "septum", "triangle", "double", "cupid")
"""Targets that look like a caricature, or resemble an expression (corners of the mouth, slant of the brows)."""


def _shape(head: Head, traits: Traits, rng: np.random.Generator) -> Floats:
    """The vertices of someone in mesh coordinates, from MakeHuman's macro targets and some details of the face."""
    vertices_V3 = head.rest_V3.copy()
    sex = "female" if traits.female else "male"
    weight = "maxweight" if traits.weight > 0 else "minweight"
    for age, share in (("young", 1 - traits.age), ("old", traits.age)):
        for ancestry, part in zip(("african", "asian", "caucasian"), traits.ancestry, strict=True):
            vertices_V3 += share * part * head.target(f"macrodetails/{ancestry}-{sex}-{age}")
        body = f"macrodetails/universal-{sex}-{age}-averagemuscle"
        vertices_V3 += share * (1 - abs(traits.weight)) * head.target(f"{body}-averageweight")
        vertices_V3 += share * abs(traits.weight) * head.target(f"{body}-{weight}")
    for region, (count, most) in _DETAILS.items():
        names = [name for name in head.target_names(region) if not any(word in name for word in _UNNATURAL)]
        for name in rng.choice(names, count, replace=False):
            vertices_V3 += rng.uniform(0.1, most) * head.target(name)
    for name, most in _EYE_DETAILS.items():
        amount = rng.uniform(0, most) * (rng.random() < 0.4)
        vertices_V3 += amount * (head.target(f"eyes/l-{name}") + head.target(f"eyes/r-{name}"))
    return vertices_V3


def _normalised(head: Head, vertices_V3: Floats) -> Floats:
    """Into a person's units: origin between the eyes, head 2.35 high."""
    eyes = [vertices_V3[head.part_V == part].mean(0) for part in (Part.LEFT_EYE, Part.RIGHT_EYE)]
    middle = (eyes[0] + eyes[1]) / 2
    body_y = vertices_V3[head.part_V == Part.BODY, 1]
    normalised_V3: Floats = (vertices_V3 - middle) / (np.ptp(body_y[body_y > middle[1] - 1.4]) / 2.35)
    return normalised_V3


def _clothed(head: Head, vertices_V3: Floats) -> Floats:
    """Arms that hang down (the mesh holds them out) and a smoothed torso, which reads as loose clothing."""
    x_V, y_V = head.rest_V3[:, 0], head.rest_V3[:, 1]
    angle_V = 1.15 * smoothstep(1.25, 1.95, np.abs(x_V)) * np.sign(x_V)
    shoulder_x, shoulder_y = np.sign(x_V) * 1.38, -2.05
    dx_V, dy_V = vertices_V3[:, 0] - shoulder_x, vertices_V3[:, 1] - shoulder_y
    bent_V3 = vertices_V3.copy()
    bent_V3[:, 0] = shoulder_x + dx_V * np.cos(angle_V) + dy_V * np.sin(angle_V)
    bent_V3[:, 1] = shoulder_y - dx_V * np.sin(angle_V) + dy_V * np.cos(angle_V)
    clothed_V3 = np.where((angle_V != 0)[:, None], bent_V3, vertices_V3)
    return _smoothed(head, clothed_V3, smoothstep(5.45, 5.15, y_V) * (head.part_V == Part.BODY), times=12)


def _smoothed(head: Head, vertices_V3: Floats, amount_V: Floats, *, times: int) -> Floats:
    """Moves vertices towards the mean of their neighbours, again and again, by an amount in 0..1."""
    smoothed_V3 = torch.from_numpy(vertices_V3.astype(np.float32))
    amount_V1 = torch.from_numpy(amount_V)[:, None]
    from_E = head.triangles_T3[:, [1, 2, 2, 0, 0, 1]].reshape(-1)
    to_E = head.triangles_T3[:, [0, 0, 1, 1, 2, 2]].reshape(-1)
    count_V1 = torch.bincount(to_E, minlength=len(smoothed_V3)).clamp(min=1)[:, None]
    for _ in range(times):
        sum_V3 = torch.zeros_like(smoothed_V3).index_add_(0, to_E, smoothed_V3.index_select(0, from_E))
        smoothed_V3 += amount_V1 * (sum_V3 / count_V1 - smoothed_V3)
    return floats(smoothed_V3.numpy())


def _ears(head: Head) -> Floats:
    x_V, y_V, z_V = head.rest_V3.T
    inside_V = (np.abs(x_V) > 0.72) & (z_V > -0.15) & (z_V < 0.5) & (y_V < 7.45) & (y_V > 6.7)
    return floats(inside_V & (head.part_V == Part.BODY))


def _hair(head: Head, traits: Traits) -> Floats:
    cover_V = hair_cover(traits, head.rest_V3) * (head.part_V == Part.BODY)
    return floats(cover_V if traits.hair.over_ears else cover_V * (1 - _ears(head)))


_HEAD_CENTRE = floats([0, 0.1, -0.75])


def _hair_growth(head: Head, traits: Traits, vertices_V3: Floats, hair_V: Floats, rng: np.random.Generator) -> Floats:
    """Distance of the hair from the scalp, away from the middle of the head; along the normals it would fold at the
    ears."""
    outward_V3 = vertices_V3 - _HEAD_CENTRE
    outward_V3[:, 1] = np.maximum(outward_V3[:, 1], 0)
    outward_V3 /= np.linalg.norm(outward_V3, axis=1, keepdims=True)
    x_V, y_V, _ = head.rest_V3.T
    waves_V = 1 + 0.25 * np.sin(9 * x_V + 4 * y_V + rng.uniform(0, 6))
    growth_V3 = outward_V3 * (hair_V * traits.hair.volume * waves_V)[:, None]
    if traits.hair is Hair.BOB:
        growth_V3[:, 0] += np.sign(x_V) * hair_V * 0.18 * smoothstep(7.3, 6.3, y_V) * (np.abs(x_V) > 0.25)
    return floats(growth_V3)


def _turns(head: Head) -> Floats:
    """1 for the head, 0 for the shoulders, and a neck that twists in between."""
    _, y_V, z_V = head.rest_V3.T
    turns_V = smoothstep(5.75, 6.45, y_V + 0.35 * np.clip(z_V, -1, 1))
    return floats(np.where(head.part_V == Part.BODY, turns_V, 1))


def _face(head: Head) -> NDArray[np.bool_]:
    """The vertices from the chin to the hairline and from ear to ear."""
    _, y_V, z_V = head.rest_V3.T
    return np.asarray((head.part_V == Part.BODY) & (z_V > 0.45) & (y_V > 6.05) & (y_V < 7.9))


def _centre(head: Head, vertices_V3: Tensor, part: Part) -> Tensor:
    return vertices_V3[torch.from_numpy(head.part_V == part)].mean(0)

"""Draws a posed, lit person into a picture.

Letters: V vertices, T triangles, U action units, M covered pixels, H W C the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from data.sample.head import Part
from data.sample.people import Person
from data.sample.raster import Fragments, rasterize, vertex_normals

_CAMERA_DISTANCE = 11.0
_NECK = (0.0, -0.93, -0.95)
"""The point about which the head turns, in a person's units."""


@dataclass(frozen=True)
class Light:
    """A key light, a weaker one from the other side, and ambient light; directions are unit vectors towards them."""

    key_direction: Tensor
    key_colour: Tensor
    fill_direction: Tensor
    fill_colour: Tensor
    ambient: float


@dataclass(frozen=True)
class Pose:
    """One moment of one person. Angles in radians; `x_px`, `y_px` is the position of the point between the eyes with
    the head straight, `scale_px` the length of a person's unit (the head is 2.35 high). `units_U` is in [0, 1].
    """

    units_U: Tensor
    yaw: float
    pitch: float
    roll: float
    gaze_yaw: float
    gaze_pitch: float
    x_px: float
    y_px: float
    scale_px: float


@dataclass(frozen=True)
class Box:
    """A box in px of the picture; it may reach beyond it."""

    x: float
    y: float
    w: float
    h: float


def render(person: Person, pose: Pose, light: Light, picture_HWC: Tensor) -> Box:
    """Draws a person over a picture (uint8 RGB), in place; returns where the face is, drawn or not."""
    head = person.head
    vertices_V3, eyeball_V3 = _posed(person, pose)
    distance_V = _CAMERA_DISTANCE - vertices_V3[:, 2]
    scale_V1 = (pose.scale_px * _CAMERA_DISTANCE / distance_V)[:, None]
    xy_V2 = torch.tensor([pose.x_px, pose.y_px]) + vertices_V3[:, :2] * torch.tensor([1.0, -1.0]) * scale_V1
    face_low, face_high = xy_V2[person.face_V].aminmax(dim=0)
    (left, top), (width, height) = face_low.tolist(), (face_high - face_low).tolist()
    window_HWC, corner = _window(picture_HWC, xy_V2)
    if window_HWC.numel():
        rows, columns, _ = window_HWC.shape
        nearness_V = 3 * _CAMERA_DISTANCE - distance_V
        hits = rasterize(xy_V2 - corner, nearness_V, head.triangles_T3, rows, columns)
        if len(hits.pixel_M):
            colour_M3 = _shade(person, vertices_V3, eyeball_V3, light, hits)
            row_M, column_M = torch.div(hits.pixel_M, columns, rounding_mode="floor"), hits.pixel_M % columns
            window_HWC[row_M, column_M] = (colour_M3.clamp_(0, 1) * 255).byte()
    return Box(left, top, width, height)


def _window(picture_HWC: Tensor, xy_V2: Tensor) -> tuple[Tensor, Tensor]:
    """The part of the picture that the vertices touch (a view), and its corner."""
    height, width, _ = picture_HWC.shape
    limit = torch.tensor([width, height])
    low = torch.minimum(xy_V2.amin(0).floor().long().clamp(min=0), limit)
    high = torch.minimum(xy_V2.amax(0).ceil().long().clamp(min=0), limit)
    return picture_HWC[low[1] : high[1], low[0] : high[0]], low


def _posed(person: Person, pose: Pose) -> tuple[Tensor, Tensor]:
    """Vertices in a person's units, and each eye's vertices relative to its centre before the eye turned."""
    head = person.head
    vertices_V3 = person.rest_V3 + torch.einsum("u,uvc->vc", pose.units_U, head.units_UV3)
    eyeball_V3 = torch.zeros_like(vertices_V3)
    for part, centre in zip((Part.LEFT_EYE, Part.RIGHT_EYE), person.eyes, strict=True):
        eye_V = torch.from_numpy(head.part_V == part)
        eyeball_V3[eye_V] = vertices_V3[eye_V] - centre
        vertices_V3[eye_V] = eyeball_V3[eye_V] @ _rotation(pose.gaze_yaw, pose.gaze_pitch, 0).T + centre
    from_neck_V3 = vertices_V3 - torch.tensor(_NECK)
    turned_V3 = from_neck_V3 @ _rotation(pose.yaw, pose.pitch, pose.roll).T
    shoulders_V3 = from_neck_V3 @ _rotation(0.15 * pose.yaw, 0.1 * pose.pitch, 0.25 * pose.roll).T
    return shoulders_V3 + person.turns_V[:, None] * (turned_V3 - shoulders_V3) + torch.tensor(_NECK), eyeball_V3


def _rotation(yaw: float, pitch: float, roll: float) -> Tensor:
    cy, sy, cp, sp, cr, sr = (turn(angle) for angle in (yaw, pitch, roll) for turn in (math.cos, math.sin))
    about_y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = torch.tensor([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = torch.tensor([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1.0]])
    return about_y @ about_x @ about_z


def _shade(person: Person, vertices_V3: Tensor, eyeball_V3: Tensor, light: Light, hits: Fragments) -> Tensor:
    """The colour of every covered pixel: reflectance times the light per vertex, plus highlights."""
    triangles_T3 = person.head.triangles_T3
    normals_V3 = vertex_normals(vertices_V3, triangles_T3)
    light_M4 = hits.interpolate(_light_of_vertices(person, normals_V3, light), triangles_T3)
    light_M3, shine_M = light_M4[:, :3], light_M4[:, 3:]
    colour_M3 = _surface_colour(person, hits)
    part_M = person.head.part_T.index_select(0, hits.triangle_M)
    eye_M = ((part_M == Part.LEFT_EYE) | (part_M == Part.RIGHT_EYE)).nonzero()[:, 0]
    if len(eye_M):
        eyes = hits.only(eye_M)
        colour_M3[eye_M] = _eye_colour(person, eyes.interpolate(eyeball_V3, triangles_T3))
        normals_M3 = functional.normalize(eyes.interpolate(normals_V3, triangles_T3), dim=1)
        shine_M[eye_M, 0] = 0.8 * (normals_M3 @ _half_way(light)).clamp(min=0) ** 160
    return colour_M3 * light_M3 + shine_M * light.key_colour


def _surface_colour(person: Person, hits: Fragments) -> Tensor:
    """The reflectance of every pixel except those of the eyes: painted texture, and plain teeth, tongue and lashes."""
    uv_M2 = torch.bmm(hits.weights_M3[:, None], person.head.uv_T32.index_select(0, hits.triangle_M))[:, 0]
    place_M2 = uv_M2 * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0])
    sampled = functional.grid_sample(person.texture_1CSS, place_M2[None, None], align_corners=False)
    colour_M3 = sampled[0, :, 0].T.contiguous()
    part_M = person.head.part_T.index_select(0, hits.triangle_M)
    colour_M3[part_M == Part.TEETH] = torch.tensor([0.87, 0.85, 0.78])
    colour_M3[part_M == Part.TONGUE] = torch.tensor([0.62, 0.28, 0.28])
    colour_M3[part_M == Part.LASHES] = torch.from_numpy(person.traits.hair_colour / 4)
    return colour_M3


def _half_way(light: Light) -> Tensor:
    """The direction between lamp and camera: a surface that faces it shows the highlight."""
    return functional.normalize(light.key_direction + torch.tensor([0.0, 0.0, 1.0]), dim=0)


def _light_of_vertices(person: Person, normals_V3: Tensor, light: Light) -> Tensor:
    """Red, green and blue light on each vertex, and the strength of its highlight."""
    part_V = torch.from_numpy(person.head.part_V)
    ambient_V, hair_V = person.ambient_V, person.hair_V
    key_V, fill_V = normals_V3 @ light.key_direction, normals_V3 @ light.fill_direction
    wrapped_V = ((key_V + 0.25) / 1.25).clamp(min=0) ** 1.2 * (0.35 + 0.65 * ambient_V)
    filled_V = ((fill_V + 0.4) / 1.4).clamp(min=0) * ambient_V
    light_V3 = wrapped_V[:, None] * light.key_colour + filled_V[:, None] * light.fill_colour
    light_V3 += (light.ambient * ambient_V)[:, None]
    eye_V = (part_V == Part.LEFT_EYE) | (part_V == Part.RIGHT_EYE)
    light_V3[eye_V] = 0.75 * ((key_V[eye_V, None] + 0.5) / 1.5).clamp(min=0) * light.key_colour + light.ambient
    mouth_V = (part_V == Part.TEETH) | (part_V == Part.TONGUE)
    light_V3[mouth_V] = (0.35 * light.key_colour + light.ambient) * (0.35 + 0.65 * ambient_V[mouth_V, None])
    glance_V = (normals_V3 @ _half_way(light)).clamp(min=0)
    shine_V = 0.1 * (glance_V**24 * (1 - hair_V) + glance_V**10 * hair_V) * (part_V == Part.BODY)
    return torch.cat([light_V3, shine_V[:, None]], 1)


def _eye_colour(person: Person, eyeball_M3: Tensor) -> Tensor:
    """White, iris with a dark rim, and pupil, by the angle from the middle of the eye."""
    angle_M1 = torch.acos(functional.normalize(eyeball_M3, dim=1)[:, 2:].clamp(-1, 1))

    def within(radius: float, edge: float) -> Tensor:
        return ((radius - angle_M1) / edge).clamp(0, 1)

    iris = torch.from_numpy(person.traits.iris_colour) * (1 - 0.5 * (1 - within(0.46, 0.10)))
    white = torch.tensor([0.93, 0.91, 0.89])
    colour_M3 = white + within(0.50, 0.06) * (iris - white)
    return colour_M3 + within(0.21, 0.05) * (0.02 - colour_M3)

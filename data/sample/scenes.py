"""Scenes: light, background, camera and people's positions in the picture, which is made frame by frame.

Letters: F frames, H W C the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from data.sample.acting import Performance, perform
from data.sample.curves import Floats, floats, smooth_noise, sway
from data.sample.head import Head
from data.sample.moves import Move, shift, turn
from data.sample.people import Person, make_person
from data.sample.plan import ClipPlan
from data.sample.render import Box, Light, Pose, render

WIDTH, HEIGHT = 640, 360
_SUPERSAMPLING = 1.25


@dataclass(frozen=True, eq=False)
class Actor:
    """A person with their acting and position in the picture (px of the video): see `render.Pose`."""

    person: Person
    performance: Performance
    x_px_F: Floats
    y_px_F: Floats
    scale_px_F: Floats
    depth: int = 0
    """People with a larger depth are drawn first, behind the others."""

    def pose(self, frame_index: int) -> Pose:
        act, i = self.performance, frame_index
        return Pose(
            units_U=torch.from_numpy(act.units_FU[i]),
            yaw=float(act.yaw_F[i]),
            pitch=float(act.pitch_F[i]),
            roll=float(act.roll_F[i]),
            gaze_yaw=float(act.gaze_yaw_F[i]),
            gaze_pitch=float(act.gaze_pitch_F[i]),
            x_px=float(self.x_px_F[i]) * _SUPERSAMPLING,
            y_px=float(self.y_px_F[i]) * _SUPERSAMPLING,
            scale_px=float(self.scale_px_F[i]) * _SUPERSAMPLING,
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """The content of a clip. `grain` is the strength of the camera's noise in grey levels."""

    actors: list[Actor]
    light: Light
    background_HWC: Tensor
    grain: float
    num_frames: int


def make_scene(head: Head, plan: ClipPlan) -> Scene:
    """The scene of a plan, from its seed."""
    rng = np.random.default_rng((plan.seed, plan.index))
    kind = list(_LIGHTS)[rng.choice(len(_LIGHTS), p=[0.4, 0.25, 0.2, 0.15])]
    background = _background(rng) * (0.45 if kind == "dim" else 1)
    return Scene(
        actors=[_move(_make_actor(head, plan, place), plan, place) for place in range(len(plan.everyone))],
        light=_make_light(rng, kind),
        background_HWC=torch.from_numpy((np.clip(background, 0, 1) * 255).astype(np.uint8)),
        grain=float(rng.uniform(2, 5)),
        num_frames=plan.num_frames,
    )


def film(scene: Scene, seed: tuple[int, ...]) -> Iterator[tuple[np.ndarray, list[Box]]]:
    """Every frame, (HEIGHT, WIDTH, 3) uint8 RGB, with the true box of each actor's face in px, in their order."""
    rng = np.random.default_rng(seed)
    spare = 64
    noise = rng.normal(0, scene.grain, (HEIGHT + spare, WIDTH + spare, 3)).astype(np.int16)
    for frame_index in range(scene.num_frames):
        picture = scene.background_HWC.clone()
        boxes = {
            place: render(actor.person, actor.pose(frame_index), scene.light, picture)
            for place, actor in sorted(enumerate(scene.actors), key=lambda placed: -placed[1].depth)
        }
        small = Image.fromarray(picture.numpy()).resize((WIDTH, HEIGHT), Image.Resampling.BOX)
        top, left = rng.integers(spare, size=2)
        noisy = np.asarray(small, np.int16) + noise[top : top + HEIGHT, left : left + WIDTH]
        yield np.clip(noisy, 0, 255).astype(np.uint8), [_scaled(boxes[place]) for place in sorted(boxes)]


def _scaled(box: Box) -> Box:
    return Box(*(value / _SUPERSAMPLING for value in (box.x, box.y, box.w, box.h)))


def visible_share(box: Box) -> float:
    """How much of a box is inside the picture, 0..1."""
    width = min(box.x + box.w, WIDTH) - max(box.x, 0)
    height = min(box.y + box.h, HEIGHT) - max(box.y, 0)
    return max(0.0, width) * max(0.0, height) / (box.w * box.h)


def covered_share(box: Box, nearer: Box) -> float:
    """How much of a box is behind a nearer one, 0..1."""
    width = min(box.x + box.w, nearer.x + nearer.w) - max(box.x, nearer.x)
    height = min(box.y + box.h, nearer.y + nearer.h) - max(box.y, nearer.y)
    return max(0.0, width) * max(0.0, height) / (box.w * box.h)


def _make_actor(head: Head, plan: ClipPlan, place: int) -> Actor:
    seed = (plan.seed, plan.index, place)
    rng = np.random.default_rng((*seed, 1))
    fps = float(plan.fps)
    time_s = np.arange(plan.num_frames, dtype=np.float32) / np.float32(fps)
    alone = len(plan.track_ids) == 1
    scale_px = rng.uniform(50, 95) if alone else rng.uniform(46, 68)
    middle = 0.5 + rng.uniform(-0.14, 0.14) if alone else 0.27 + 0.46 * place
    x_px_F = WIDTH * (middle + sway(rng, time_s, 0.025, 6))
    if plan.walks_out and place == 0:
        x_px_F += WIDTH * _absence(rng, time_s)
    # Where the scale is small the person sits lower, so that the end of the bust stays out of the picture.
    y_px = max(0.44 * HEIGHT, HEIGHT - 3.3 * scale_px)
    return Actor(
        person=make_person(head, (*seed, 0), uniformed=plan.uniforms),
        performance=perform(rng, plan.num_frames, fps),
        x_px_F=x_px_F,
        y_px_F=y_px + HEIGHT * sway(rng, time_s, 0.025, 5),
        scale_px_F=scale_px * (1 + sway(rng, time_s, 0.05, 6)),
    )


def _move(actor: Actor, plan: ClipPlan, place: int) -> Actor:
    """The actor with the plan's move; a bystander has a place of their own, behind and smaller or in front."""
    num_tracks = len(plan.track_ids)
    moves = [*(plan.moves or [Move.STAYS] * num_tracks), *plan.bystanders]
    rng = np.random.default_rng((plan.seed, plan.index, place, 2))
    time_s = np.arange(plan.num_frames, dtype=np.float32) / np.float32(plan.fps)
    if place >= num_tracks:
        actor = _as_bystander(actor, plan, rng)
    middle = float(actor.x_px_F.mean()) / WIDTH if len(plan.everyone) > num_tracks else 0.27 + 0.46 * place
    turned = replace(actor.performance, yaw_F=actor.performance.yaw_F + turn(moves[place], time_s, rng))
    return replace(actor, performance=turned, x_px_F=actor.x_px_F + WIDTH * shift(moves[place], time_s, middle, rng))


def _as_bystander(actor: Actor, plan: ClipPlan, rng: np.random.Generator) -> Actor:
    if plan.in_front:
        return replace(actor, x_px_F=_placed(actor.x_px_F, 0.1), depth=-1)
    smaller = float(rng.uniform(26, 34)) / float(actor.scale_px_F.mean())
    scale_px_F = actor.scale_px_F * np.float32(smaller)
    middle = 0.5 if len(plan.track_ids) == 2 else float(rng.choice([0.1, 0.9]))
    y_px_F = actor.y_px_F - actor.y_px_F.mean() + np.float32(HEIGHT - 3.3 * scale_px_F.mean())
    return replace(actor, x_px_F=_placed(actor.x_px_F, middle), y_px_F=y_px_F, scale_px_F=scale_px_F, depth=1)


def _placed(x_px_F: Floats, middle: float) -> Floats:
    return floats(x_px_F - x_px_F.mean() + WIDTH * middle)


def _absence(rng: np.random.Generator, time_s: Floats) -> Floats:
    """1 where the person has left the picture, 0 where they are in their place."""
    length_s = float(time_s[-1])
    middle_s = length_s * rng.uniform(0.4, 0.6)
    return floats(np.exp(-(((time_s - middle_s) / min(0.45, max(length_s, 0.01) / 6)) ** 4)))


_LIGHTS = {"normal": (0.72, 0.26), "bright": (0.82, 0.34), "side": (0.85, 0.14), "dim": (0.36, 0.13)}
"""Kind of light -> strength of the key light and of the light from all around."""


def _make_light(rng: np.random.Generator, kind: str) -> Light:
    key, ambient = _LIGHTS[kind]
    turn = float(rng.choice([-1.25, 1.25])) if kind == "side" else float(rng.uniform(-0.9, 0.9))
    warmth = float(rng.uniform(-0.06, 0.06))
    colour = torch.tensor([1 + warmth, 1, 1 - warmth])
    return Light(
        key_direction=_direction(turn, float(rng.uniform(0, 0.8))),
        key_colour=key * colour,
        fill_direction=_direction(-turn, 0.1),
        fill_colour=0.28 * key * (2 - colour),
        ambient=ambient,
    )


def _direction(turn: float, height: float) -> Tensor:
    flat = math.cos(height)
    return torch.tensor([math.sin(turn) * flat, math.sin(height), math.cos(turn) * flat])


def _background(rng: np.random.Generator) -> Floats:
    """A plain wall, a room out of focus, lights out of focus, or clouds; RGB in 0..1."""
    width, height = round(WIDTH * _SUPERSAMPLING), round(HEIGHT * _SUPERSAMPLING)
    fade = np.linspace(0, 1, height)[:, None, None]
    wall = floats(np.broadcast_to(_muted(rng) * (1 - fade) + _muted(rng) * fade, (height, width, 3)))
    kind = rng.choice(["wall", "room", "lights", "clouds"], p=[0.2, 0.3, 0.3, 0.2])
    if kind == "room":
        return _with_things_out_of_focus(rng, wall, int(rng.integers(4, 10)), "rectangle")
    if kind == "lights":
        return _with_things_out_of_focus(rng, wall, 60, "ellipse")
    blots = 0.18 * smooth_noise(rng, height, width, width // 7) + 0.06 * smooth_noise(rng, height, width, width // 40)
    return wall + floats(blots * (1 if kind == "clouds" else 0.1))[..., None]


def _with_things_out_of_focus(rng: np.random.Generator, wall: Floats, count: int, shape: str) -> Floats:
    height, width, _ = wall.shape
    image = Image.fromarray((wall * 255).astype(np.uint8))
    draw = getattr(ImageDraw.Draw(image), shape)
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        if shape == "ellipse":
            across = down = rng.uniform(width / 40, width / 7)
        else:
            across, down = rng.uniform(width / 16, width / 3), rng.uniform(height / 10, height)
        draw((x, y, x + across, y + down), tuple((_muted(rng) * 255).astype(int).tolist()))
    blurred = image.filter(ImageFilter.GaussianBlur(width / (60 if shape == "ellipse" else 110)))
    return floats(np.asarray(blurred)) / np.float32(255)


def _muted(rng: np.random.Generator) -> Floats:
    colour = rng.uniform(0.08, 0.88, 3)
    return floats(0.72 * colour.mean() + 0.28 * colour)

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.video.shots import HEIGHT, WIDTH, find_cuts, thumbnails

Levels = NDArray[np.float64]


def scene(seed: int, *, height: int = 180, width: int = 480) -> Levels:
    """A picture with structure of several sizes."""
    draw = np.random.default_rng(seed)
    picture = np.zeros((height, width))
    for size in (4, 12, 36):
        rough = torch.from_numpy(draw.normal(0, 40, (1, 1, size, size * 2)))
        picture += torch.nn.functional.interpolate(rough, (height, width), mode="bicubic")[0, 0].numpy()
    return 120 + picture


def still(seed: int, number: int) -> list[Levels]:
    draw = np.random.default_rng(seed)
    return [scene(seed)[:, :320] + draw.normal(0, 4, (180, 320)) for _ in range(number)]


def panned(seed: int, number: int, px: int) -> list[Levels]:
    return [scene(seed)[:, px * index : px * index + 320] for index in range(number)]


def zoomed(seed: int, number: int, factor: float) -> list[Levels]:
    whole = torch.from_numpy(scene(seed)[None, None, :, :320])
    frames = []
    for index in range(number):
        height, width = (int(side / (1 + (factor - 1) * index / number)) for side in (180, 320))
        part = whole[..., :height, :width]
        frames.append(torch.nn.functional.interpolate(part, (180, 320), mode="bilinear")[0, 0].numpy())
    return frames


def cuts_of(frames: list[Levels]) -> list[int]:
    return find_cuts(thumbnails([as_frame(frame) for frame in frames]))


def as_frame(levels: Levels) -> Tensor:
    return torch.from_numpy(levels.clip(0, 255).astype(np.uint8))[..., None].expand(-1, -1, 3)


def test_every_change_of_the_scene_is_a_cut_at_its_first_frame() -> None:
    lengths = [7, 1, 12, 5, 30]
    frames = [frame for seed, number in enumerate(lengths) for frame in still(seed, number)]
    starts = np.cumsum(lengths)[:-1].tolist()
    assert [cut for cut in cuts_of(frames) if cut > 8] == starts[2:]
    assert cuts_of(frames[8:]) == [start - 8 for start in starts[2:]]


@pytest.mark.parametrize("px", [2, 8, 16])
def test_a_camera_that_pans_does_not_cut(px: int) -> None:
    assert cuts_of(panned(3, 10, px)) == []
    assert cuts_of([*panned(3, 10, px), *panned(4, 10, px)]) == [10]


def test_a_camera_that_zooms_does_not_cut() -> None:
    assert cuts_of(zoomed(5, 20, 1.8)) == []
    assert cuts_of([*zoomed(5, 20, 1.8), *zoomed(6, 20, 1.8)]) == [20]


@pytest.mark.parametrize("number", [1, 2])
def test_a_flash_is_no_cut(number: int) -> None:
    frames = still(1, 20)
    for index in range(8, 8 + number):
        frames[index] = frames[index] * 0.15 + 215
    assert cuts_of(frames) == []


def test_a_fade_is_no_hard_cut() -> None:
    one, other = still(1, 30), still(2, 30)
    share = np.linspace(0, 1, 30)
    assert cuts_of([a * (1 - of) + b * of for a, b, of in zip(one, other, share, strict=True)]) == []


def test_pictures_without_structure_are_alike() -> None:
    grey = np.full((180, 320), 90.0)
    assert cuts_of([grey] * 6) == []
    assert cuts_of([*[grey] * 6, *still(1, 6)]) == [6]


def test_few_frames_have_no_cut() -> None:
    assert cuts_of([]) == []
    assert cuts_of(still(1, 1)) == []


def test_a_thumbnail_is_the_mean_of_its_cells() -> None:
    levels = np.arange(HEIGHT * WIDTH, dtype=float).reshape(HEIGHT, WIDTH) % 251
    (found,) = thumbnails([as_frame(levels.repeat(10, axis=0).repeat(10, axis=1))])
    assert found.shape == (HEIGHT, WIDTH)
    assert (found == levels).all()
    assert all(a != b for a, b in pairwise(found.ravel()[:5].tolist()))

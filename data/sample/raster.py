"""A software rasteriser in vectorised torch: triangles to covered pixels, normals, ambient occlusion.

Letters: V vertices, T triangles, P triangles that are drawn, R rows of a triangle, N covered pixels before and M after
the depth test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Fragments:
    """The covered pixels: the nearest triangle, the weights of its corners there, and the pixel y * width + x."""

    triangle_M: Tensor
    weights_M3: Tensor
    pixel_M: Tensor

    def only(self, chosen: Tensor) -> Fragments:
        """The fragments of some indices."""
        return Fragments(self.triangle_M[chosen], self.weights_M3[chosen], self.pixel_M[chosen])

    def interpolate(self, values_VK: Tensor, triangles_T3: Tensor) -> Tensor:
        """Values of vertices, at the pixels (M, K)."""
        corners_M3 = triangles_T3.index_select(0, self.triangle_M)
        values_M3K = values_VK.index_select(0, corners_M3.view(-1)).view(len(corners_M3), 3, -1)
        return torch.bmm(self.weights_M3[:, None], values_M3K)[:, 0]


def rasterize(
    xy_V2: Tensor, nearness_V: Tensor, triangles_T3: Tensor, height: int, width: int, *, cull: bool = True
) -> Fragments:
    """Draws triangles into a picture of `height` x `width` px; the greatest `nearness_V` (> 0) is visible.

    A pixel is covered if its centre, at (x + 0.5, y + 0.5), is inside. With `cull`, triangles seen from behind are
    not drawn.
    """
    triangle_P, y_first_P, num_rows_P, planes = _planes(xy_V2, nearness_V, triangles_T3, height, width, cull)
    row_R, offset_R = _expand(num_rows_P)
    y_R = y_first_P[row_R] + offset_R + 0.5
    x_first_R, num_pixels_R = _spans(planes, row_R, y_R, width)
    span_N, offset_N = _expand(num_pixels_R)
    drawn_N = row_R.index_select(0, span_N)
    x_N = x_first_R.index_select(0, span_N) + offset_N + 0.5
    depth_R = planes.depth_P3[:, 1].index_select(0, row_R) * y_R + planes.depth_P3[:, 2].index_select(0, row_R)
    depth_N = planes.depth_P3[:, 0].contiguous().index_select(0, drawn_N) * x_N + depth_R.index_select(0, span_N)
    # A positive float's bits sort as the float does, so one integer maximum finds the nearest triangle and its number.
    key_N = (depth_N.clamp(min=1e-6).view(torch.int32).long() << 32) | drawn_N
    pixel_N = (y_R.long() * width).index_select(0, span_N) + x_N.long()
    nearest = torch.full((height * width,), -1, dtype=torch.long).scatter_reduce(0, pixel_N, key_N, "amax")
    pixel_M = (nearest >= 0).nonzero()[:, 0]
    seen_M = nearest.index_select(0, pixel_M) & 0xFFFFFFFF
    x_M1 = (pixel_M % width)[:, None] + 0.5
    y_M1 = torch.div(pixel_M, width, rounding_mode="floor")[:, None] + 0.5
    a_M3, b_M3, c_M3 = (plane.index_select(0, seen_M) for plane in (planes.a_P3, planes.b_P3, planes.c_P3))
    return Fragments(triangle_P.index_select(0, seen_M), a_M3 * x_M1 + b_M3 * y_M1 + c_M3, pixel_M)


@dataclass(frozen=True)
class _Planes:
    """Corner k's weight at pixel (x, y) is `a x + b y + c`; the nearness there is `depth` . (x, y, 1)."""

    a_P3: Tensor
    b_P3: Tensor
    c_P3: Tensor
    depth_P3: Tensor


def _planes(
    xy_V2: Tensor, nearness_V: Tensor, triangles_T3: Tensor, height: int, width: int, cull: bool
) -> tuple[Tensor, Tensor, Tensor, _Planes]:
    """The triangles that are drawn, with the first of the rows they touch, the number of rows, and their planes."""
    corners_T32 = xy_V2.index_select(0, triangles_T3.reshape(-1)).view(-1, 3, 2)
    x_T3, y_T3 = corners_T32[..., 0].contiguous(), corners_T32[..., 1].contiguous()
    edge1, edge2 = corners_T32[:, 1] - corners_T32[:, 0], corners_T32[:, 2] - corners_T32[:, 0]
    area_T = edge1[:, 0] * edge2[:, 1] - edge2[:, 0] * edge1[:, 1]
    y_first_T = (y_T3.amin(1) - 0.5).ceil().clamp(0, height)
    y_end_T = ((y_T3.amax(1) - 0.5).floor() + 1).clamp(0, height)
    faces_us_T = area_T < -1e-6 if cull else area_T.abs() > 1e-9
    drawn_T = (y_end_T > y_first_T) & (x_T3.amax(1) > 0) & (x_T3.amin(1) < width) & faces_us_T
    triangle_P = drawn_T.nonzero()[:, 0]
    x_P3, y_P3 = x_T3.index_select(0, triangle_P), y_T3.index_select(0, triangle_P)
    scale_P1 = 1 / area_T.index_select(0, triangle_P)[:, None]
    x_next, y_next, x_last, y_last = x_P3.roll(-1, 1), y_P3.roll(-1, 1), x_P3.roll(1, 1), y_P3.roll(1, 1)
    a_P3, b_P3 = (y_next - y_last) * scale_P1, (x_last - x_next) * scale_P1
    c_P3 = (x_next * y_last - x_last * y_next) * scale_P1
    nearness_P3 = nearness_V[triangles_T3.index_select(0, triangle_P)]
    depth_P3 = torch.stack([(plane * nearness_P3).sum(1) for plane in (a_P3, b_P3, c_P3)], 1)
    y_first_P = y_first_T.index_select(0, triangle_P)
    num_rows_P = (y_end_T.index_select(0, triangle_P) - y_first_P).long()
    return triangle_P, y_first_P, num_rows_P, _Planes(a_P3, b_P3, c_P3, depth_P3)


def _spans(planes: _Planes, row_R: Tensor, y_R: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The first pixel and the number of pixels that each row of each triangle covers."""
    first_R, end_R = torch.zeros_like(y_R), torch.full_like(y_R, float(width))
    for k in range(3):
        a_R, b_R, c_R = (plane[:, k].contiguous()[row_R] for plane in (planes.a_P3, planes.b_P3, planes.c_P3))
        crossing_R = -(b_R * y_R + c_R) / torch.where(a_R.abs() > 1e-12, a_R, 1e-12)
        first_R = torch.where(a_R > 0, torch.maximum(first_R, (crossing_R - 0.5).ceil()), first_R)
        end_R = torch.where(a_R < 0, torch.minimum(end_R, (crossing_R - 0.5).floor() + 1), end_R)
    return first_R, (end_R - first_R).clamp(min=0).long()


def _expand(count: Tensor) -> tuple[Tensor, Tensor]:
    """For counts (2, 1): which one each item belongs to (0, 0, 1) and its number there (0, 1, 0)."""
    owner = torch.repeat_interleave(count)
    return owner, torch.arange(len(owner)) - (count.cumsum(0) - count).index_select(0, owner)


def vertex_normals(vertices_V3: Tensor, triangles_T3: Tensor) -> Tensor:
    """Unit normals (V, 3), each triangle counted by its area."""
    corner0, corner1, corner2 = (vertices_V3.index_select(0, triangles_T3[:, k]) for k in range(3))
    normal_T3 = torch.linalg.cross(corner1 - corner0, corner2 - corner0)
    normals_V3 = torch.zeros_like(vertices_V3)
    for k in range(3):
        normals_V3.index_add_(0, triangles_T3[:, k], normal_T3)
    return functional.normalize(normals_V3, dim=1)


def ambient_occlusion(vertices_V3: Tensor, triangles_T3: Tensor, *, num_directions: int = 24) -> Tensor:
    """How much of the surroundings each vertex sees, from 0.3 (nothing) to 1: the light that fills even a shadow."""
    size, px_per_unit = 200, 40.0
    normals_V3 = vertex_normals(vertices_V3, triangles_T3)
    seen_V, total_V = torch.zeros(len(vertices_V3)), torch.full((len(vertices_V3),), 1e-6)
    for k in range(num_directions):
        height = 1 - 2 * (k + 0.5) / num_directions
        turn, radius = math.pi * (3 - math.sqrt(5)) * k, math.sqrt(1 - height * height)
        toward = torch.tensor([math.cos(turn) * radius, height, math.sin(turn) * radius])
        up = torch.tensor([0.0, 1, 0]) if abs(height) < 0.9 else torch.tensor([1.0, 0, 0])
        right = functional.normalize(torch.linalg.cross(up, toward), dim=0)
        plane_32 = torch.stack([right, -torch.linalg.cross(toward, right)], 1)
        xy_V2 = vertices_V3 @ plane_32 * px_per_unit + torch.tensor([size / 2, size / 2 + 18])
        nearness_V = vertices_V3 @ toward + 20
        hits = rasterize(xy_V2, nearness_V, triangles_T3, size, size)
        nearest = torch.zeros(size * size)
        nearest[hits.pixel_M] = hits.interpolate(nearness_V[:, None], triangles_T3)[:, 0]
        x_V, y_V = xy_V2.long().unbind(1)
        inside_V = (xy_V2 >= 0).all(1) & (xy_V2 < size).all(1)
        in_front_V = nearness_V > nearest[(y_V * size + x_V).clamp(0, size * size - 1)] - 0.07
        facing_V = (normals_V3 @ toward).clamp(min=0)
        seen_V += facing_V * (in_front_V | ~inside_V)
        total_V += facing_V
    return 0.3 + 0.7 * seen_V / total_V

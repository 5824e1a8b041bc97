"""Loads the public VGGFace2 weights of SE-ResNet-50 into the trunk.

The architecture is the same as the trunk's; tensor names, colour order and pixel range differ. `docs/pretrained.md`
shows how to convert a pickle to a readable file, and repeats the table of names.

Source: Cao et al. (2018), arXiv 1710.08092; the names are those of the two public ports to PyTorch.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from model.systems.mtanet.network import MTANet
from model.systems.mtanet.settings import Architecture

MEAN_RGB = (131.0912, 103.8827, 91.4953)
"""The mean that those networks subtract from pixels in 0..255."""
_HALF_RANGE = 127.5
"""Their pixel is 127.5 (x + 1) - mean, where x is ours."""


@dataclass(frozen=True)
class Naming:
    """Tensor names of a port. `blocks` is the name prefix of a block, by stage and block number; `parts` follow it."""

    name: str
    stem: tuple[str, str]
    blocks: str
    parts: tuple[str, ...]
    colours: str


_OUR_PARTS = (
    *("residual.0", "residual.1", "residual.3", "residual.4", "residual.6", "residual.7"),
    *("attention.1", "attention.3", "shortcut.0", "shortcut.1"),
)
NAMINGS = (
    Naming(
        "ox-vgg",
        stem=("conv1_7x7_s2", "conv1_7x7_s2_bn"),
        blocks="conv{stage_from_2}_{block_from_1}_",
        parts=(
            *("1x1_reduce", "1x1_reduce_bn", "3x3", "3x3_bn", "1x1_increase", "1x1_increase_bn"),
            *("1x1_down", "1x1_up", "1x1_proj", "1x1_proj_bn"),
        ),
        colours="RGB",
    ),
    Naming(
        "cydonia999",
        stem=("conv1", "bn1"),
        blocks="layer{stage_from_1}.{block_from_0}.",
        parts=("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "conv4", "conv5", "downsample.0", "downsample.1"),
        colours="BGR",
    ),
)


@dataclass(frozen=True, eq=False)
class Trunk:
    """Weights by their names in `MTANet.trunk`; the file's names of the tensors `taken` from it and `left` unused."""

    weights: dict[str, Tensor]
    naming: str
    taken: tuple[str, ...]
    left: tuple[str, ...]


def load_trunk(path: Path, architecture: Architecture) -> Trunk:
    """Reads the trunk's weights from safetensors, or from a state dict that `torch.load` reads without running code.

    The first convolution keeps its weights; the moments of its batch normalisation are shifted and scaled so that a
    face in [-1, 1] gives the same output as pixels in 0..255 minus their mean did. The two differ only at the border,
    where the convolution sees padding: the padding was the mean face colour and is now grey.

    Raises:
        ValueError: The file is missing, could only be read by running code, or lacks a tensor of the trunk or has it
            in another shape.
    """
    state = _read(path)
    naming = _naming_of(path, state)
    names = _names(naming, architecture.layers)
    expected = _shapes(architecture)
    weights, taken = {}, []
    for ours, shape in expected.items():
        theirs = names[ours.rpartition(".")[0]] + "." + ours.rpartition(".")[2]
        if theirs not in state and theirs.endswith("num_batches_tracked"):
            weights[ours] = torch.zeros((), dtype=torch.int64)
            continue
        if theirs not in state:
            raise ValueError(f"{path}: {theirs} is missing; expected an SE-ResNet with stages of {architecture.layers}")
        if tuple(state[theirs].shape) != shape:
            raise ValueError(f"{path}: {theirs}: expected shape {shape}, found {tuple(state[theirs].shape)}")
        weights[ours] = state[theirs].clone()
        taken.append(theirs)
    _expect_our_pixels(weights, naming)
    left = sorted(name for name in state.keys() - set(taken) if not name.endswith("num_batches_tracked"))
    return Trunk(weights, naming.name, tuple(taken), tuple(left))


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors by name, without the wrapping of checkpoints (`state_dict`) or data parallel training (`module.`)."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file with pretrained weights")
    found: object
    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (pickle.UnpicklingError, ModuleNotFoundError) as error:
        raise ValueError(
            f"{path}: refused, because reading it would run code stored in it; "
            "docs/pretrained.md shows how to convert it"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path}: not a weights file: {error}") from error
    state = found.get("state_dict", found) if isinstance(found, Mapping) else {}
    return {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}


def _naming_of(path: Path, state: Mapping[str, Tensor]) -> Naming:
    for naming in NAMINGS:
        if f"{naming.stem[0]}.weight" in state:
            return naming
    wanted = " or ".join(f"{naming.stem[0]}.weight ({naming.name})" for naming in NAMINGS)
    raise ValueError(f"{path}: expected tensors named as {wanted}, found {', '.join(sorted(state)[:3]) or 'none'}")


def _names(naming: Naming, layers: tuple[int, int, int, int]) -> dict[str, str]:
    """The port's name of each convolution and normalisation of the trunk."""
    names = {"0": naming.stem[0], "1": naming.stem[1]}
    place = 4
    for stage, num_blocks in enumerate(layers):
        for block in range(num_blocks):
            counts = {"stage_from_1": stage + 1, "stage_from_2": stage + 2}
            prefix = naming.blocks.format(**counts, block_from_0=block, block_from_1=block + 1)
            names |= {f"{place}.{our}": prefix + their for our, their in zip(_OUR_PARTS, naming.parts, strict=True)}
            place += 1
    return names


def _shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        trunk = MTANet(num_units=1, num_expressions=1, **architecture.model_dump()).trunk
    return {name: tuple(tensor.shape) for name, tensor in trunk.state_dict().items()}


def _expect_our_pixels(weights: dict[str, Tensor], naming: Naming) -> None:
    """Changes `weights` in place. The convolution is not rescaled, because that would change how fast it learns."""
    if naming.colours == "BGR":
        weights["0.weight"] = weights["0.weight"].flip(1)
    offset_C = _HALF_RANGE - torch.tensor(MEAN_RGB)
    from_offset_C = weights["0.weight"].sum((2, 3)) @ offset_C
    eps = nn.BatchNorm2d(1).eps
    weights["1.running_mean"] = (weights["1.running_mean"] - from_offset_C) / _HALF_RANGE
    # Adding eps before scaling keeps its relative size. The clamp is for channels without variance.
    weights["1.running_var"] = ((weights["1.running_var"] + eps) / _HALF_RANGE**2 - eps).clamp(min=0)

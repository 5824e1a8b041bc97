"""Pretrained weights, tested against an independent implementation of VGGFace2's SE-ResNet with random weights."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.little_store import learnable_store
from torch import Tensor
from torch.nn import functional

from data.batches.labelled_frames import labelled_frames
from data.labels import Edition, Split
from data.store.catalogue import Dataset
from model.pretrained import load_trunk
from model.systems.mtanet.method import METHOD
from model.systems.mtanet.network import MTANet
from model.systems.mtanet.settings import Architecture
from model.training.learning import Learning
from model.training.loop import train
from tasks.config import TrainConfig
from tasks.training.epochs import training_digest

LAYERS, WIDTH = (2, 1, 1, 1), 16
SMALL = Architecture(layers=LAYERS, width=WIDTH, neck=8)
MEAN_RGB = torch.tensor([131.0912, 103.8827, 91.4953])[:, None, None]
State = dict[str, Tensor]


@dataclass(frozen=True)
class Port:
    stem: str
    stem_bn: str
    prefix: Callable[[int, int], str]
    parts: Mapping[str, str]

    def block(self, stage: int, block: int) -> Callable[[str], str]:
        """Name prefix of a block; stage and block count from 0."""
        return lambda part: self.prefix(stage, block) + self.parts[part]


SIMPLE = {name: name for name in ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "conv4", "conv5")}
CAFFE = ("1x1_reduce", "1x1_reduce_bn", "3x3", "3x3_bn", "1x1_increase", "1x1_increase_bn", "1x1_down", "1x1_up")
PORTS = {
    "cydonia999": Port(
        *("conv1", "bn1"),
        lambda stage, block: f"layer{stage + 1}.{block}.",
        {**SIMPLE, "proj": "downsample.0", "proj_bn": "downsample.1"},
    ),
    "ox-vgg": Port(
        *("conv1_7x7_s2", "conv1_7x7_s2_bn"),
        lambda stage, block: f"conv{stage + 2}_{block + 1}_",
        {**dict(zip(SIMPLE, CAFFE, strict=True)), "proj": "1x1_proj", "proj_bn": "1x1_proj_bn"},
    ),
}


def random_state(port: str) -> State:
    """Random tensors named as in a file of the port, including the classifier after the trunk."""
    random = torch.Generator().manual_seed(3)
    state: State = {}

    def convolution(name: str, out: int, inside: int, size: int, bias: bool = False) -> None:
        state[f"{name}.weight"] = torch.randn(out, inside, size, size, generator=random) / (inside * size**2) ** 0.5
        if bias:
            state[f"{name}.bias"] = torch.randn(out, generator=random)

    def normalisation(name: str, channels: int, scale: float = 1.0) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            values = torch.rand(channels, generator=random) + 0.5
            state[f"{name}.{part}"] = values * {"running_mean": scale, "running_var": scale**2}.get(part, 1.0)

    convolution(PORTS[port].stem, WIDTH, 3, 7)
    normalisation(PORTS[port].stem_bn, WIDTH, scale=50.0)  # pixels in 0..255
    inside = WIDTH
    for stage, num_blocks in enumerate(LAYERS):
        channels = WIDTH * 2**stage
        for block in range(num_blocks):
            name = PORTS[port].block(stage, block)
            for number, (to, of, size) in enumerate(
                [(channels, inside, 1), (channels, channels, 3), (4 * channels, channels, 1)], start=1
            ):
                convolution(name(f"conv{number}"), to, of, size)
                normalisation(name(f"bn{number}"), to)
            convolution(name("conv4"), channels // 4, 4 * channels, 1, bias=True)
            convolution(name("conv5"), 4 * channels, channels // 4, 1, bias=True)
            if block == 0:
                convolution(name("proj"), 4 * channels, inside, 1)
                normalisation(name("proj_bn"), 4 * channels)
            inside = 4 * channels
    state["fc.weight"], state["fc.bias"] = torch.zeros(3, inside), torch.zeros(3)
    return state


def forward(state: State, port: str, x: Tensor) -> Tensor:
    """The public network up to its last stage, on pixels in its own range."""

    def bn(x: Tensor, name: str) -> Tensor:
        weight, bias, mean, var = (state[f"{name}.{p}"] for p in ("weight", "bias", "running_mean", "running_var"))
        shape = (1, -1, 1, 1)
        return (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt() * weight.view(shape) + bias.view(shape)

    def conv(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride, padding)

    x = bn(conv(x, PORTS[port].stem, 2, 3), PORTS[port].stem_bn).relu()
    x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
    for stage, num_blocks in enumerate(LAYERS):
        for block in range(num_blocks):
            name, stride = PORTS[port].block(stage, block), 2 if stage > 0 and block == 0 else 1
            y = bn(conv(x, name("conv1"), stride), name("bn1")).relu()
            y = bn(conv(y, name("conv2"), padding=1), name("bn2")).relu()
            y = bn(conv(y, name("conv3")), name("bn3"))
            gate = conv(conv(y.mean((2, 3), keepdim=True), name("conv4")).relu(), name("conv5")).sigmoid()
            x = bn(conv(x, name("proj"), stride), name("proj_bn")) if block == 0 else x
            x = (gate * y + x).relu()
    return x


def _saved(folder: Path, state: State) -> Path:
    path = folder / "weights.safetensors"
    save_file(state, path)
    return path


@pytest.mark.parametrize("port", list(PORTS))
def test_the_trunk_with_a_ports_weights_gives_the_ports_outputs(tmp_path: Path, port: str) -> None:
    state = random_state(port)
    found = load_trunk(_saved(tmp_path, state), SMALL)
    trunk = MTANet(num_units=8, num_expressions=7, layers=LAYERS, width=WIDTH, neck=8).trunk
    trunk.load_state_dict(found.weights)
    # The border has the mean colour and is so wide that the centre compared below never sees the differing padding.
    pixels_CHW = MEAN_RGB.repeat(1, 240, 240)
    pixels_CHW[:, 80:160, 80:160] = torch.rand(3, 80, 80, generator=torch.Generator().manual_seed(1)) * 255
    theirs_CHW = (pixels_CHW - MEAN_RGB).flip(0) if port == "cydonia999" else pixels_CHW - MEAN_RGB
    with torch.inference_mode():
        stem = trunk.eval()[:3](pixels_CHW[None] / 127.5 - 1)
        expected = functional.relu(_stem(state, port, theirs_CHW[None]))
        torch.testing.assert_close(stem[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-3, rtol=1e-3)
        # Beyond the stem only the names differ: the same input gives the same output.
        torch.testing.assert_close(_beyond_stem(trunk, expected), forward(state, port, theirs_CHW[None]))
    assert found.naming == port
    assert found.left == ("fc.bias", "fc.weight")
    assert sorted((*found.taken, *found.left)) == sorted(state)


def _stem(state: State, port: str, x: Tensor) -> Tensor:
    names = PORTS[port]
    x = functional.conv2d(x, state[f"{names.stem}.weight"], None, 2, 3)
    mean, var, weight, bias = (
        state[f"{names.stem_bn}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return functional.batch_norm(x, mean, var, weight, bias)


def _beyond_stem(trunk: torch.nn.Module, stem_BCHW: Tensor) -> Tensor:
    x: Tensor = stem_BCHW
    for module in list(trunk.children())[3:]:
        x = module(x)
    return x


def test_a_wrapped_state_dict_of_torch_is_read(tmp_path: Path) -> None:
    state = random_state("cydonia999")
    state["bn1.num_batches_tracked"] = torch.tensor(9)
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "a.pth"
    )
    found = load_trunk(tmp_path / "a.pth", SMALL)
    assert found.left == ("fc.bias", "fc.weight")
    assert torch.equal(found.weights["4.residual.0.weight"], state["layer1.0.conv1.weight"])
    assert int(found.weights["1.num_batches_tracked"]) == 9
    assert int(found.weights["4.residual.1.num_batches_tracked"]) == 0


def test_a_missing_or_misshapen_tensor_is_named(tmp_path: Path) -> None:
    state = random_state("cydonia999")
    state["layer2.0.conv2.weight"] = torch.zeros(4, 4, 3, 3)
    with pytest.raises(
        ValueError, match=r"layer2\.0\.conv2\.weight: expected shape \(32, 32, 3, 3\), found \(4, 4, 3, 3\)"
    ):
        load_trunk(_saved(tmp_path, state), SMALL)
    del state["layer2.0.conv2.weight"]
    with pytest.raises(ValueError, match=r"layer2\.0\.conv2\.weight is missing; expected .* stages of \(2, 1, 1, 1\)"):
        load_trunk(_saved(tmp_path, state), SMALL)
    with pytest.raises(ValueError, match=r"expected tensors named as conv1_7x7_s2.weight \(ox-vgg\) .*, found a, b"):
        load_trunk(_saved(tmp_path, {"a": torch.zeros(1), "b": torch.zeros(1)}), SMALL)


class _Boom:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (print, ("this ran",))


@pytest.mark.parametrize("save", [lambda thing, path: path.write_bytes(pickle.dumps(thing, 2)), torch.save])
def test_a_pickle_that_needs_code_is_refused(
    tmp_path: Path, save: Callable[[object, Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pkl"
    save({"conv1.weight": _Boom()}, path)
    with pytest.raises(
        ValueError, match=r"weights\.pkl: refused, because reading it would run code stored in it; docs/pretrained"
    ):
        load_trunk(path, SMALL)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_a_file_without_weights_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no such file with pretrained weights"):
        load_trunk(tmp_path / name, SMALL)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{name}: not a weights file"):
        load_trunk(tmp_path / name, SMALL)


def _convert(tmp_path: Path, weights: object) -> subprocess.CompletedProcess[str]:
    document = (Path(__file__).parents[2] / "docs" / "pretrained.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    (tmp_path / "convert.py").write_text(script)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(weights, protocol=2))
    command = [sys.executable, "convert.py", "a.pkl", "a.safetensors"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_the_documented_conversion_reads_arrays_and_nothing_else(tmp_path: Path) -> None:
    state = random_state("cydonia999")
    done = _convert(tmp_path, OrderedDict((name, tensor.numpy()) for name, tensor in state.items()))
    assert done.returncode == 0, done.stderr
    found = load_trunk(tmp_path / "a.safetensors", SMALL)
    assert torch.equal(found.weights["6.residual.6.weight"], state["layer2.0.conv3.weight"])
    refused = _convert(tmp_path, {"conv1.weight": _Boom()})
    assert refused.returncode != 0
    assert "refused: __builtin__.print is no part of an array" in refused.stderr
    assert "this ran" not in refused.stdout


@pytest.mark.slow
def test_training_starts_from_the_trunk(tmp_path: Path) -> None:
    files, labels = learnable_store(tmp_path)
    sets = [
        labelled_frames(files, labels, split=split, edition=Edition.ABAW_2020)
        for split in (Split.TRAIN, Split.VALIDATION)
    ]
    found = load_trunk(_saved(tmp_path, random_state("ox-vgg")), SMALL)
    learning = Learning(epochs=1, batch_size=48)
    curves = [
        next(train(tmp_path / name, *sets, method=METHOD, architecture=SMALL, learning=learning, trunk=trunk))[
            "train/loss"
        ]
        for name, trunk in (("with", found.weights), ("again", found.weights), ("without", None))
    ]
    assert curves[0] == curves[1] != curves[2]


def test_the_digest_of_a_training_depends_on_the_content_of_the_file_not_its_path(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.safetensors" for name in ("one", "same", "other")}
    for name, path in files.items():
        save_file({"a": torch.full((1,), float(name == "other"))}, path)
    dataset = Dataset("tiny", "root", ())
    digests = {
        name: training_digest(TrainConfig(pretrained=path), dataset, tmp_path / "store") for name, path in files.items()
    }
    assert digests["one"] == digests["same"] != digests["other"]
    assert digests["one"] != training_digest(TrainConfig(), dataset, tmp_path / "store")

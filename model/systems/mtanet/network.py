"""MTANet: an SE-ResNet trunk, a neck of two pooled branches, and a linear head for each of the three tasks.

Letters: B faces, C channels, H height, W width, U action units, E expressions, T tasks (`data.labels.Task`).

Source: Zhang & Gu (2020), arXiv 2002.00606.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data.labels import Task
from model.network import Network, Outputs

EXPANSION = 4
REDUCTION = 16


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions, channel attention, residual sum. The first 1x1 has the stride, as in VGGFace2's."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = EXPANSION * channels
        squeezed = max(out_channels // REDUCTION, 1)
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(out_channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, out_channels, 1),
            nn.Sigmoid(),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        residual_BCHW = self.residual(x_BCHW)
        return torch.relu(self.attention(residual_BCHW) * residual_BCHW + self.shortcut(x_BCHW))


def _trunk(layers: tuple[int, int, int, int], width: int) -> nn.Sequential:
    modules: list[nn.Module] = [
        nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
    ]
    in_channels = width
    for stage, num_blocks in enumerate(layers):
        channels = width * 2**stage
        for block in range(num_blocks):
            modules.append(Bottleneck(in_channels, channels, stride=2 if stage > 0 and block == 0 else 1))
            in_channels = EXPANSION * channels
    return nn.Sequential(*modules)


def _branch(in_channels: int, channels: int, dropout: float, pool: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(dropout), nn.Conv2d(in_channels, channels, 1), nn.LeakyReLU(0.01, inplace=True), pool, nn.Flatten()
    )


class MTANet(Network):
    """The network of the method.

    With the defaults, 8 units and 7 expressions it has 28,154,628 parameters, including these three scalars.
    """

    def __init__(
        self,
        *,
        num_units: int,
        num_expressions: int,
        layers: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,
        neck: int = 512,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        features = width * EXPANSION * 2 ** (len(layers) - 1)
        self.trunk = _trunk(layers, width)
        self.mean_branch = _branch(features, neck, dropout, nn.AdaptiveAvgPool2d(1))
        self.max_branch = _branch(features, neck, dropout, nn.AdaptiveMaxPool2d(1))
        self.valence_arousal = nn.Linear(2 * neck, 2)
        self.action_units = nn.Linear(2 * neck, num_units)
        self.expression = nn.Linear(2 * neck, num_expressions)
        self.log_sigma_T = nn.Parameter(torch.ones(len(Task)))
        for module in self.trunk.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, faces_BCHW: Tensor) -> Outputs:
        """`faces_BCHW`: RGB in [-1, 1], 112 x 112."""
        return self.heads(self.features(faces_BCHW))

    def features(self, faces_BCHW: Tensor) -> Tensor:
        """The features that the heads read: both branches of the neck, `features_BC`."""
        return self.neck(self.trunk(faces_BCHW))

    def neck(self, trunk_BCHW: Tensor) -> Tensor:
        """The features from the trunk's maps."""
        return torch.cat([self.mean_branch(trunk_BCHW), self.max_branch(trunk_BCHW)], dim=1)

    @property
    def shared(self) -> list[nn.Parameter]:
        """The parameters of trunk and neck."""
        modules = (self.trunk, self.mean_branch, self.max_branch)
        return [parameter for module in modules for parameter in module.parameters()]

    def heads(self, features_BC: Tensor) -> Outputs:
        """The outputs for `features`; any leading dimensions are kept."""
        return Outputs(self.valence_arousal(features_BC), self.action_units(features_BC), self.expression(features_BC))


def mtanet(network: Network) -> MTANet:
    """The network, for what needs its trunk, its neck or its features.

    Raises:
        ValueError: It is that of another system.
    """
    if not isinstance(network, MTANet):
        raise ValueError(f"expected the network of the system mtanet, found {type(network).__name__}")
    return network

"""How MTANet is trained."""

from __future__ import annotations

from model.systems.mtanet.network import MTANet
from model.systems.mtanet.settings import Architecture
from model.training.step import Method, step

METHOD = Method("mtanet", Architecture, MTANet, step)

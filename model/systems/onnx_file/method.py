"""How a foreign network is built; it was trained elsewhere."""

from __future__ import annotations

from model.systems.onnx_file.network import OnnxFile
from model.systems.onnx_file.settings import OnnxSettings
from model.training.step import Method

METHOD = Method("onnx_file", OnnxSettings, OnnxFile, step=None)

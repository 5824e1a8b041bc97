"""A finished model predicts with the parts that its folder holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.little_store import write_track

from data.labels import Edition, Task, action_unit_columns
from data.schema import PREDICTIONS, Status
from data.store.shards import read_table
from data.warehouse.predictions import write_predictions
from model.finished import FITTED, finished_columns, load_finished, load_fits, predict_track, save_fits
from model.inference import COLUMNS, predict
from model.postprocessing.fitting import Fit, smooth
from model.systems.mtanet.network import mtanet
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network
from model.temporal.checkpoint import HEAD, HeadCheckpoint, save_head
from model.temporal.features import track_features
from model.temporal.head import answer_track, build_head
from model.temporal.settings import TemporalArchitecture
from model.training.checkpoint import Checkpoint, save_checkpoint
from model.training.loop import MODEL

EDITION = Edition.ABAW_2020
FITS = {
    Task.VA: Fit(5),
    Task.EXPR: Fit(1, {"p_fear": 2.0}),
    Task.AU: Fit(1, dict.fromkeys(action_unit_columns(EDITION), 0.0)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model without a temporal head or fitted postprocessing."""
    torch.manual_seed(0)
    architecture = Architecture(layers=(1, 1, 1, 1), width=8, neck=8)
    network = build_network(EDITION, architecture)
    save_checkpoint(
        tmp_path / MODEL, Checkpoint(network=network, edition=EDITION, system="mtanet", architecture=architecture)
    )
    return tmp_path


@pytest.fixture
def faces_file(folder: Path) -> Path:
    return write_track(folder, "107", 12, status={4: Status.NO_FACE})


def test_without_a_head_the_network_predicts(folder: Path, faces_file: Path) -> None:
    model = load_finished(folder)
    assert (model.edition, model.head, model.fits) == (EDITION, None, {})
    frame_index_N, found = predict_track(model, faces_file)
    expected_index_N, expected = predict(model.network, faces_file, EDITION)
    assert frame_index_N.tolist() == expected_index_N.tolist() == [*range(12)]
    for name in COLUMNS:
        np.testing.assert_array_equal(found[name], expected[name])
    nothing = finished_columns(model, frame_index_N, found)
    np.testing.assert_array_equal(nothing["smoothed_arousal"], found["arousal"])
    np.testing.assert_array_equal(nothing["decided_expression"], found["expression"])
    expected_yes = [row == 4 or p > 0.5 for row, p in enumerate(found["au4"])]
    assert np.nan_to_num(nothing["decided_au4"], nan=1).tolist() == expected_yes


def test_a_temporal_head_replaces_the_predictions_of_the_network(folder: Path, faces_file: Path) -> None:
    torch.manual_seed(1)
    head = build_head(EDITION, 16, TemporalArchitecture(width=8)).eval()
    save_head(folder / HEAD, HeadCheckpoint(head=head, edition=EDITION))
    model = load_finished(folder)
    _, found = predict_track(model, faces_file)
    _, features_NC = track_features(mtanet(model.network), faces_file)
    expected = answer_track(head, torch.from_numpy(features_NC), EDITION)
    assert set(found) == set(COLUMNS)
    for name, values_N in expected.items():
        np.testing.assert_allclose(found[name], values_N.detach().numpy(), atol=1e-6)
    assert np.isnan(found["valence"]).tolist() == [row == 4 for row in range(12)]
    assert not np.allclose(found["valence"], predict(model.network, faces_file, EDITION)[1]["valence"], equal_nan=True)


def test_fitted_postprocessing_is_saved_and_applied(folder: Path, faces_file: Path) -> None:
    save_fits(folder, FITS, {"recordings": 3})
    model = load_finished(folder)
    assert model.fits == FITS
    frame_index_N, said = predict_track(model, faces_file)
    found = finished_columns(model, frame_index_N, said)
    values_N2 = np.stack([said["valence"], said["arousal"]], axis=1)
    smoothed_N2 = smooth(values_N2, np.zeros(12, np.int64), frame_index_N, 5)
    np.testing.assert_allclose(found["smoothed_arousal"], smoothed_N2[:, 1])
    assert not np.allclose(found["smoothed_arousal"], said["arousal"], equal_nan=True)
    assert [row for row, yes in enumerate(found["decided_au12"]) if np.isnan(yes)] == [4]
    assert np.nansum(found["decided_au12"]) == 11
    path = folder / "predicted.parquet"
    write_predictions(path, faces_file, {**said, **found}, model_version=1)
    table = read_table([path])
    assert table.schema == PREDICTIONS
    assert table["decided_au12"].to_pylist() == [True] * 4 + [None] + [True] * 7
    assert table["decided_au26"].null_count == 12
    assert table["decided_expression"].null_count == 1
    assert {f"smoothed_{name}" for name in ("valence", "arousal")} < set(found) < set(PREDICTIONS.names)


def test_unreadable_fits_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / FITTED).write_text("{")
    with pytest.raises(ValueError, match=r"fitted\.json: damaged \(.*\); restore it, or delete it"):
        load_fits(tmp_path)
    (tmp_path / FITTED).write_text('{"version": 0}')
    with pytest.raises(ValueError, match="expected version 1, found 0; train again"):
        load_fits(tmp_path)

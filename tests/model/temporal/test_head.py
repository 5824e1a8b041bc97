"""The temporal head: predicts every frame with a face, ignores missing data, and resumes exactly."""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from support.little_store import learnable_store, write_track

from data.batches.labelled_frames import labelled_frames
from data.labels import Edition, Split
from data.schema import Status
from data.store.shards import is_whole
from model.inference import predict
from model.systems.mtanet.network import MTANet, mtanet
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network
from model.temporal.checkpoint import HEAD, HeadCheckpoint, load_head, save_head
from model.temporal.features import keep_features, read_features, track_features
from model.temporal.head import TemporalHead, answer_track, build_head
from model.temporal.settings import TemporalArchitecture, TemporalLearning
from model.temporal.training import train_head
from model.temporal.windows import LabelledTrack, labelled_tracks, mean_and_scale, read_windows, windows_of

pytestmark = pytest.mark.slow

EDITION = Edition.ABAW_2020
NAN = float("nan")
FEATURES = 16
QUICK = TemporalLearning(epochs=4, window=16, batch_size=2, learning_rate=1e-2)
BOTH = pytest.mark.parametrize("kind", ["conv", "gru"])


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> MTANet:
    torch.manual_seed(0)
    return mtanet(build_network(EDITION, Architecture(layers=(1, 1, 1, 1), width=8, neck=FEATURES // 2))).eval()


def _head(kind: str = "conv", **sizes: int) -> TemporalHead:
    torch.manual_seed(1)
    architecture = TemporalArchitecture(kind=kind, width=8, **sizes)  # type: ignore[arg-type]
    return build_head(EDITION, FEATURES, architecture).eval()


def _features(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(frames, FEATURES, generator=torch.Generator().manual_seed(seed))


def _late_tracks(tracks: int, seed: int, frames: int = 80) -> list[LabelledTrack]:
    """Valence and arousal equal the features two frames earlier and later, so a single frame cannot predict them."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(tracks):
        features_NC = np.repeat(random.normal(size=(frames, 2)), FEATURES // 2, axis=1).astype(np.float32)
        labels_NL = np.full((frames, 2 + 1 + 8), NAN, dtype=np.float32)
        labels_NL[2:, 0], labels_NL[:-2, 1] = features_NC[:-2, 0] / 3, features_NC[2:, -1] / 3
        features_NC[random.uniform(size=frames) < 0.05] = NAN
        made.append(LabelledTrack(f"track{number}", features_NC, labels_NL))
    return made


def _train(
    folder: Path,
    network: MTANet,
    learning: TemporalLearning = QUICK,
    epochs: int | None = None,
    kind: str = "conv",
    tracks: list[LabelledTrack] | None = None,
) -> list[dict[str, float]]:
    records = train_head(
        folder,
        network,
        tracks or _late_tracks(4, 0),
        _late_tracks(2, 1),
        edition=EDITION,
        architecture=TemporalArchitecture(kind=kind, width=32, dropout=0.1),  # type: ignore[arg-type]
        learning=learning,
    )
    return list(islice(records, epochs))


@BOTH
def test_exactly_the_frames_with_a_face_get_predictions(kind: str) -> None:
    features_NC = _features(23)
    features_NC[[0, 7, 8, 22]] = NAN
    columns = answer_track(_head(kind), features_NC, EDITION)
    assert set(columns) >= {"valence", "arousal", "expression", "p_fear", "au25"}
    for values_N in columns.values():
        assert torch.equal(values_N.isnan().nonzero().flatten(), torch.tensor([0, 7, 8, 22]))


@BOTH
def test_a_prediction_depends_on_earlier_and_later_frames(kind: str) -> None:
    head, features_NC = _head(kind), _features(21)
    before_NC, after_NC = features_NC.clone(), features_NC.clone()
    before_NC[7], after_NC[13] = 3, 3
    middle = answer_track(head, features_NC, EDITION)["valence"][10]
    assert answer_track(head, before_NC, EDITION)["valence"][10] != middle
    assert answer_track(head, after_NC, EDITION)["valence"][10] != middle


@BOTH
def test_with_a_frame_step_of_two_even_and_odd_frames_are_separate(kind: str) -> None:
    features_NC = _features(21)
    together = answer_track(_head(kind, frame_step=2), features_NC, EDITION)
    for phase in (0, 1):
        alone = answer_track(_head(kind), features_NC[phase::2], EDITION)
        assert all(torch.equal(together[name][phase::2], alone[name]) for name in alone)


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_a_track_can_be_shorter_than_any_step(frames: int) -> None:
    columns = answer_track(_head(frame_step=3), _features(frames), EDITION)
    assert all(len(values_N) == frames for values_N in columns.values())
    assert not any(values_N.isnan().any() for values_N in columns.values())


@pytest.mark.parametrize("frame_step", [1, 3])
def test_windows_tile_a_track_and_change_each_epoch(frame_step: int) -> None:
    tracks = _late_tracks(2, 0)
    windows = windows_of(tracks, length=16, frame_step=frame_step, seed=0, epoch=0)
    for number in (0, 1):
        rows = np.concatenate([window.row_T for window in windows if window.track == number])
        rows = np.sort(rows[(rows >= 0) & (rows < 80)])
        assert np.diff(rows).tolist() == [frame_step] * (len(rows) - 1)
        assert len(rows) >= 80 // frame_step
    again, other = (windows_of(tracks, length=16, frame_step=frame_step, seed=0, epoch=epoch) for epoch in (0, 1))
    assert [window.row_T[0] for window in again] == [window.row_T[0] for window in windows]
    assert [window.row_T[0] for window in other] != [window.row_T[0] for window in windows]


def test_windows_are_nan_beyond_the_ends_of_a_track() -> None:
    tracks = _late_tracks(1, 0)
    windows = windows_of(tracks, length=64, frame_step=1, seed=0, epoch=0)
    features_BTC, labels_BTL = read_windows(tracks, windows)
    for window, features_TC, labels_TL in zip(windows, features_BTC, labels_BTL, strict=True):
        within_T = (window.row_T >= 0) & (window.row_T < 80)
        assert np.isnan(features_TC[~within_T]).all()
        assert np.isnan(labels_TL[~within_T]).all()
        np.testing.assert_array_equal(features_TC[within_T], tracks[0].features_NC[window.row_T[within_T]])
        np.testing.assert_array_equal(labels_TL[within_T], tracks[0].labels_NL[window.row_T[within_T]])


def test_mean_and_scale_use_frames_with_a_face_only() -> None:
    tracks = _late_tracks(3, 0)
    all_NC = np.concatenate([track.features_NC for track in tracks])
    mean_C, scale_C = mean_and_scale(tracks)
    np.testing.assert_allclose(mean_C, np.nanmean(all_NC, axis=0), atol=1e-5)
    np.testing.assert_allclose(scale_C, np.nanstd(all_NC, axis=0) + 1e-3, atol=1e-5)


@BOTH
def test_the_head_learns_what_a_single_frame_cannot_show(tmp_path: Path, network: MTANet, kind: str) -> None:
    last = _train(tmp_path, network, QUICK.but(epochs=15), kind=kind)[-1]
    assert last["temporal/ccc"] > 0.5
    assert abs(last["temporal/frame_ccc"]) < 0.2
    assert last["temporal/gain_ccc"] == last["temporal/ccc"] - last["temporal/frame_ccc"]
    assert "temporal/expression" not in last


def test_an_interrupted_training_ends_with_the_same_head(tmp_path: Path, network: MTANet) -> None:
    whole = _train(tmp_path / "whole", network)
    first = _train(tmp_path / "killed", network, epochs=2)
    assert not (tmp_path / "killed" / HEAD).exists()
    rest = _train(tmp_path / "killed", network)
    assert first == whole[:2]
    assert rest == whole
    assert (tmp_path / "killed" / HEAD).read_bytes() == (tmp_path / "whole" / HEAD).read_bytes()
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [HEAD]
    assert _train(tmp_path / "killed", network) == whole
    other = _train(tmp_path / "other", network, QUICK.but(seed=1))
    assert other[-1]["temporal/ccc"] != whole[-1]["temporal/ccc"]


def test_a_label_without_a_face_has_no_effect(tmp_path: Path, network: MTANet) -> None:
    heads = []
    for lie in (0.0, 0.9):
        tracks = _late_tracks(2, 0)
        for track in tracks:
            track.labels_NL[np.isnan(track.features_NC[:, 0])] = lie
        folder = tmp_path / str(lie)
        architecture = TemporalArchitecture(width=8)
        learning = QUICK.but(epochs=1)
        list(train_head(folder, network, tracks, tracks, edition=EDITION, architecture=architecture, learning=learning))
        heads.append(load_head(folder / HEAD).head.state_dict())
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])


def test_a_nan_loss_names_the_tracks(tmp_path: Path, network: MTANet) -> None:
    tracks = _late_tracks(4, 0)
    for track in tracks:
        track.labels_NL[5, 0] = math.inf
    with pytest.raises(
        FloatingPointError, match=r"the loss of the temporal head is nan in epoch \d.*these tracks: track\d"
    ):
        _train(tmp_path, network, tracks=tracks)


def test_a_head_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    head = _head("gru", frame_step=2)
    save_head(tmp_path / HEAD, HeadCheckpoint(head=head, edition=EDITION, records=({"temporal/ccc": 0.5},)))
    read = load_head(tmp_path / HEAD)
    assert read.records == ({"temporal/ccc": 0.5},)
    assert (read.edition, read.optimiser) == (EDITION, {})
    features_NC = _features(9)
    expected, found = (answer_track(each.eval(), features_NC, EDITION) for each in (head, read.head))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_an_unreadable_head_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / HEAD
    with pytest.raises(ValueError, match="no such temporal head"):
        load_head(path)
    path.write_bytes(b"half of it")
    with pytest.raises(ValueError, match=r"damaged \(Error while deserializing header.*train again, or restore it"):
        load_head(path)
    path.write_bytes(save({"x": torch.zeros(1)}, metadata={"facts": json.dumps({"version": 0})}))
    with pytest.raises(ValueError, match="expected version 1, found 0; train again"):
        load_head(path)


def test_features_are_written_once_and_are_nan_without_a_face(tmp_path: Path, network: MTANet) -> None:
    (tmp_path / "shard").mkdir()
    faces_file = write_track(tmp_path / "shard", "107", 6, status={2: Status.NO_FACE})
    folder = tmp_path / "features" / "abc"
    assert keep_features(folder, network, [faces_file], store=tmp_path) == 6
    assert is_whole(folder)
    assert keep_features(folder, network, [faces_file], store=tmp_path) == 0
    frame_index_N, features_NC = track_features(network, faces_file)
    assert frame_index_N.tolist() == [*range(6)]
    kept_NC = read_features(folder, "107")
    np.testing.assert_array_equal(kept_NC, features_NC.astype(np.float16))
    assert np.isnan(kept_NC).all(axis=1).tolist() == [False, False, True, False, False, False]
    with torch.inference_mode():
        valence_N = network.heads(torch.from_numpy(features_NC)).valence_arousal_B2[:, 0].clamp(-1, 1)
    np.testing.assert_allclose(valence_N, predict(network, faces_file, EDITION)[1]["valence"], atol=1e-5)


def test_labels_have_the_rows_of_their_frames(tmp_path: Path) -> None:
    files, labels = learnable_store(tmp_path)
    frames = labelled_frames(files, labels, split=Split.TRAIN, edition=EDITION, frame_step=2)
    tracks = labelled_tracks(frames, lambda track_id: np.full((24, 2), int(track_id[-1]), np.float32))
    assert [(track.track_id, track.features_NC[0, 0]) for track in tracks] == [("video0", 0), ("video1", 1)]
    np.testing.assert_array_equal(tracks[1].labels_NL[::2], np.concatenate(list(_label_columns(frames)), axis=1)[12:])
    assert np.isnan(tracks[1].labels_NL[1::2]).all()


def _label_columns(frames: object) -> list[np.ndarray]:
    return [np.array(column)[:, None] for column in frames.truth().values()]  # type: ignore[attr-defined]

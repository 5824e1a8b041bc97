"""What the page of a video is made from: the video by any of its names, its columns, its doubts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.viewed_store import times_of, view_store

from data.schema import Status
from data.store.catalogue import FailedVideo, read_catalogue, write_catalogue
from data.testing.numbered import numbered_clip
from data.viewer.columns import STATUSES, predicting_versions, read_columns
from data.viewer.doubts import Doubt, doubts_of
from data.viewer.finding import find_video


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewed")
    path = numbered_clip(folder / "clip.mp4", 12)
    systems = {1: ("va", "expr", "au"), 3: ("expr",)}
    return view_store(folder / "store", path, tracks=("left", "right"), statuses={4: Status.NO_FACE}, systems=systems)


@pytest.fixture
def own(store: Path, tmp_path: Path) -> Path:
    """A copy of the store and its video, to change."""
    shutil.copytree(store, tmp_path / "store")
    shutil.copy(store.parent / "clip.mp4", tmp_path / "clip.mp4")
    dataset = read_catalogue(store, "set-v")
    write_catalogue(replace(dataset, root=str(tmp_path)), tmp_path / "store")
    return tmp_path / "store"


def test_a_video_is_found_by_its_name_a_track_and_its_file(own: Path) -> None:
    elsewhere = own.parent / "renamed.mp4"
    shutil.copy(own.parent / "clip.mp4", elsewhere)
    found = [find_video(own, name) for name in ("clip", "right", str(elsewhere))]
    assert [(of.video.video_id, of.track_id, of.path.name) for of in found] == [
        ("clip", None, "clip.mp4"),
        ("clip", "right", "clip.mp4"),
        ("clip", None, "renamed.mp4"),
    ]


def test_what_is_not_there_is_refused_with_what_to_do(own: Path) -> None:
    with pytest.raises(ValueError, match=r"no video 'clp' in .*expected a video, a track or a file, such as clip"):
        find_video(own, "clp")
    stranger = numbered_clip(own.parent / "other.mp4", 3)
    with pytest.raises(ValueError, match=r"other.mp4: not a video of .*; predict it first: mtanet predict"):
        find_video(own, str(stranger))
    video = own.parent / "clip.mp4"
    video.write_bytes(video.read_bytes() + b"0")
    with pytest.raises(ValueError, match=r"clip.mp4 has changed since it was read; ingest or predict it again"):
        find_video(own, "clip")
    video.unlink()
    with pytest.raises(ValueError, match=r"video clip: no file .*give the file's new place instead of the name"):
        find_video(own, "clip")
    video.mkdir()
    with pytest.raises(ValueError, match=r"video clip: only its crops were read"):
        find_video(own, "clip")
    failed = FailedVideo("bad", "bad.mp4", "0 bytes; copy it again", ("bad_left",))
    write_catalogue(replace(read_catalogue(own, "set-v"), failed=(failed,)), own)
    with pytest.raises(ValueError, match="video bad could not be read: 0 bytes; copy it again"):
        find_video(own, "bad_left")


def test_columns_have_one_value_a_frame_and_only_those_with_values_are_there(store: Path) -> None:
    columns = read_columns(store, "clip", 1, 3)
    left, right = columns.tracks
    assert columns.times_s_F == pytest.approx(times_of(store.parent / "clip.mp4"))
    assert [STATUSES[code] for code in left.status_F[3:6]] == [Status.OK, Status.NO_FACE, Status.OK]
    assert np.isnan(left.columns_F["x"][4])
    assert list(left.columns_F["x"][[0, 3, 5]]) == [20, 23, 25]
    assert right.columns_F["landmark_2"][1] == 60 + 1 + 18
    assert left.columns_F["label_au12"].tolist() == [1] * 10 + [0] * 2
    assert left.columns_F["other_expression"].tolist() == [3] * 10 + [4] * 2
    assert "smoothed_valence" in left.columns_F
    absent = {"other_valence", "au7", "label_au1", "decided_expression", "other_au1", "p_other"}
    assert not absent & left.columns_F.keys()
    assert not any(name.startswith("label_") for name in right.columns_F)


def test_the_versions_that_predicted_a_video_are_known(store: Path) -> None:
    assert predicting_versions(store, "clip") == {1: "mtanet", 3: "mtanet"}
    assert predicting_versions(store, "other") == {}
    with pytest.raises(ValueError, match="video other: no frames in"):
        read_columns(store, "other", None)


def test_a_doubt_says_which_frames_it_concerns() -> None:
    texts = [
        "one_left: person 2 in frames 3 to 8 and 20 to 31 may be the same as person 1 in frames 0 to 2 (margin 0.01)",
        "one_left: very different stretches were joined (margin 0.010 of 0.24); check",
        "one: person 4 has no track",
    ]
    found = doubts_of({"video_id": "one", "files": {"one.parquet": {}, "one_left.parquet": {}}, "doubts": texts})
    assert found == {
        "one_left": [Doubt(texts[0], ((3, 9), (20, 32), (0, 3))), Doubt(texts[1])],
        "one": [Doubt(texts[2])],
    }

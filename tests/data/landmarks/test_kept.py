"""The points of a video on disk: found once, complete or absent, in the rows of their faces."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.aligned import aligned_face, as_batch
from support.little_store import face, jpeg, label, write_labels, write_track

from data.batches.labelled_frames import labelled_frames
from data.faces.crops import decode_jpegs
from data.labels import Edition, Split
from data.landmarks.kept import keep_landmarks, landmarks_folder, points_of_frames, read_landmarks, track_points
from data.landmarks.mesh import find_points
from data.landmarks.points import INDICES
from data.schema import Status
from data.store.damage import DamagedError, read_parquet
from data.store.shards import is_whole, parquet_files, read_manifest

CROPS = {frame: jpeg(aligned_face(right_px=frame)) for frame in range(6)}


def video(folder: Path, *tracks: str) -> list[Path]:
    """Faces files of tracks; the third frame has no face."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write_track(folder, track, 6, status={2: Status.NO_FACE}, crops={**CROPS, 2: None}) for track in tracks]


def test_points_are_those_of_the_crops_and_nan_without_a_face(tmp_path: Path) -> None:
    (faces_file,) = video(tmp_path, "107")
    found = track_points(faces_file)
    assert found.frame_index_N.tolist() == [*range(6)]
    assert np.isnan(found.points_NP3).all((1, 2)).tolist() == [False, False, True, False, False, False]
    assert np.isnan(found.score_N).tolist() == [False, False, True, False, False, False]
    expected = find_points(as_batch(*decode_jpegs([CROPS[5]])))
    np.testing.assert_allclose(found.points_NP3[5], expected.points_BP3[0, INDICES], atol=1e-3)
    assert found.score_N[5] == pytest.approx(expected.score_B[0], abs=1e-4)


def test_points_are_written_once_and_read_as_they_were_found(tmp_path: Path) -> None:
    faces_files = video(tmp_path / "shard", "107", "107_left")
    folder = landmarks_folder(tmp_path, "faces1")
    assert folder.parent == tmp_path / "landmarks"
    assert keep_landmarks(folder, faces_files, store=tmp_path) == 12
    assert is_whole(folder)
    assert keep_landmarks(folder, faces_files, store=tmp_path) == 0
    assert [path.name for path in parquet_files(folder)] == ["107.parquet", "107_left.parquet"]
    assert read_manifest(folder)["rows"] == 12
    table = read_parquet(folder / "107.parquet")
    assert [table[name].is_null().to_pylist().index(True) for name in ("face_score", "points")] == [2, 2]
    for faces_file in faces_files:
        expected, found = track_points(faces_file), read_landmarks(folder, faces_file.stem)
        np.testing.assert_array_equal(found.frame_index_N, expected.frame_index_N)
        np.testing.assert_array_equal(found.points_NP3, expected.points_NP3)
        np.testing.assert_array_equal(found.score_N, expected.score_N)


@pytest.mark.parametrize("num_frames", [0, 3])
def test_a_track_without_a_face_has_rows_without_points(tmp_path: Path, num_frames: int) -> None:
    faces_file = write_track(tmp_path, "107", num_frames, status=dict.fromkeys(range(num_frames), Status.NO_FACE))
    assert keep_landmarks(tmp_path / "landmarks" / "abc", [faces_file], store=tmp_path) == num_frames
    found = read_landmarks(tmp_path / "landmarks" / "abc", "107")
    assert found.points_NP3.shape == (num_frames, len(INDICES), 3)
    assert np.isnan(found.points_NP3).all()
    assert np.isnan(found.score_N).all()


def test_the_folder_is_named_by_the_faces() -> None:
    store = Path("store")
    assert landmarks_folder(store, "faces1") == landmarks_folder(store, "faces1")
    assert landmarks_folder(store, "faces1") != landmarks_folder(store, "faces2")


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (b"no picture", "track 107_left, frame 4: the crop is not an image"),
        (jpeg(face(100, size_px=96)), "track 107_left, frame 4: expected a crop of 112 x 112 px, found 96 x 96"),
        (None, "track 107_left, frame 4: a row with a face has no crop"),
    ],
)
def test_a_broken_crop_names_track_and_frame_and_leaves_no_folder(
    tmp_path: Path, crop: bytes | None, message: str
) -> None:
    folder = tmp_path / "landmarks" / "abc"
    faces_files = video(tmp_path, "107", "107_left")
    write_track(tmp_path, "107_left", 6, crops={**CROPS, 4: crop})
    with pytest.raises(ValueError, match=message):
        keep_landmarks(folder, faces_files, store=tmp_path)
    assert not folder.exists()
    video(tmp_path, "107_left")
    assert keep_landmarks(folder, faces_files, store=tmp_path) == 12


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
from data.landmarks.kept import keep_landmarks

store, written = Path(sys.argv[1]), 0
write_table = pq.ParquetWriter.write_table


def write_and_die(self, *arguments, **options):
    global written
    write_table(self, *arguments, **options)
    written += 1
    if written == 2:
        os.kill(os.getpid(), signal.SIGKILL)


pq.ParquetWriter.write_table = write_and_die
keep_landmarks(store / "landmarks" / "abc", sorted((store / "shard").iterdir()), store=store)
"""


@pytest.mark.slow
def test_after_a_kill_half_way_the_points_are_made_anew_and_the_same(tmp_path: Path) -> None:
    faces_files = video(tmp_path / "shard", "107", "107_left")
    folder, whole = tmp_path / "landmarks" / "abc", tmp_path / "whole"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=Path(__file__).parents[3])
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in folder.parent.iterdir()] == ["abc.partial"]
    assert not is_whole(folder)
    assert keep_landmarks(folder, faces_files, store=tmp_path) == 12
    keep_landmarks(whole, faces_files, store=tmp_path)
    contents = [{path.name: path.read_bytes() for path in made.iterdir()} for made in (folder, whole)]
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"107.parquet", "107_left.parquet", "manifest.json"}


def test_labelled_frames_get_the_points_of_their_own_track_and_frame(tmp_path: Path) -> None:
    faces_files = video(tmp_path, "107", "107_left")
    write_track(tmp_path, "107_left", 6, crops={frame: CROPS[5 - frame] for frame in range(6)})
    labelled = [label("107_left", frame, valence=0.5) for frame in (1, 4)] + [label("107", 3, valence=0.5)]
    labels_file = write_labels(tmp_path / "labels.parquet", labelled)
    frames = labelled_frames(faces_files, labels_file, split=Split.TRAIN, edition=Edition.ABAW_2020)
    folder = tmp_path / "landmarks" / "abc"
    keep_landmarks(folder, faces_files, store=tmp_path)
    found_NP3 = points_of_frames(frames, {"107": folder, "107_left": folder})
    assert [frames.name(number) for number in range(3)] == [
        "track 107, frame 3",
        "track 107_left, frame 1",
        "track 107_left, frame 4",
    ]
    # frames 1 and 4 of the second track show what frames 4 and 1 of the first show
    expected_NP3 = track_points(faces_files[0]).points_NP3[[3, 4, 1]]
    np.testing.assert_allclose(found_NP3, expected_NP3, atol=1e-3)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    faces_files, folder = video(tmp_path / "shard", "107"), tmp_path / "landmarks" / "abc"
    keep_landmarks(folder, faces_files, store=tmp_path)
    path = folder / "107.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedError, match=r"107\.parquet: damaged .* delete the folder .*abc"):
        read_landmarks(folder, "107")

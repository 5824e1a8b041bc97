from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from data.store.catalogue import Dataset, Video
from data.store.embeddings import delete_embeddings, embeddings_folder, read_embeddings, write_embeddings
from data.store.shards import write_folder, write_manifest
from data.warehouse.answers import query
from data.warehouse.subjects import Pair, find_pairs, find_subjects, people_rows, track_embeddings
from data.warehouse.views import publish

VIDEOS = {"1": ("1",), "2": ("2_left", "2_right"), "3": ("3",), "4": ("4",)}
VIDEO_OF = {track: video for video, tracks in VIDEOS.items() for track in tracks}
PLACES = {"1": 0.0, "2_left": 0.2, "2_right": 0.1, "3": 0.5, "4": 2.0}
SPLITS = {"1": "train", "2_left": "validation", "2_right": "train", "3": "train"}


def embedding(place: float) -> np.ndarray:
    return np.array([place, 1.0], np.float32)


def test_a_subject_is_named_after_its_first_track() -> None:
    places = {"1": 0.0, "2_left": 0.2, "3": 0.6, "4": 2.0}
    found = find_subjects({track: embedding(place) for track, place in places.items()}, VIDEO_OF)
    assert found == {"1": "1", "2_left": "1", "3": "3", "4": "4"}


def test_two_tracks_of_a_video_are_two_people() -> None:
    found = find_subjects({"2_left": embedding(0.2), "2_right": embedding(0.2)}, VIDEO_OF)
    assert found == {"2_left": "2_left", "2_right": "2_right"}


def test_a_chain_of_likenesses_does_not_make_all_one() -> None:
    chain = {str(number): embedding(0.3 * number) for number in range(8)}
    found = find_subjects(chain, {name: name for name in chain})
    assert len(set(found.values())) >= 3


@pytest.mark.parametrize("tracks", [(), ("1",)])
def test_few_tracks_are_their_own_subjects(tracks: tuple[str, ...]) -> None:
    assert find_subjects({track: embedding(0) for track in tracks}, VIDEO_OF) == dict(zip(tracks, tracks, strict=True))


def make_data_set(store: Path, places: Mapping[str, float]) -> Dataset:
    """Faces without files: only what the manifests say, and the embeddings."""
    for video, tracks in VIDEOS.items():
        found = store / "detections" / f"found{video}"
        write_embeddings(found, {row: embedding(places[track]) for row, track in enumerate(tracks) if track in places})
        with write_folder(store / "faces" / f"faces{video}") as partial:
            rows = {track: [row] for row, track in enumerate(tracks)}
            counts = {track: {"ok": 5, "interpolated": 1, "no_face": 3} for track in tracks}
            write_manifest(partial, {"detections": found.name, "embedded": rows, "tracks": counts})
    with write_folder(store / "labels" / "labels1") as partial:
        split_of = {track: {"va": {"used": split}} for track, split in SPLITS.items()}
        write_manifest(partial, {"split_of": split_of})
    videos = tuple(Video(video, f"{video}.mp4", f"faces{video}", "ab", tracks) for video, tracks in VIDEOS.items())
    return Dataset("made", str(store), videos, labels="labels1")


def pairs_of(dataset: Dataset, store: Path) -> list[Pair]:
    return find_pairs(dataset, track_embeddings(dataset.faces_folders(store), store), store)


def test_pairs_of_the_same_person_and_leaks_between_splits(tmp_path: Path) -> None:
    pairs = pairs_of(make_data_set(tmp_path, PLACES), tmp_path)
    assert [(pair.track_id, pair.other_track_id, pair.is_same, pair.is_leak) for pair in pairs] == [
        ("1", "2_right", True, False),
        ("1", "2_left", False, True),
        ("2_left", "3", True, True),
        ("2_right", "3", False, False),
    ]
    assert [pair.distance for pair in pairs] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert pairs[1].splits == ("train", "validation")


def test_deleted_embeddings_are_gone_and_nothing_else(tmp_path: Path) -> None:
    dataset = make_data_set(tmp_path, PLACES)
    with write_folder(tmp_path / "detections" / "found1") as partial:
        write_manifest(partial, {"num_frames": 3})
    assert set(track_embeddings(dataset.faces_folders(tmp_path), tmp_path)) == set(PLACES)
    assert delete_embeddings(tmp_path) == 4
    assert [path.name for path in (tmp_path / "detections").iterdir()] == ["found1"]
    assert read_embeddings(tmp_path / "detections" / "found1") is None
    assert not embeddings_folder(tmp_path / "detections" / "found1").exists()
    assert pairs_of(dataset, tmp_path) == []
    assert delete_embeddings(tmp_path) == 0


def test_sql_has_people_without_what_recognises_them(tmp_path: Path) -> None:
    dataset = make_data_set(tmp_path, PLACES)
    rows = people_rows(tmp_path, [dataset])
    assert rows[1] == {"dataset": "made", "video_id": "2", "track_id": "2_left", "num_faces": 6, "subject": None}
    publish(tmp_path)
    assert query(tmp_path, "FROM people").schema.names == ["dataset", "video_id", "track_id", "num_faces", "subject"]

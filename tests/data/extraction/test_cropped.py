from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
from support.little_store import face, jpeg

from data.annotations.alignment import write_labels
from data.annotations.discovery import discover
from data.annotations.findings import Kind
from data.annotations.splits import SplitSettings
from data.batches.labelled_frames import labelled_frames
from data.batches.loader import batches
from data.extraction.cropped import list_crops, take_crops, taken_crops
from data.labels import Edition, Split, Task
from data.store.shards import parquet_files, read_manifest
from data.warehouse.quality import dataset_findings

HEADER = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"


def write_crops(root: Path, track_id: str, numbers: range | list[int], folder: str = "cropped_aligned") -> Path:
    """Crops whose grey level is ten times their number."""
    path = root / folder / track_id
    path.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (path / f"{number:05d}.jpg").write_bytes(jpeg(face(10 * number)))
    return path


def write_expressions(root: Path, track_id: str, rows: list[int], split: str = "Training_Set") -> None:
    path = root / "annotations" / "EXPR_Set" / split / f"{track_id}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *map(str, rows)]) + "\n")


def test_a_set_of_crops_is_a_data_set(tmp_path: Path) -> None:
    root, store = tmp_path / "root", tmp_path / "store"
    write_crops(root, "video59", [1, 2, 4, 5])
    write_crops(root, "video59_right", [2, 3])
    write_crops(root, "107", [3], "batch2/Cropped Aligned new_50_vids")
    write_expressions(root, "video59", [0, 1, 2, 3, 4, 5])
    write_expressions(root, "video59_right", [6, 6, -1, 6, 6, 6])
    write_expressions(root, "107", [4] * 4, "Validation_Set")
    tree = discover(root, Edition.ABAW_2020)
    assert {video_id: tree.tracks(video_id) for video_id in tree.videos} == {
        "107": ["107"],
        "video59": ["video59", "video59_right"],
    }
    labels = write_labels(tree, store, SplitSettings())
    folders = [take_crops(path, store, track_ids=tree.tracks(video_id)) for video_id, path in tree.videos.items()]
    files = [file for folder in folders for file in parquet_files(folder)]
    rows = pq.read_table(files[1]).to_pylist()
    assert [(row["frame_index"], row["status"]) for row in rows] == [
        (0, "ok"),
        (1, "ok"),
        (2, "no_face"),
        (3, "ok"),
        (4, "ok"),
    ]
    assert {row[name] for row in rows for name in ("time_s", "box", "landmarks", "score")} == {None}
    assert rows[3]["face_jpeg"] == (root / "cropped_aligned" / "video59" / "00004.jpg").read_bytes()
    assert [len(pq.read_table(file)) for file in files] == [3, 5, 5]  # two people of a video have as many frames
    frames = labelled_frames(files, labels / "labels.parquet", split=Split.TRAIN, edition=Edition.ABAW_2020)
    (batch,) = batches(frames, batch_size=5)
    seen = zip(batch.expression_B.tolist(), batch.faces_BCHW[:, 0, 50, 80].tolist(), strict=True)
    levels = [(expression, round((value + 1) * 12.75)) for expression, value in seen]
    assert levels == [(0, 1), (1, 2), (3, 4), (4, 5), (6, 2)]
    counts = {(of.track_id, of.task, of.kind): of.count for of in dataset_findings(files, labels)}
    assert counts["video59", Task.EXPR, Kind.LABEL_WITHOUT_FACE] == 2
    assert counts["video59", Task.EXPR, Kind.ROWS_BEYOND_LAST_CROP] == 1
    assert counts["video59_right", Task.EXPR, Kind.FACE_WITHOUT_LABEL] == 1
    assert not {kind for _, _, kind in counts} & {Kind.ONE_ROW_MORE, Kind.ROWS_BEYOND_VIDEO, Kind.FRAMES_WITHOUT_TIME}


def test_crops_are_taken_once_and_again_when_they_change(tmp_path: Path) -> None:
    path = write_crops(tmp_path, "107", range(1, 4))
    done: list[int] = []
    assert taken_crops(path, tmp_path / "store", track_ids=["107"]) is None
    first = take_crops(path, tmp_path / "store", track_ids=["107"], progress=done.append)
    assert taken_crops(path, tmp_path / "store", track_ids=["107"]) == first
    assert taken_crops(path, tmp_path / "store", track_ids=["107", "107_left"]) is None
    assert take_crops(path, tmp_path / "store", track_ids=["107"], progress=done.append) == first
    assert done == [3]
    write_crops(tmp_path, "107", [4])
    assert taken_crops(path, tmp_path / "store", track_ids=["107"]) is None
    second = take_crops(path, tmp_path / "store", track_ids=["107"])
    assert second != first
    manifest = read_manifest(second)
    assert (manifest["video_id"], manifest["source"], manifest["num_frames"]) == ("107", "crops", 4)
    assert manifest["tracks"]["107"] == {"ok": 4, "no_face": 0, "interpolated": 0, "decode_error": 0}
    (path / "00004.jpg").unlink()
    assert take_crops(path, tmp_path / "store", track_ids=["107"]) == first


def test_a_damaged_crop_has_a_row_and_no_picture(tmp_path: Path) -> None:
    path = write_crops(tmp_path, "107", range(1, 5))
    whole = (path / "00001.jpg").read_bytes()
    (path / "00002.jpg").write_bytes(whole[: len(whole) // 2])
    (path / "00003.jpg").write_bytes(b"")
    (path / "Thumbs.db").write_bytes(b"1")
    (path / "._00001.jpg").write_bytes(b"1")
    (file,) = parquet_files(take_crops(path, tmp_path / "store", track_ids=["107"]))
    rows = pq.read_table(file).to_pylist()
    assert [row["status"] for row in rows] == ["ok", "decode_error", "decode_error", "ok"]
    assert [row["face_jpeg"] is None for row in rows] == [False, True, True, False]


def test_crops_of_another_kind_are_refused_all_at_once(tmp_path: Path) -> None:
    path = write_crops(tmp_path, "107", [1, 4])
    (path / "00002.jpg").write_bytes(jpeg(face(9, 224)))
    grey = simplejpeg.encode_jpeg(np.zeros((112, 112, 1), np.uint8), 95, "GRAY", "Gray")
    (path / "00003.jpg").write_bytes(grey)
    message = r"2 problems\n.*00002\.jpg: expected 112 x 112 px in colour, .*, found 224 x 224 YCbCr\n.*112 x 112 Gray"
    with pytest.raises(ValueError, match=message):
        take_crops(path, tmp_path / "store", track_ids=["107"])


def test_crops_without_a_number_of_their_own_are_refused(tmp_path: Path) -> None:
    path = write_crops(tmp_path, "107", [0, 1])
    (path / "1.jpg").write_bytes(b"")
    (path / "face.jpg").write_bytes(b"")
    message = (
        r"3 problems\n.*00000\.jpg: expected a frame's number from 00001 on; rename or remove it\n"
        r".*1\.jpg: 00001\.jpg has the same number; remove one\n.*face\.jpg: expected a frame's number"
    )
    with pytest.raises(ValueError, match=message):
        list_crops(path)


def test_a_track_without_crops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="107: expected the crops of a track, found no such folder"):
        list_crops(tmp_path / "107")
    (tmp_path / "107").mkdir()
    with pytest.raises(ValueError, match=r"107: expected crops such as 00001\.jpg, found none"):
        list_crops(tmp_path / "107")


def test_labels_of_a_person_without_crops_are_refused(tmp_path: Path) -> None:
    write_crops(tmp_path, "video59", [1])
    write_expressions(tmp_path, "video59_right", [1])
    with pytest.raises(
        ValueError, match=r"video59_right\.txt: no video for this annotation under .*; add the video or its crops"
    ):
        discover(tmp_path, Edition.ABAW_2020)


def test_videos_come_before_crops_unless_one_says_otherwise(tmp_path: Path) -> None:
    write_crops(tmp_path, "107", [1])
    write_expressions(tmp_path, "107", [1])
    (tmp_path / "107.mp4").touch()
    assert discover(tmp_path, Edition.ABAW_2020).videos == {"107": tmp_path / "107.mp4"}
    tree = discover(tmp_path, Edition.ABAW_2020, faces_from="crops")
    assert tree.videos == tree.crops == {"107": tmp_path / "cropped_aligned" / "107"}


def test_crops_that_are_not_aligned_are_not_taken(tmp_path: Path) -> None:
    write_crops(tmp_path, "107", [1], "cropped")
    write_expressions(tmp_path, "107", [1])
    message = (
        r"no crops in this folder or below; expected cropped_aligned/<track>/00001\.jpg; .*cropped holds crops that"
        r" are not"
    )
    with pytest.raises(ValueError, match=message):
        discover(tmp_path, Edition.ABAW_2020, faces_from="crops")
    with pytest.raises(ValueError, match="no videos in this folder or below"):
        discover(tmp_path, Edition.ABAW_2020)


def test_crops_of_a_track_or_a_video_in_two_places_are_refused(tmp_path: Path) -> None:
    write_crops(tmp_path, "107", [1])
    write_crops(tmp_path, "107", [1, 2], "batch2/cropped_aligned")
    write_crops(tmp_path, "video5_left", [1])
    write_crops(tmp_path, "video5_right", [1], "batch2/cropped_aligned")
    message = (
        r"2 problems\n.*found 2 folders with crops of track 107 with different content: .*\n.*video5_right: the crops"
        r" of another person in this video are in"
    )
    with pytest.raises(ValueError, match=message):
        discover(tmp_path, Edition.ABAW_2020)


def test_the_same_crops_in_several_folders_are_one_video(tmp_path: Path) -> None:
    for track_id in ("107", "video5_left"):
        write_crops(tmp_path, track_id, [1, 2])
    for track_id in ("107", "video5_left", "video5_right"):
        write_crops(tmp_path, track_id, [1, 2], "batch2/cropped_aligned")
    write_expressions(tmp_path, "107", [1, 1])
    tree = discover(tmp_path, Edition.ABAW_2020)
    first, second = tmp_path / "cropped_aligned", tmp_path / "batch2" / "cropped_aligned"
    assert tree.videos == {"107": second / "107", "video5": second / "video5_left"}
    assert tree.copies == {"107": (first / "107",), "video5": (first / "video5_left",)}
    assert tree.crops["video5_right"] == second / "video5_right"

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simplejpeg
import torch
from support.clips import spoil, two_people
from support.extraction import extract
from support.numbered_faces import number_in, numbered_faces

from data.extraction import detections
from data.extraction.extract import detections_digest, extracted_videos
from data.extraction.settings import Casting, Search
from data.faces.crops import alignment
from data.faces.detector import FaceDetector
from data.machine import Device
from data.schema import FACE_SIZE_PX, FACES
from data.store.shards import file_sha256, read_manifest
from data.testing.numbered import write_clip
from data.tracks.hints import Hint
from data.video.frames import Decoder

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def parts_of_16_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detections, "PART_FRAMES", 16)


def table(folder: Path, track_id: str) -> pa.Table:
    return pq.read_table(folder / f"{track_id}.parquet", partitioning=None)


def files_under(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def face_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 numbered frames of one person, of which frames 20 to 23 show nobody."""
    frames = numbered_faces(40)
    for frame in frames[20:24]:
        frame[:] = 90
    return write_clip(tmp_path_factory.mktemp("clips") / "107.mp4", frames)


@pytest.fixture(scope="module")
def pair_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "video55.mp4", [two_people()[0]] * 4)


@pytest.fixture(scope="module")
def empty_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    grey = np.full((90, 160, 3), 90, np.uint8)
    return write_clip(tmp_path_factory.mktemp("clips") / "nobody.mp4", [grey] * 20, codec="mjpeg")


@pytest.fixture(scope="module")
def unbroken(face_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detections, "PART_FRAMES", 16)
        extract(face_clip, store, ["107"])
    return store


def test_every_frame_has_one_row_with_its_own_face(face_clip: Path, tmp_path: Path) -> None:
    faces = table(extract(face_clip, tmp_path, ["107"]), "107")
    assert faces.schema == FACES
    assert faces["frame_index"].to_pylist() == list(range(40))
    assert faces["time_s"].to_pylist() == pytest.approx([index / 25 for index in range(40)])
    without = [index for index, status in enumerate(faces["status"].to_pylist()) if status == "no_face"]
    assert without == [20, 21, 22, 23]
    for row in faces.to_pylist():
        assert (row["track_id"], row["video_id"]) == ("107", "107")
        if row["frame_index"] in without:
            assert {row[name] for name in ("box", "landmarks", "score", "face_jpeg")} == {None}
        else:
            assert number_in(row["face_jpeg"]) == row["frame_index"]
            assert row["score"] >= 0.7


def test_a_stored_face_is_upright_with_its_eyes_where_the_template_has_them(face_clip: Path, tmp_path: Path) -> None:
    faces = table(extract(face_clip, tmp_path, ["107"]), "107").to_pylist()
    landmarks_52 = np.array(faces[0]["landmarks"]).reshape(5, 2)
    matrix_23 = alignment(landmarks_52)
    assert matrix_23[:, :2] @ landmarks_52[0] + matrix_23[:, 2] == pytest.approx((38.3, 51.7), abs=5)
    assert simplejpeg.decode_jpeg_header(faces[0]["face_jpeg"])[:2] == (FACE_SIZE_PX, FACE_SIZE_PX)


def test_the_manifest_says_what_was_read_and_found(face_clip: Path, tmp_path: Path) -> None:
    manifest = read_manifest(extract(face_clip, tmp_path, ["107"]))
    counts = manifest["tracks"]["107"]
    (known_person,) = manifest["people"]
    assert counts == {"ok": 36, "no_face": 4, "interpolated": 0, "decode_error": 0}
    assert (known_person["track_id"], known_person["num_frames"]) == ("107", 36)
    expected = {
        "video_id": "107",
        "file": "107.mp4",
        "sha256": file_sha256(face_clip),
        "bytes": face_clip.stat().st_size,
        "codec": "h264",
        "decoder": "pyav",
        "device": "cpu",
        "num_frames": 40,
        "width_px": 320,
        "height_px": 360,
        "damaged_packets": 0,
        "min_score": 0.7,
        "detection_size": 320,
        "jpeg_quality": 95,
    }
    assert {name: manifest[name] for name in expected} == expected
    assert manifest["files"]["107.parquet"]["rows"] == 40


def test_a_rerun_decodes_nothing_and_a_renamed_video_neither(face_clip: Path, tmp_path: Path) -> None:
    done: list[int] = []
    folder = extract(face_clip, tmp_path / "store", ["107"], progress=done.append)
    assert sum(done) == 40
    assert extract(face_clip, tmp_path / "store", ["107"], progress=done.append) == folder
    renamed = tmp_path / "108.mp4"
    renamed.write_bytes(face_clip.read_bytes())
    other = extract(renamed, tmp_path / "store", ["108"], progress=done.append)
    assert other != folder
    assert sum(done) == 40
    assert table(other, "108")["face_jpeg"] == table(folder, "107")["face_jpeg"]


def test_a_video_that_is_done_is_recognised_without_opening_it(
    face_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, casting = tmp_path / "store", Casting(track_ids=["107"])
    video = tmp_path / "107.mp4"
    shutil.copy(face_clip, video)

    def done(casting: Casting = casting, **search: Any) -> dict[Path, Path]:
        settings = Search(**{"detection_size": 320, **search})
        return extracted_videos({video: casting}, store, settings, device="cpu", decoder="auto")

    assert done() == {}
    folder = extract(video, store, ["107"])
    with monkeypatch.context() as patch:
        patch.setattr("data.store.hashes.file_sha256", lambda *_: pytest.fail("the video was read"))
        patch.setattr("data.extraction.extract.probe", lambda *_: pytest.fail("the video was opened"))
        assert done() == {video: folder}
    assert done(Casting(track_ids=["107_left"])) == {}
    assert done(min_score=0.8) == {}
    with video.open("ab") as file:
        file.write(b"!")
    assert done() == {}
    video.unlink()
    assert done() == {}


def test_another_video_or_setting_of_the_same_name_is_read_anew(
    face_clip: Path, empty_clip: Path, tmp_path: Path
) -> None:
    video = tmp_path / "107.mp4"
    video.write_bytes(empty_clip.read_bytes())
    folder = extract(video, tmp_path / "store", ["107"])
    assert extract(video, tmp_path / "store", ["107"], min_score=0.8) != folder
    assert extract(video, tmp_path / "store", ["107"], decoder="dali") != folder
    video.write_bytes(face_clip.read_bytes())
    assert table(extract(video, tmp_path / "store", ["107"]), "107").num_rows == 40


def test_what_another_decoder_or_device_makes_is_not_taken_for_the_same() -> None:
    search = Search(detection_size=320)
    ways: list[tuple[Decoder, Device]] = [("pyav", "cpu"), ("pyav", "gpu"), ("dali-cpu", "cpu"), ("dali-gpu", "gpu")]
    assert len({detections_digest("ab", search, decoder=decoder, device=device) for decoder, device in ways}) == 4


def test_two_people_have_a_track_each(pair_clip: Path, tmp_path: Path) -> None:
    folder = extract(pair_clip, tmp_path, ["video55_right", "video55_left"])
    truth_x = two_people()[1][:, 0]
    for track_id, x in zip(("video55_left", "video55_right"), truth_x, strict=True):
        faces = table(folder, track_id)
        assert faces["status"].to_pylist() == ["ok"] * 4
        assert [box["x"] for box in faces["box"].to_pylist()] == pytest.approx([x] * 4, abs=30)


def test_without_annotations_tracks_are_the_people_found(
    pair_clip: Path, face_clip: Path, empty_clip: Path, tmp_path: Path
) -> None:
    found = [sorted(read_manifest(extract(clip, tmp_path))["tracks"]) for clip in (pair_clip, face_clip, empty_clip)]
    assert found == [["video55_person1", "video55_person2"], ["107"], ["nobody"]]


def test_a_video_without_a_face_has_a_row_for_every_frame(empty_clip: Path, tmp_path: Path) -> None:
    faces = table(extract(empty_clip, tmp_path, ["nobody"]), "nobody")
    assert faces["frame_index"].to_pylist() == list(range(20))
    assert set(faces["status"].to_pylist()) == {"no_face"}


def test_damage_is_counted_in_the_manifest(empty_clip: Path, tmp_path: Path) -> None:
    video = tmp_path / "damaged.mp4"
    video.write_bytes(empty_clip.read_bytes())
    spoil(video, 3, 19)
    manifest = read_manifest(extract(video, tmp_path / "store"))
    assert (manifest["damaged_packets"], manifest["num_frames"]) == (2, 20)


def test_a_bad_video_leaves_nothing_behind(tmp_path: Path) -> None:
    video = tmp_path / "107.mp4"
    video.write_text("not a video")
    with pytest.raises(ValueError, match=r"107\.mp4: expected a video, found"):
        extract(video, tmp_path / "store", ["107"])
    assert {path.name for path in (tmp_path / "store").iterdir()} <= {"files.json", "locks"}


def test_names_that_do_not_say_who_is_who_are_refused_before_decoding(empty_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tracks a, b: expected one track, or two of which"):
        extract(empty_clip, tmp_path, ["a", "b"])
    assert not (tmp_path / "detections").exists()


def test_copies_of_a_video_at_once_are_decoded_once(face_clip: Path, tmp_path: Path) -> None:
    done: list[int] = []
    copies = [tmp_path / f"copy{number}.mp4" for number in range(3)]
    for copy in copies:
        copy.write_bytes(face_clip.read_bytes())
    with ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(lambda copy: extract(copy, tmp_path / "store", progress=done.append), copies))
    assert sum(done) == 40
    assert [table(folder, copy.stem).num_rows for folder, copy in zip(folders, copies, strict=True)] == [40] * 3


def test_videos_at_once_give_the_same_bytes_as_one_after_another(
    face_clip: Path, pair_clip: Path, empty_clip: Path, tmp_path: Path
) -> None:
    clips = [face_clip, pair_clip, empty_clip]
    for clip in clips:
        extract(clip, tmp_path / "one")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda clip: extract(clip, tmp_path / "many"), clips))
    assert files_under(tmp_path / "many") == files_under(tmp_path / "one")


@pytest.fixture(scope="module")
def gap_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames 20 to 23 hide the face, but not the number above it."""
    frames = numbered_faces(40)
    for frame in frames[20:24]:
        frame[hidden_rows(frame)] = 90
    return write_clip(tmp_path_factory.mktemp("clips") / "107.mp4", frames)


def hidden_rows(frame: np.ndarray) -> slice:
    """From the eyes down, below the band of the number."""
    (faces,) = FaceDetector(device="cpu", min_score=0.7, detection_size=320).detect(torch.from_numpy(frame)[None])
    return slice(int(faces.landmarks_F52[0, :2, 1].mean()) - 8, None)


def test_a_short_gap_is_filled_from_its_own_frames_and_marked(gap_clip: Path, tmp_path: Path) -> None:
    done: list[int] = []
    plain = table(extract(gap_clip, tmp_path, ["107"], progress=done.append), "107")
    folder = extract(gap_clip, tmp_path, ["107"], fill_gaps_s=0.25, progress=done.append)
    filled = table(folder, "107")
    assert sum(done) == 40, "only the second pass is done again"
    assert read_manifest(folder)["tracks"]["107"]["interpolated"] == 4
    assert filled.schema == FACES
    for before, after in zip(plain.to_pylist(), filled.to_pylist(), strict=True):
        if before["frame_index"] in range(20, 24):
            assert (before["status"], after["status"], after["score"]) == ("no_face", "interpolated", None)
            assert number_in(after["face_jpeg"]) == after["frame_index"]
            ends = [plain["box"][index].as_py()["x"] for index in (19, 24)]
            assert min(ends) <= after["box"]["x"] <= max(ends)
        else:
            assert after == before


def test_a_gap_longer_than_allowed_stays(gap_clip: Path, tmp_path: Path) -> None:
    counts = read_manifest(extract(gap_clip, tmp_path, ["107"], fill_gaps_s=0.1))["tracks"]["107"]
    assert (counts["interpolated"], counts["no_face"]) == (0, 4)


def test_hints_settle_whose_a_track_is_without_decoding_again(pair_clip: Path, tmp_path: Path) -> None:
    done: list[int] = []
    plain = extract(pair_clip, tmp_path, ["video55_left", "video55_right"], progress=done.append)
    people = {person["track_id"]: person["number"] for person in read_manifest(plain)["people"]}
    x, y, w, h = two_people()[1][1]
    hints = {
        "video55_left": Hint("hints", point=(2, x + w / 2, y + h / 2)),
        "video55_right": Hint("hints", people=(people["video55_left"],)),
        "another_video": Hint("hints", people=(9,)),
    }
    folder = extract(pair_clip, tmp_path, ["video55_left", "video55_right"], hints=hints, progress=done.append)
    assert sum(done) == 4
    assert folder != plain
    assert table(folder, "video55_left")["face_jpeg"] == table(plain, "video55_right")["face_jpeg"]
    assert table(folder, "video55_right")["face_jpeg"] == table(plain, "video55_left")["face_jpeg"]
    assert read_manifest(folder)["choices"]["video55_left"]["rule"] == "hint"


def test_the_manifest_says_by_what_rule_and_margin_and_that_nothing_is_doubtful(
    pair_clip: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(extract(pair_clip, tmp_path, ["video55", "video55_right"]))
    assert manifest["doubts"] == []
    assert {name: (choice["rule"], choice["side_margin"]) for name, choice in manifest["choices"].items()} == {
        "video55": ("other_side", 1.0),
        "video55_right": ("side", 1.0),
    }
    (left,) = (person for person in manifest["people"] if person["track_id"] == "video55")
    assert (left["num_frames"], left["first_frame"], left["last_frame"], left["num_fragments"]) == (4, 0, 3, 1)
    assert manifest["choices"]["video55"]["people"] == [left["number"]]


def test_two_tracks_and_one_person_is_a_doubt(face_clip: Path, tmp_path: Path) -> None:
    doubts = read_manifest(extract(face_clip, tmp_path, ["107_left", "107_right"]))["doubts"]
    assert any(doubt.startswith("107_left: person 1 is the only one found for two tracks") for doubt in doubts)
    assert any(doubt.startswith("107_right: no person was found") for doubt in doubts)


WITH_SUPPORT = {**os.environ, "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'tests'}"}
KILLED_IN_PASS_2 = """
import os, signal, sys
from pathlib import Path
from typing import Any
import pyarrow.parquet as pq
from data.extraction import detections
from support.extraction import extract

detections.PART_FRAMES = 16
video, store = Path(sys.argv[1]), Path(sys.argv[2])
write_table, written = pq.ParquetWriter.write_table, 0

def write_and_die(self, *arguments, **options):
    global written
    write_table(self, *arguments, **options)
    written += 1
    if written == 9:  # three parts of detections and of thumbnails, the embeddings, and two of three of the track
        os.kill(os.getpid(), signal.SIGKILL)

pq.ParquetWriter.write_table = write_and_die
extract(video, store, ["107"])
"""


def test_a_run_killed_while_writing_faces_ends_in_the_same_bytes(
    face_clip: Path, unbroken: Path, tmp_path: Path
) -> None:
    arguments = [str(face_clip), str(tmp_path / "killed")]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_PASS_2, *arguments],
        env=WITH_SUPPORT,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "killed" / "faces").rglob("*.parquet*")] == ["107.parquet.partial"]
    done: list[int] = []
    extract(face_clip, tmp_path / "killed", ["107"], progress=done.append)
    assert done == []
    assert files_under(tmp_path / "killed") == files_under(unbroken)


KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any
from data.extraction import detections
from support.extraction import extract

detections.PART_FRAMES = 16
video, store, after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
done = 0

def progress(frames):
    global done
    done += frames
    if done >= after:
        os.kill(os.getpid(), signal.SIGKILL)

extract(video, store, ["107"], progress=progress)
"""


@pytest.mark.parametrize(("after", "parts_before"), [(8, 0), (24, 1), (40, 2)])
def test_a_killed_run_goes_on_after_its_last_whole_part_to_the_same_bytes(
    face_clip: Path, unbroken: Path, tmp_path: Path, after: int, parts_before: int
) -> None:
    arguments = [str(face_clip), str(tmp_path / "killed"), str(after)]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        env=WITH_SUPPORT,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "killed" / "detections").glob("*.partial/part-*.parquet"))) == parts_before
    done: list[int] = []
    extract(face_clip, tmp_path / "killed", ["107"], progress=done.append)
    assert done[0] == 16 * parts_before
    assert sum(done) == 40
    assert files_under(tmp_path / "killed") == files_under(unbroken)

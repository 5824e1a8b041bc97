"""A data set with every kind of bad video beside good ones: the good ones are done, and each bad one is told."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import ArtifactSort
from support.clips import one_person, spoil
from support.odd_clips import film
from support.trees import MakeTree

from data.labels import Edition
from data.store.catalogue import Dataset, FailedVideo, read_catalogue
from data.store.shards import read_manifest, whole_folders
from data.testing.numbered import write_clip
from data.warehouse.answers import query
from flows.command.cli import run_command
from flows.ingest import ingest_aff_wild2
from tasks.config import IngestConfig, MachineConfig
from tasks.ingest.failures import FailedVideosError, failures, reason_of, refuse_failed, warn_of_failed

GOOD = ("107", "video59")
GREY = np.full((96, 160, 3), 90, np.uint8)


def cut_before_its_index(path: Path, clip: bytes) -> None:
    """An mp4 file without `moov`, which is at its end."""
    path.write_bytes(clip[: clip.index(b"moov") - 4])


def with_a_flipped_bit_in_its_header(path: Path, clip: bytes) -> None:
    content = bytearray(clip)
    content[clip.index(b"moov")] ^= 0x20
    path.write_bytes(content)


def sound_only(path: Path, _: bytes) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def of_which_no_frame_decodes(path: Path, _: bytes) -> None:
    film(path, [GREY] * 3, codec="mjpeg")
    spoil(path, 0, 1, 2)


def closed_to_everybody(path: Path, _: bytes) -> None:
    path.write_bytes(b"for root, who may read all, it is no video either")
    path.chmod(0)


MAKE: dict[str, Callable[[Path, bytes], object]] = {
    "cut": cut_before_its_index,
    "flipped": with_a_flipped_bit_in_its_header,
    "empty": lambda path, _: path.touch(),
    "sound": sound_only,
    "text": lambda path, _: path.write_text("this is no video"),
    "black": of_which_no_frame_decodes,
    "closed": closed_to_everybody,
    "pipe": lambda path, _: os.mkfifo(path),
    "dangling": lambda path, _: path.symlink_to(path.with_name("nowhere")),
    "vanishing": lambda path, clip: path.write_bytes(clip + b"\0"),
}
SAID = {
    "cut": (
        "expected a video, found none that FFmpeg can read (Invalid data found when processing input); "
        "copy it again or remove it"
    ),
    "empty": "expected a video, found 0 bytes; copy or download it again",
    "sound": "expected a video stream, found audio; remove it",
    "black": "expected frames, found none that can be decoded; copy or download it again",
    "pipe": "expected a file, found a pipe or a device; remove it",
    "dangling": "expected a file, found none; put it back and run the command again",
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    person = one_person() // 2
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", [person + 5 * n for n in range(12)]).read_bytes()


@pytest.fixture
def ingest(make_tree: MakeTree, clip: bytes) -> IngestConfig:
    rows = {f"VA_Set/Training_Set/{video_id}": ["0.1,0.2", "-5,-5"] for video_id in (*GOOD, *MAKE)}
    root = make_tree({**rows, "EXPR_Set/Training_Set/cut": ["3", "4", "5"]}, videos=GOOD)
    for video_id in GOOD:
        (root / "videos" / "batch1" / f"{video_id}.mp4").write_bytes(clip)
    for video_id, make in MAKE.items():
        make(root / "videos" / "batch1" / f"{video_id}.mp4", clip)
    return IngestConfig(root=root, name="mixed", edition=Edition.ABAW_2020)


@pytest.fixture
def vanishing(ingest: IngestConfig, tmp_path: Path) -> Iterator[None]:
    """One of the videos is deleted when the flow has seen it and is about to read the first one."""

    def delete() -> None:
        while not (tmp_path / "store" / "labels").is_dir():
            time.sleep(0.001)
        (ingest.root / "videos" / "batch1" / "vanishing.mp4").unlink()  # type: ignore[operator]

    thread = threading.Thread(target=delete)
    thread.start()
    yield
    thread.join()


def faces_since(store: Path) -> dict[str, int]:
    folders = whole_folders(store / "faces")
    return {read_manifest(folder)["video_id"]: (folder / "manifest.json").stat().st_mtime_ns for folder in folders}


@pytest.mark.usefixtures("prefect_api", "vanishing")
def test_good_videos_of_a_data_set_are_done_and_each_bad_one_is_reported(
    ingest: IngestConfig,
    clip: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "store"
    machine = MachineConfig(store=store, device="cpu", workers=1)
    state = ingest_aff_wild2(ingest, machine, return_state=True)

    assert state.is_failed()
    assert "10 of 12 videos failed: videos/batch1/black.mp4: expected frames" in str(state.message)
    assert "The other 2 are in the data set mixed" in str(state.message)
    dataset = read_catalogue(store, "mixed")
    assert [video.video_id for video in dataset.videos] == list(GOOD)
    reasons = {video.video_id: video.reason for video in dataset.failed}
    assert list(reasons) == sorted(MAKE)
    assert {name: reasons[name] for name in SAID} == SAID
    assert all(reason and str(ingest.root) not in reason for reason in reasons.values())

    failed = query(store, "SELECT file, note FROM quality WHERE kind = 'failed_video' ORDER BY file").to_pylist()
    assert failed == [{"file": f"videos/batch1/{name}.mp4", "note": reasons[name]} for name in sorted(MAKE)]
    by_task = "SELECT task, sum(count) AS n FROM quality WHERE kind = 'rows_without_video' GROUP BY 1 ORDER BY 1"
    lost = query(store, by_task)
    assert lost.to_pylist() == [{"task": "expr", "n": 3}, {"task": "va", "n": 20}]
    videos = query(store, "SELECT video_id FROM videos WHERE failure IS NULL ORDER BY 1").to_pylist()
    assert [row["video_id"] for row in videos] == list(GOOD)
    assert query(store, "SELECT DISTINCT video_id FROM frames").num_rows == 2
    page = (store / "reports" / "mixed.html").read_text()
    assert all(f"videos/batch1/{name}.mp4</td>" in page and f'">{name}</' in page for name in MAKE)
    assert "none: its video failed" in page
    with get_client(sync_client=True) as client:
        latest_last = reversed(client.read_artifacts(sort=ArtifactSort.UPDATED_DESC))
        newest = {artifact.key: artifact for artifact in latest_last}
    assert f"- **failed**: `videos/batch1/cut.mp4`: {reasons['cut']}" in str(newest["quality-report"].data)
    assert "tracks whose video failed: black, closed, cut" in str(newest["quality"].description)

    done = faces_since(store)
    (ingest.root / "videos" / "batch1" / "cut.mp4").write_bytes(clip + b"\0\0")  # type: ignore[operator]
    (ingest.root / "videos" / "batch1" / "vanishing.mp4").write_text("no video either")  # type: ignore[operator]
    arguments = ["ingest", str(ingest.root), "--name", "mixed", "--set", "edition=2020", "--store", str(store)]
    monkeypatch.setattr(sys, "argv", ["mtanet", *arguments, "--device", "cpu"])
    monkeypatch.setenv("MTANET_STORE", "")  # which the command sets, as it does the logger; restored afterwards
    for name in ("handlers", "propagate", "level"):
        monkeypatch.setattr(logging.getLogger("mtanet"), name, getattr(logging.getLogger("mtanet"), name))
    with pytest.raises(SystemExit, match="1"):
        run_command()
    assert "error: 9 of 12 videos failed: videos/batch1/black.mp4" in capsys.readouterr().err
    assert faces_since(store).keys() == {*GOOD, "cut"}
    assert {**faces_since(store), **done} == faces_since(store)
    assert "cut" in {video.video_id for video in read_catalogue(store, "mixed").videos}
    assert "videos/batch1/cut.mp4</td>" not in (store / "reports" / "mixed.html").read_text()


@pytest.mark.usefixtures("prefect_api")
def test_where_all_videos_fail_a_data_set_stays_what_it_was(ingest: IngestConfig, tmp_path: Path) -> None:
    for video_id in (*GOOD, "vanishing"):
        (ingest.root / "videos" / "batch1" / f"{video_id}.mp4").write_bytes(b"")  # type: ignore[operator]
    machine = MachineConfig(store=tmp_path / "store", device="cpu", workers=2)
    with pytest.raises(ValueError, match=r"12 of 12 videos failed: .* Every video failed. Fix the errors above"):
        ingest_aff_wild2(ingest, machine)
    assert not (tmp_path / "store" / "datasets").exists()


def test_a_reason_has_no_path_and_says_what_to_do() -> None:
    path = Path("videos/107.mp4")
    assert reason_of(path, ValueError("videos/107.mp4: expected a video, found none")) == "expected a video, found none"
    denied = reason_of(path, PermissionError(13, "Permission denied", "videos/107.mp4"))
    assert denied == "reading it failed: Permission denied; make it readable or remove it"
    assert reason_of(path, OSError("videos/107.mp4: reading it failed: is its disk there?")) == (
        "reading it failed: is its disk there?"
    )
    assert reason_of(path, MemoryError("9 TB")) == "MemoryError: 9 TB"


def test_the_first_of_many_failed_videos_are_reported_in_full() -> None:
    said = failures({f"{number}.mp4": "empty" for number in range(23)}, num_others=2)
    assert said.startswith("23 of 25 videos failed: 0.mp4: empty; 1.mp4: empty; ")
    assert said.endswith("19.mp4: empty; and 3 more.")


def test_a_data_set_without_failed_videos_ends_clean_and_the_error_survives_a_pickle() -> None:
    refuse_failed(Dataset("set-a", "root", ()))
    warn_of_failed(Dataset("set-a", "root", ()))
    failed = Dataset("set-a", "root", (), failed=(FailedVideo("107", "107.mp4", "0 bytes", ("107_left",)),))
    with pytest.raises(FailedVideosError, match=r"1 of 1 video failed: 107\.mp4: 0 bytes") as raised:
        refuse_failed(failed)
    assert pickle.loads(pickle.dumps(raised.value)).dataset == failed

"""What a flow does with a full disk and a store it cannot write to."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from threading import Event

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Failed
from support.clips import one_person
from support.trees import MakeTree

from data.labels import Edition
from data.store.access import NoRoomError, StoreError
from data.store.catalogue import Dataset
from data.testing.numbered import write_clip
from flows.command.cli import run_command
from flows.ingest import ingest_aff_wild2
from tasks.config import IngestConfig, MachineConfig
from tasks.ingest import videos


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    person = one_person() // 2
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", [person + 5 * n for n in range(12)]).read_bytes()


@pytest.fixture
def ingest(make_tree: MakeTree) -> IngestConfig:
    """Two videos, which hold nothing yet."""
    root = make_tree({"VA_Set/Training_Set/107": ["0.1,0.2"], "EXPR_Set/Training_Set/video59": ["3"]})
    return IngestConfig(root=root, name="two", edition=Edition.ABAW_2020)


def fill(ingest: IngestConfig, video_id: str, content: bytes) -> None:
    assert ingest.root is not None
    (ingest.root / "videos" / "batch1" / f"{video_id}.mp4").write_bytes(content)


def run(ingest: IngestConfig, store: Path) -> State[Dataset]:
    return ingest_aff_wild2(ingest, MachineConfig(store=store, device="cpu", workers=1), return_state=True)


@pytest.mark.usefixtures("prefect_api")
def test_a_full_disk_fails_a_flow_at_once_and_the_same_flow_goes_on(
    ingest: IngestConfig, clip: bytes, tmp_path: Path
) -> None:
    fill(ingest, "107", clip)
    fill(ingest, "video59", clip + b"\0")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        state = run(ingest, tmp_path / "store")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert state.is_failed()
    assert "NoRoomError" in str(state.message)
    assert f"{tmp_path}/store/detections/" in str(state.message)
    assert "make room" in str(state.message)
    assert len(list((tmp_path / "store" / "detections").iterdir())) == 1, "the other video was not begun"
    assert run(ingest, tmp_path / "store").is_completed()


def test_a_video_after_a_full_disk_is_not_begun(tmp_path: Path) -> None:
    is_over = Event()
    with pytest.raises(NoRoomError, match="first"), videos._unless_over(is_over, Path("107.mp4"), tmp_path):
        raise NoRoomError("first")
    with (
        pytest.raises(NoRoomError, match=r"108\.mp4: skipped, because the store .* cannot be written to"),
        videos._unless_over(is_over, Path("108.mp4"), tmp_path),
    ):
        pytest.fail("it was begun")


def test_an_error_is_the_stores_if_nothing_can_be_written_there_and_else_the_videos(tmp_path: Path) -> None:
    is_over = Event()
    with pytest.raises(OSError, match="stale"), videos._unless_over(is_over, Path("107.mp4"), tmp_path):
        raise OSError("stale file handle")
    assert not is_over.is_set()
    gone = Path("/proc/store")
    with pytest.raises(StoreError, match="cannot be written to"), videos._unless_over(is_over, Path("107.mp4"), gone):
        raise OSError("read-only file system")
    assert is_over.is_set()


def test_what_may_pass_is_tried_again_and_what_cannot_is_not() -> None:
    for error, expected in [
        (OSError("stale file handle"), True),
        (PermissionError("permission denied"), False),
        (ValueError("not a video"), False),
        (NoRoomError("full"), False),
    ]:
        assert videos._is_worth_a_retry(None, None, Failed(data=error)) is expected


@pytest.mark.usefixtures("prefect_api")
def test_a_store_that_cannot_be_written_to_fails_a_flow_before_any_work(ingest: IngestConfig) -> None:
    state = run(ingest.model_copy(update={"root": Path("nowhere")}), Path("/proc/store"))
    assert state.is_failed()
    assert "the store /proc/store cannot be written to" in str(state.message)


def test_the_command_refuses_it_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store").touch()
    monkeypatch.setattr(sys, "argv", ["mtanet", "ingest", "root", "--store", str(tmp_path / "store")])
    with pytest.raises(SystemExit, match="1"):
        run_command()
    assert capsys.readouterr().err.startswith(f"error: the store {tmp_path}/store cannot be written to: it is a file;")

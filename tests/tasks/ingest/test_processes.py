from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
from support.numbered_faces import numbered_faces

from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search
from data.store.access import NoRoomError
from data.testing.numbered import write_clip
from tasks.ingest.processes import Processes, _portable

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {"device": "cpu", "decoder": "auto", "threads": 1}
SEARCH = Search(identity=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "107.mp4", numbered_faces(12))


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as started:
        yield started
    assert not active_children()


def files_under(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.parquet")}


def test_a_process_writes_the_same_files_and_tells_its_progress(
    processes: Processes, clip: Path, tmp_path: Path
) -> None:
    frames: list[int] = []
    folder = processes.extract(clip, tmp_path / "one", SEARCH, Casting(), progress=frames.append, **SETTINGS)
    here = extract_video(clip, tmp_path / "two", SEARCH, Casting(), **SETTINGS)
    assert sum(frames) == 12
    assert files_under(folder) == files_under(here) != {}


def test_errors_and_logs_of_a_process_are_those_of_its_caller(
    processes: Processes, clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoilt = tmp_path / "spoilt.mp4"
    spoilt.write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"spoilt\.mp4: ") as found:
        processes.extract(spoilt, tmp_path, SEARCH, Casting(), progress=print, **SETTINGS)
    with pytest.raises(ValueError, match=r"spoilt\.mp4: ") as expected:
        extract_video(spoilt, tmp_path, SEARCH, Casting(), **SETTINGS)
    assert str(found.value) == str(expected.value)
    notes = tmp_path / "store" / "files.json"
    notes.parent.mkdir()
    notes.write_text("{")  # of which the store warns
    with caplog.at_level(logging.INFO, "mtanet"):
        processes.extract(clip, tmp_path / "store", SEARCH, Casting(), progress=lambda _: None, **SETTINGS)
    assert "files.json" in caplog.text


def test_a_process_that_dies_fails_one_video(processes: Processes, clip: Path, tmp_path: Path) -> None:
    def kill(_frames: int) -> None:
        for process in active_children():
            process.kill()

    with pytest.raises(ChildProcessError, match="exit code -9"):
        processes.extract(clip, tmp_path, SEARCH, Casting(), progress=kill, **SETTINGS)
    folder = processes.extract(clip, tmp_path, SEARCH, Casting(), progress=lambda _: None, **SETTINGS)
    assert files_under(folder)


def test_errors_that_do_not_survive_a_pipe_keep_their_words() -> None:
    class LocalError(Exception):
        pass

    assert str(_portable(LocalError("frame 7"))) == "LocalError: frame 7"
    assert isinstance(_portable(NoRoomError("disk full")), NoRoomError)


def test_processes_end_when_their_caller_is_killed(clip: Path, tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
import time
from data.extraction.settings import Casting, Search
from multiprocessing import active_children
from tasks.ingest.processes import Processes
if __name__ == "__main__":
    def told(_frames):
        print(active_children()[0].pid, flush=True)
        time.sleep(60)
    Processes().extract(Path({str(clip)!r}), Path({str(tmp_path)!r}), Search(identity=False), Casting(), progress=told,
                        device="cpu", decoder="auto", threads=1)
"""
    script = tmp_path / "caller.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        os.kill(pid, 0)  # it runs
        caller.send_signal(signal.SIGKILL)
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.1)
    pytest.fail("the process goes on")

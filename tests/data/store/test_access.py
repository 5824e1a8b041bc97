"""One store, and what can go wrong around it: several writers, a full disk, none to write to, files that change."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.clips import one_person
from support.extraction import extract
from support.zygote import PART_FRAMES, Zygote

from data.extraction import detections
from data.store.access import NoRoomError, check_store, hold, says_no_room
from data.store.hashes import KNOWN_FILES, read_notes
from data.store.shards import is_whole, whole_folders, write_file, write_folder, write_manifest
from data.testing.numbered import write_clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of the same size, three parts each, of which the second shows somebody."""
    folder = tmp_path_factory.mktemp("clips")
    person, nobody = one_person() // 2, np.full((360, 320, 3), 90, np.uint8)
    frames = [nobody] * PART_FRAMES + [person + 3 * number for number in range(PART_FRAMES)] + [nobody] * 4
    clips = [
        write_clip(folder / "107.mp4", frames),
        write_clip(folder / "108.mp4", frames[:4] + frames[8:] + frames[:4]),
    ]
    size = max(clip.stat().st_size for clip in clips)
    for clip in clips:
        clip.write_bytes(clip.read_bytes().ljust(size, b"\0"))
    return clips


@pytest.fixture(scope="module")
def alone(zygote: Zygote, clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of one run that nothing happened to."""
    store = tmp_path_factory.mktemp("alone")
    assert zygote.wait(zygote.start(*clips, store=store)) == 0
    return store


def shards(store: Path) -> dict[str, bytes]:
    """Every file of detections and faces."""
    files = [path for stage in ("detections", "faces") for path in (store / stage).rglob("*") if path.is_file()]
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


def test_two_runs_at_once_make_each_folder_once_and_the_same_bytes_as_one(
    zygote: Zygote, clips: list[Path], alone: Path, tmp_path: Path
) -> None:
    children = [zygote.start(*clips, store=tmp_path) for _ in range(2)]
    assert [zygote.wait(child) for child in children] == [0, 0]
    assert sum(child.num_frames() for child in children) == 2 * 20
    assert shards(tmp_path) == shards(alone)
    assert read_notes(tmp_path, KNOWN_FILES) == read_notes(alone, KNOWN_FILES)


def test_the_second_run_says_that_it_waits_and_takes_what_the_first_made(
    zygote: Zygote, clips: list[Path], alone: Path, tmp_path: Path
) -> None:
    first = zygote.start(clips[0], store=tmp_path, stop_after=PART_FRAMES)
    first.until("stopped")
    second = zygote.start(*clips, store=tmp_path)
    waits = f"waiting for another run that is working on 107.mp4 in the store {tmp_path}"
    second.until(waits)
    os.kill(first.pid, signal.SIGCONT)
    assert (zygote.wait(first), zygote.wait(second)) == (0, 0)
    assert second.said().count("waiting") == 1
    assert (first.num_frames(), second.num_frames()) == (20, 20)
    assert shards(tmp_path) == shards(alone)


def test_a_waiting_run_goes_on_where_a_killed_one_was(
    zygote: Zygote, clips: list[Path], alone: Path, tmp_path: Path
) -> None:
    first = zygote.start(*clips, store=tmp_path, stop_after=2 * PART_FRAMES)
    first.until("stopped")
    second = zygote.start(*clips, store=tmp_path)
    second.until("waiting")
    (part,) = tmp_path.glob("detections/*.partial/part-00000.parquet")
    inode = part.stat().st_ino
    os.kill(first.pid, signal.SIGKILL)
    assert (zygote.wait(first), zygote.wait(second)) == (-signal.SIGKILL, 0)
    assert inode in [path.stat().st_ino for path in tmp_path.glob("detections/*/part-00000.parquet")]
    assert shards(tmp_path) == shards(alone)


NOTES = """
import sys
from pathlib import Path
from data.store.hashes import add_notes

folder, name = Path(sys.argv[1]), sys.argv[2]
(folder / name).touch()
while len(list(folder.glob("?"))) < 2:  # until the other one is there, too
    pass
for number in range(50):
    add_notes(folder, "files.json", {f"{name} {number}": number})
"""


def test_notes_of_two_processes_at_once_are_all_kept(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    writers = [subprocess.Popen([sys.executable, "-c", NOTES, str(tmp_path), name], env=environment) for name in "ab"]
    try:
        assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    finally:
        for writer in writers:
            writer.kill()  # each waits for the other, for ever if the other failed
            writer.wait()
    assert sorted(read_notes(tmp_path, KNOWN_FILES)) == sorted(f"{name} {n}" for name in "ab" for n in range(50))


def test_a_name_is_held_by_one_thread_at_a_time_and_let_go_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with hold(tmp_path, "faces-abc", what="a.mp4"):
            raise KeyError("the writer fails")

    for _ in range(2):
        with pytest.raises(KeyError):
            fail()
    with hold(tmp_path, "faces-abc", what="a.mp4"), hold(tmp_path, "faces-def", what="b.mp4"):
        pass
    with pytest.raises(RuntimeError, match="Deadlock"), hold(tmp_path, "a", what="a"), hold(tmp_path, "a", what="a"):
        pass


def test_a_full_disk_ends_a_run_with_one_error_and_the_same_command_goes_on_from_there(
    zygote: Zygote, clips: list[Path], alone: Path, tmp_path: Path
) -> None:
    full = zygote.start(clips[0], store=tmp_path, limit_bytes=20_000)
    assert zygote.wait(full) == 1
    (error,) = [line for line in full.said().splitlines() if "Error" in line]
    assert error.startswith(f"NoRoomError: {tmp_path}/detections/")
    assert "(File too large; " in error
    assert " MB free on its disk); make room, or move the store" in error
    assert whole_folders(tmp_path / "detections") == []
    assert [path.name for path in tmp_path.glob("detections/*/*.parquet")] == ["part-00000.parquet"]
    then = zygote.start(*clips, store=tmp_path)
    assert zygote.wait(then) == 0
    assert then.said().splitlines()[0] == f"{PART_FRAMES} frames"
    assert shards(tmp_path) == shards(alone)


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "107.json"
    write_file(path, "old")
    (tmp_path / "107.json.partial").symlink_to("/dev/full")
    with pytest.raises(NoRoomError, match=r"107\.json: cannot be written \(No space left on device; \d+ MB"):
        write_file(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["107.json"]  # noqa: PTH208
    write_file(path, "new")
    assert path.read_text() == "new"


def test_only_a_full_disk_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), says_no_room(tmp_path / "not" / "there"):
        raise PermissionError(errno.EACCES, "no")
    with pytest.raises(NoRoomError, match="Disk quota exceeded"), says_no_room(tmp_path / "not" / "there"):
        raise OSError(errno.EDQUOT, "quota")


def test_a_store_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.touch()
    with pytest.raises(ValueError, match="store cannot be written to: it is a file; make it writable for you"):
        check_store(file)
    with pytest.raises(ValueError, match="below cannot be written to: Not a directory; make it"):
        check_store(file / "below")
    with pytest.raises(ValueError, match=r"store /proc/self/fdinfo cannot be written to: .*, or choose another"):
        check_store(Path("/proc/self/fdinfo"))
    with pytest.raises(ValueError, match="the store /proc/store cannot be written to"):
        check_store(Path("/proc/store"))


def test_a_store_that_can_is_made_and_left_as_it_is(tmp_path: Path) -> None:
    check_store(tmp_path / "new" / "store")
    assert list((tmp_path / "new" / "store").iterdir()) == []


def test_a_folder_that_is_about_to_be_whole_is_not_listed(tmp_path: Path) -> None:
    with write_folder(tmp_path / "abc") as partial:
        write_manifest(partial, {})
        assert is_whole(partial)
        assert whole_folders(tmp_path) == []
    assert whole_folders(tmp_path) == [tmp_path / "abc"]


def inodes(store: Path) -> dict[str, tuple[int, int]]:
    """Of detections: which file lies where, and since when."""
    status = {path: path.stat() for path in (store / "detections").rglob("*")}
    return {path.as_posix(): (status[path].st_ino, status[path].st_mtime_ns) for path in status}


def test_a_renamed_video_is_not_decoded_and_one_put_in_its_place_is(clips: list[Path], tmp_path: Path) -> None:
    store, video = tmp_path / "store", tmp_path / "107.mp4"
    video.write_bytes(clips[0].read_bytes())
    first = extract(video, store, [video.stem])
    before, date_ns = inodes(store), video.stat().st_mtime_ns
    renamed = video.rename(tmp_path / "109.mp4")
    done: list[int] = []
    assert extract(renamed, store, [renamed.stem], progress=done.append) != first
    assert (done, inodes(store)) == ([], before)
    video.write_bytes(clips[1].read_bytes())
    assert video.stat().st_size == renamed.stat().st_size
    os.utime(video, ns=(date_ns, date_ns))
    assert extract(video, store, [video.stem], progress=done.append) != first
    assert sum(done) == 20
    assert before.items() < inodes(store).items()


def vanish(video: Path) -> None:
    video.unlink()


def shorten(video: Path) -> None:
    os.truncate(video, video.stat().st_size // 2)


def swap(video: Path) -> None:
    other = video.with_name("other")
    other.write_bytes(video.read_bytes())
    other.replace(video)


@pytest.mark.parametrize(
    ("happen", "says"), [(vanish, "vanished while"), (shorten, "changed while"), (swap, "changed while")]
)
def test_a_video_that_changes_while_it_is_read_is_named_and_nothing_of_it_kept(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happen: Callable[[Path], None], says: str
) -> None:
    monkeypatch.setattr(detections, "PART_FRAMES", PART_FRAMES)
    store, video = tmp_path / "store", tmp_path / "107.mp4"
    content = clips[0].read_bytes()
    video.write_bytes(content)

    def progress(_: int) -> None:
        if list(store.glob("detections/*/part-00000.parquet")) and not happened:
            happened.append(True)
            happen(video)

    happened: list[bool] = []
    with pytest.raises(ValueError, match=rf"107\.mp4: {says} it was read.*run the command again"):
        extract(video, store, [video.stem], progress=progress)
    assert [path.name for path in store.glob("detections/*/*.parquet")] == ["part-00000.parquet"]
    assert not list(store.glob("faces/*"))
    video.write_bytes(content)
    assert is_whole(extract(video, store, [video.stem]))

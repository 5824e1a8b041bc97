from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from data.store.hashes import KNOWN_FILES, check_unchanged, file_hash, file_hashes, folder_hash, known_hashes, look_at
from data.store.shards import file_sha256
from data.video.packets import open_video


def replace(path: Path, content: bytes, *, mtime_ns: int) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_a_file_that_looks_the_same_is_not_read_again(tmp_path: Path) -> None:
    path, store = tmp_path / "a.txt", tmp_path / "store"
    path.write_bytes(b"one")
    assert file_hashes([path], store) == {path: file_sha256(path)}
    known = json.loads((store / KNOWN_FILES).read_text())
    known[str(path)][-1] = "what was noted"
    (store / KNOWN_FILES).write_text(json.dumps(known))
    assert file_hashes([path], store) == {path: "what was noted"}


def test_a_file_inside_the_store_is_known_by_its_place_there(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = store / "sample" / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one")
    file_hash(path, store)
    assert list(json.loads((store / KNOWN_FILES).read_text())) == ["sample/a.txt"]
    assert known_hashes([path, store / "b.txt"], store) == {path: file_sha256(path)}


def rewritten(path: Path) -> None:
    path.write_bytes(b"two")


def swapped(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"two")
    other.replace(path)


@pytest.mark.parametrize("change", [rewritten, swapped])
def test_another_file_of_the_same_name_size_and_date_is_read_anew(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path, store = tmp_path / "a.txt", tmp_path / "store"
    replace(path, b"one", mtime_ns=10**18)
    before = file_hash(path, store)
    change(path)
    os.utime(path, ns=(10**18, 10**18))
    assert path.stat().st_size == 3
    assert file_hash(path, store) == file_sha256(path) != before


def test_the_hash_of_a_folder_is_that_of_its_names_and_contents(tmp_path: Path) -> None:
    folder, store = tmp_path / "107", tmp_path / "store"
    folder.mkdir()
    one, two = folder / "00001.jpg", folder / "00002.jpg"
    replace(one, b"ab", mtime_ns=10**18)
    replace(two, b"c", mtime_ns=10**18)
    both = folder_hash(folder, [two, one], store)
    assert folder_hash(folder, [one, two], tmp_path / "other") == both
    replace(one, b"xy", mtime_ns=10**18)
    assert folder_hash(folder, [one, two], store) != both
    replace(one, b"ab", mtime_ns=10**18)
    assert folder_hash(folder, [one, two], store) == both
    replace(one, b"a", mtime_ns=10**18)
    replace(two, b"bc", mtime_ns=10**18)
    assert folder_hash(folder, [one, two], store) != both
    assert folder_hash(folder, [one], store) != both


def test_a_file_is_unchanged_or_the_error_says_what_happened_to_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(ValueError, match=r"a\.mp4: expected a file, found none"):
        look_at(path)
    path.write_bytes(b"one")
    before = look_at(path)
    check_unchanged(path, before)
    path.write_bytes(b"three")
    with pytest.raises(ValueError, match=r"a\.mp4: changed while it was read \(3 bytes before and 5 now\)"):
        check_unchanged(path, before)
    path.unlink()
    with pytest.raises(ValueError, match=r"a\.mp4: vanished while it was read"):
        check_unchanged(path, before)


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may read everything: it acts as nobody for a while."""
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)


def closed_file(folder: Path) -> Path:
    path = folder / "closed.mp4"
    path.write_bytes(b"one")
    path.chmod(0)
    return path


def in_a_closed_folder(folder: Path) -> Path:
    path = folder / "closed" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"one")
    path.parent.chmod(0)
    return path


def a_folder(folder: Path) -> Path:
    path = folder / "a.mp4"
    path.mkdir()
    return path


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "a.mp4")
    return folder / "a.mp4"


NO_PERMISSION = "found no permission to read it; grant it with chmod"


@pytest.mark.parametrize("read", [file_sha256, open_video])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (closed_file, NO_PERMISSION),
        (in_a_closed_folder, NO_PERMISSION),
        (a_folder, "found a folder; remove it"),
        (a_pipe, "found a pipe or a device; remove it"),
        (lambda folder: folder / "gone.mp4", "found none; put it back and run the command again"),
    ],
)
def test_what_cannot_be_read_as_a_file_is_said_in_one_sentence(
    read: Callable[[Path], object], make: Callable[[Path], Path], reason: str
) -> None:
    """Not as an error of the disk, which would be tried again."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = make(Path(name))
        with without_rights(), pytest.raises(ValueError, match=rf"{path.name}: expected a (file|video), {reason}"):
            read(path)
        path.parent.chmod(0o755)


def test_a_video_in_a_closed_folder_is_no_error_of_the_disk() -> None:
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = in_a_closed_folder(Path(name))
        with without_rights(), pytest.raises(ValueError, match=NO_PERMISSION):
            look_at(path)
        path.parent.chmod(0o755)


def test_what_is_known_is_written_only_if_it_is_new(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one")
    file_hashes([path], tmp_path)
    before = (tmp_path / KNOWN_FILES).stat().st_mtime_ns
    file_hashes([path], tmp_path)
    assert (tmp_path / KNOWN_FILES).stat().st_mtime_ns == before


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "107.mp4")
    with pytest.raises(ValueError, match=r"107\.mp4: expected a file, found a pipe or a device; remove it"):
        file_hash(tmp_path / "107.mp4", tmp_path / "store")

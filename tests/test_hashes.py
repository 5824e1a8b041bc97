from __future__ import annotations

import os
from pathlib import Path

from data.hashes import KNOWN_FILES, file_hashes, folder_hash
from data.shards import file_sha256


def replace(path: Path, content: bytes, *, mtime_ns: int) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_a_file_that_looks_the_same_is_not_read_again(tmp_path: Path) -> None:
    path, store = tmp_path / "a.txt", tmp_path / "store"
    replace(path, b"one", mtime_ns=10**18)
    first = file_hashes([path], store)
    assert first == {path: file_sha256(path)}
    replace(path, b"two", mtime_ns=10**18)
    assert file_hashes([path], store) == first
    replace(path, b"two", mtime_ns=10**18 + 1)
    assert file_hashes([path], store) == {path: file_sha256(path)}
    replace(path, b"longer", mtime_ns=10**18 + 1)
    assert file_hashes([path], store) == {path: file_sha256(path)}


def test_the_hash_of_a_folder_is_that_of_its_names_and_contents(tmp_path: Path) -> None:
    folder, store = tmp_path / "107", tmp_path / "store"
    folder.mkdir()
    one, two = folder / "00001.jpg", folder / "00002.jpg"
    replace(one, b"ab", mtime_ns=10**18)
    replace(two, b"c", mtime_ns=10**18)
    both = folder_hash(folder, [two, one], store)
    assert folder_hash(folder, [one, two], tmp_path / "other") == both
    replace(one, b"xy", mtime_ns=10**18)
    assert folder_hash(folder, [one, two], store) == both
    replace(one, b"ab", mtime_ns=10**18 + 1)
    assert folder_hash(folder, [one, two], store) == both
    replace(one, b"a", mtime_ns=10**18)
    replace(two, b"bc", mtime_ns=10**18)
    assert folder_hash(folder, [one, two], store) != both
    assert folder_hash(folder, [one], store) != both


def test_what_is_known_is_written_only_if_it_is_new(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one")
    file_hashes([path], tmp_path)
    before = (tmp_path / KNOWN_FILES).stat().st_mtime_ns
    file_hashes([path], tmp_path)
    assert (tmp_path / KNOWN_FILES).stat().st_mtime_ns == before

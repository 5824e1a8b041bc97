from __future__ import annotations

from pathlib import Path

import pytest

from data.store.catalogue import Dataset, refuse_taken_name, write_catalogue


def test_the_name_of_another_folders_data_set_is_refused(tmp_path: Path) -> None:
    store, first, second = tmp_path / "store", tmp_path / "a" / "set", tmp_path / "b" / "set"
    refuse_taken_name("set", first, store)
    write_catalogue(Dataset("set", str(first), ()), store)
    with pytest.raises(
        ValueError, match=rf"'set' is already the name of {first}; name the data set of {second} with --name, such as"
    ):
        refuse_taken_name("set", second, store)
    refuse_taken_name("other", second, store)


def test_a_folder_keeps_its_name_however_its_path_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "set")
    write_catalogue(Dataset("set", str(tmp_path / "set"), ()), tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    for path in (Path("set"), Path("link"), tmp_path / "set" / ".." / "set"):
        refuse_taken_name("set", path, tmp_path / "store")


def test_a_new_sample_takes_the_name_of_the_old_one_but_not_of_a_folder(tmp_path: Path) -> None:
    store = tmp_path / "store"
    write_catalogue(Dataset("sample", str(store / "sample" / "aaaa"), ()), store)
    refuse_taken_name("sample", store / "sample" / "bbbb", store)
    with pytest.raises(ValueError, match="already the name of"):
        refuse_taken_name("sample", tmp_path / "sample", store)
    write_catalogue(Dataset("own", str(tmp_path / "own"), ()), store)
    with pytest.raises(ValueError, match="already the name of"):
        refuse_taken_name("own", store / "sample" / "bbbb", store)

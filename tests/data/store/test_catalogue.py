from __future__ import annotations

from pathlib import Path

import pytest

from data.store.catalogue import Dataset, Video, check_name, choose_name, read_catalogue, write_catalogue


def test_the_name_of_another_folders_data_set_is_refused(tmp_path: Path) -> None:
    store, first, second = tmp_path / "store", tmp_path / "a" / "set", tmp_path / "b" / "set"
    assert choose_name(None, first, store) == "set"
    write_catalogue(Dataset("set", str(first), ()), store)
    with pytest.raises(
        ValueError, match=rf"'set' is already the name of {first}; name the data set of {second} with --name, such as"
    ):
        choose_name("set", second, store)
    assert choose_name("other", second, store) == "other"


def test_a_folder_keeps_its_name_however_its_path_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "set")
    write_catalogue(Dataset("set", str(tmp_path / "set"), ()), tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    for path in (Path("set"), Path("link"), tmp_path / "set" / ".." / "set"):
        assert choose_name("set", path, tmp_path / "store") == "set"


def test_a_relative_path_names_its_folder_and_is_noted_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, first, second = tmp_path / "store", tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        (folder / "set").mkdir(parents=True)
    monkeypatch.chdir(first / "set")
    assert choose_name(None, Path(), store) == "set"
    assert choose_name(None, Path("../../a"), store) == "a"
    monkeypatch.chdir(first)
    write_catalogue(Dataset("set", "set", ()), store)
    assert choose_name(None, Path("set"), store) == "set"
    monkeypatch.chdir(second)
    with pytest.raises(ValueError, match=rf"'set' is already the name of {first / 'set'}"):
        choose_name(None, Path("set"), store)


def test_a_data_set_inside_the_store_moves_with_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "sample" / "aaaa").mkdir(parents=True)
    write_catalogue(Dataset("sample", str(store / "sample" / "aaaa"), ()), store)
    assert str(tmp_path) not in (store / "datasets" / "sample.json").read_text()
    moved = store.rename(tmp_path / "moved")
    assert read_catalogue(moved, "sample").root == str(moved / "sample" / "aaaa")
    assert read_catalogue(moved, "sample").is_synthetic(moved)


def test_a_new_sample_takes_the_name_of_the_old_one_but_not_of_a_folder(tmp_path: Path) -> None:
    store = tmp_path / "store"
    write_catalogue(Dataset("sample", str(store / "sample" / "aaaa"), ()), store)
    assert choose_name("sample", store / "sample" / "bbbb", store) == "sample"
    with pytest.raises(ValueError, match="already the name of"):
        choose_name("sample", tmp_path / "sample", store)
    write_catalogue(Dataset("own", str(tmp_path / "own"), ()), store)
    with pytest.raises(ValueError, match="already the name of"):
        choose_name("own", store / "sample" / "bbbb", store)


def test_a_video_of_the_same_name_elsewhere_is_to_be_renamed(tmp_path: Path) -> None:
    store, first, second = tmp_path / "store", tmp_path / "a" / "one clip.mp4", tmp_path / "b" / "one clip.mp4"
    for path in (first, second):
        path.parent.mkdir()
        path.touch()
    write_catalogue(Dataset("one clip", str(first), (Video("one clip", "one clip.mp4", "f", "s", ()),)), store)
    with pytest.raises(ValueError, match=r"video one clip of .*one clip\.mp4 has the name of a video in the data set"):
        choose_name(None, second, store, ["one clip"])
    (tmp_path / "other" / "one clip").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"such as --name 'one clip-2' \(train"):
        choose_name(None, tmp_path / "other" / "one clip", store, ["107"])


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "-option", "a\nb", "a:b"])
def test_a_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot name a data set: expected letters"):
        check_name(name)
    assert choose_name("Été 1 - b_c.d+e", tmp_path, tmp_path / "store") == "Été 1 - b_c.d+e"

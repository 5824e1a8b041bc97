from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from data.store.shards import (
    digest,
    is_whole,
    parquet_files,
    read_manifest,
    read_table,
    write_folder,
    write_manifest,
    write_parquet,
)

TABLE = pa.table({"frame_index": [0, 1, 2]})


def write_one(folder: Path) -> None:
    with write_folder(folder) as partial:
        write_parquet(TABLE, partial / "part.parquet")
        write_manifest(partial, {"video_id": "107"})


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "faces" / "abc"

    def die() -> None:
        with write_folder(folder) as partial:
            write_parquet(TABLE, partial / "part.parquet")
            raise KeyError("the writer dies")

    with pytest.raises(KeyError):
        die()
    assert not folder.exists()
    write_one(folder)
    assert is_whole(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["abc"]
    manifest = read_manifest(folder)
    assert manifest["video_id"] == "107"
    assert manifest["files"]["part.parquet"]["rows"] == 3


def test_a_resumed_folder_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "abc.partial").mkdir()
    (tmp_path / "abc.partial" / "kept").touch()
    with write_folder(tmp_path / "abc", resume=True) as partial:
        write_manifest(partial, {})
    assert (tmp_path / "abc" / "kept").exists()


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"no manifest\.json was written"), write_folder(tmp_path / "abc"):
        pass
    with pytest.raises(ValueError, match="incomplete folder"):
        read_manifest(tmp_path)


def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    write_one(tmp_path / "abc")
    assert read_table(parquet_files(tmp_path / "abc")).equals(TABLE)
    with (tmp_path / "abc" / "part.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"expected \d+ bytes as in the manifest, found"):
        parquet_files(tmp_path / "abc")


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    write_one(tmp_path / "a")
    write_one(tmp_path / "b")
    assert (tmp_path / "a" / "part.parquet").read_bytes() == (tmp_path / "b" / "part.parquet").read_bytes()
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


def test_a_digest_knows_values_not_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})

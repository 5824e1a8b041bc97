from __future__ import annotations

import logging
from pathlib import Path

import pytest

from data.store.shards import write_manifest
from tasks.ingest import videos
from tasks.progress import log


def test_the_first_doubts_are_logged_and_the_others_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(log, "warning", lambda line, *values: told.append(line % values))
    folders = {}
    for name, doubts in {"clear": [], "doubtful": [f"v: doubt {number}" for number in range(23)]}.items():
        folders[name] = tmp_path / name
        folders[name].mkdir()
        write_manifest(folders[name], {"doubts": doubts})
    (tmp_path / "crops").mkdir()
    write_manifest(tmp_path / "crops", {"video_id": "107"})
    videos._warn_of_doubts({**folders, "crops": tmp_path / "crops"})
    assert isinstance(log, logging.Logger)
    assert told[:2] == ["doubtful: v: doubt 0", "doubtful: v: doubt 1"]
    assert told[20:] == ["doubtful: 3 more; see the manifests under faces"]

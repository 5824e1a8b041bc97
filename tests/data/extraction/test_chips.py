from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.clips import two_people
from support.extraction import extract

from data.extraction import detections
from data.extraction.chips import qualities
from data.faces.crops import TEMPLATE_52, decode_jpegs
from data.store.embeddings import embeddings_folder
from data.testing.numbered import write_clip

BOX = (0, 0, 60, 60)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, 40 frames; then, mirrored, the one on the right alone, 30 frames; then both again."""
    both = two_people()[0]
    alone = np.ascontiguousarray(both[:, ::-1])
    alone[:, 320:] = alone[:, 300:301]
    shots = [[both] * 40, [alone] * 30, [both] * 30]
    return write_clip(tmp_path_factory.mktemp("film") / "107.mp4", [*chain(*shots)])


def rows(folder: Path, name: str) -> list[dict[str, object]]:
    return [row for part in sorted(folder.glob(name)) for row in pq.read_table(part, partitioning=None).to_pylist()]


def test_cuts_are_noted_and_each_stretch_has_chips(film: Path, tmp_path: Path) -> None:
    faces = json.loads((extract(film, tmp_path) / "manifest.json").read_text())
    found = tmp_path / "detections" / faces["detections"]
    assert json.loads((found / "manifest.json").read_text())["cuts"] == faces["cuts"] == [40, 70]
    assert [person["num_frames"] for person in faces["people"]] == [100, 70] or faces["doubts"]
    chips = [row for row in rows(found, "part-*.parquet") if row["chip_jpeg"]]
    in_shots = [[row for row in chips if row["frame_index"] in shot] for shot in (range(40), range(40, 70))]
    assert [len(shot) for shot in in_shots] == [2 * 2, 2], "two windows, and in the first shot two people"
    assert decode_jpegs([chips[0]["chip_jpeg"]]).shape == (1, 150, 150, 3)  # type: ignore[list-item]
    assert not list(found.glob("*.thumbnails"))


def test_without_identity_there_are_no_cuts_no_chips_and_no_embeddings(film: Path, tmp_path: Path) -> None:
    faces = json.loads((extract(film, tmp_path, identity=False) / "manifest.json").read_text())
    (found,) = (tmp_path / "detections").iterdir()
    assert "cuts" not in faces
    assert "chip_jpeg" not in pq.read_schema(next(found.glob("*.parquet"))).names


def test_a_resumed_run_finds_the_cuts_of_the_whole_film(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detections, "PART_FRAMES", 50)

    def fail(*_: object) -> None:
        raise ValueError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(detections, "write_manifest", fail)
        with pytest.raises(ValueError, match="stopped"):
            extract(film, tmp_path)
    faces = json.loads((extract(film, tmp_path) / "manifest.json").read_text())
    assert faces["cuts"] == [40, 70]


def test_embeddings_are_made_once(film: Path, tmp_path: Path) -> None:
    folder = extract(film, tmp_path)
    found = tmp_path / "detections" / json.loads((folder / "manifest.json").read_text())["detections"]
    embedded = rows(embeddings_folder(found), "*.parquet")
    assert len(embedded) >= 4
    before = (embeddings_folder(found) / "manifest.json").stat()
    extract(film, tmp_path, track_ids=["107"])
    assert (embeddings_folder(found) / "manifest.json").stat() == before


def test_large_frontal_and_sharp_faces_are_the_best() -> None:
    aside_52 = TEMPLATE_52 + np.array([(0, 0), (0, 0), (14, 0), (0, 0), (0, 0)])
    boxes = np.array([BOX, (0, 0, 20, 20), BOX, BOX], float)
    landmarks = np.stack([TEMPLATE_52, TEMPLATE_52, aside_52, TEMPLATE_52])
    quality = qualities(boxes, landmarks, [bytes(4000), bytes(4000), bytes(4000), bytes(1000)])
    assert quality.argmax() == 0
    assert quality[0] > 1.3 * quality[1:].max()

"""The same person in a training and a validation video, under names that do not say so."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clips import one_person
from support.trees import MakeTree
from typer.testing import CliRunner

from data.labels import Edition
from data.store.shards import read_manifest
from data.testing.numbered import write_clip
from data.warehouse.answers import query
from flows.command.cli import app
from flows.ingest import ingest_aff_wild2
from tasks.config import IngestConfig, MachineConfig


@pytest.fixture
def root(make_tree: MakeTree) -> Path:
    """`107` trains and `30-30-640x360` validates; both show one person, the second brighter. `9` shows nobody."""
    rows = ["0.1,0.2"] * 12
    root = make_tree(
        {"VA_Set/Training_Set/107": rows, "VA_Set/Validation_Set/30-30-640x360": rows, "VA_Set/Training_Set/9": rows},
        videos=("107", "30-30-640x360", "9"),
    )
    for name, light in {"107": 0, "30-30-640x360": 20, "9": None}.items():
        person = one_person() * 0 + 90 if light is None else one_person() // 2 + light
        write_clip(root / "videos" / "batch1" / f"{name}.mp4", [person] * 12)
    return root


def ingest(root: Path, store: Path, **settings: object) -> list[dict[str, object]]:
    """The people, as SQL has them."""
    config = IngestConfig.model_validate({"root": root, "name": "few", "edition": Edition.ABAW_2020, **settings})
    dataset = ingest_aff_wild2(config, MachineConfig(store=store, device="cpu", workers=1))
    labels = dataset.labels_folder(store)
    assert labels is not None
    assert (read_manifest(labels).get("groups") is not None) is (config.identity and config.splits != "guarded")
    people: list[dict[str, object]] = query(store, "SELECT track_id, subject FROM people ORDER BY 1").to_pylist()
    return people


@pytest.mark.usefixtures("prefect_api")
def test_the_leak_is_told_and_closed_by_disjoint_subjects(root: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert ingest(root, store) == [
        {"track_id": "107", "subject": "107"},
        {"track_id": "30-30-640x360", "subject": "107"},
        {"track_id": "9", "subject": None},
    ]
    said = CliRunner().invoke(app, ["people", "--store", str(store)]).output
    assert "1 pair of tracks of different videos show the same person, 1 pair of them across training and" in said
    ingest(root, store, splits="subject_disjoint", validation_share=0.5)
    sides = query(store, "SELECT DISTINCT split_va FROM labels WHERE track_id != '9'").to_pylist()
    assert len(sides) == 1
    said = CliRunner().invoke(app, ["people", "--store", str(store)]).output
    assert "1 pair of tracks of different videos show the same person, 0 pairs of them across" in said
    named = CliRunner().invoke(app, ["people", "--forget", "--dataset", "few", "--store", str(store)])
    assert "leave out --dataset" in str(named.exception)
    assert "in 2 videos" in CliRunner().invoke(app, ["people", "--forget", "--store", str(store)]).output
    assert len(ingest(root, store, splits="subject_disjoint", validation_share=0.5)) == 3
    assert len(query(store, "SELECT DISTINCT split_va FROM labels WHERE track_id != '9'")) == 1
    assert query(store, "SELECT DISTINCT subject FROM people WHERE subject IS NOT NULL").to_pylist() == [
        {"subject": "107"}
    ]
    forgotten = CliRunner().invoke(app, ["people", "--store", str(store)]).output
    assert "2 of 2 tracks cannot be compared" in forgotten
    said = CliRunner().invoke(app, ["people", "--again", "--store", str(store)]).output
    assert "few: 3 videos of 3 can be compared" in said
    assert "1 pair of tracks of different videos show the same person, 0 pairs of them across" in said


@pytest.mark.usefixtures("prefect_api")
def test_without_identity_nobody_is_recognised(root: Path, tmp_path: Path) -> None:
    people = ingest(root, tmp_path / "store", identity=False)
    assert {person["subject"] for person in people} == {None}


@pytest.mark.usefixtures("prefect_api")
def test_hints_that_do_not_fit_change_nothing(root: Path, tmp_path: Path) -> None:
    store, hints = tmp_path / "store", tmp_path / "hints.toml"
    people = ingest(root, store)
    hints.write_text("[107]\npeople = [1]\nframes = [[200, 300]]\n")
    with pytest.raises(ValueError, match=r"hints\.toml \[107\]: none of these .* 200 to 300; .* Correct the hints"):
        ingest(root, store, track_hints=hints)
    assert query(store, "SELECT track_id, subject FROM people ORDER BY 1").to_pylist() == people

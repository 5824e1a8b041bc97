from __future__ import annotations

from pathlib import Path

import pytest

from data.labels import Edition, Split
from tasks import tracking
from tasks.catalogue import Dataset, Video, read_catalogue, write_catalogue
from tasks.champion import champion_total, verdict
from tasks.config import MachineConfig
from tasks.registry import Version
from tasks.scoring import Evaluation, check_edition, official_total, total_tag

DATASET = Dataset("set-a", "somewhere", (Video("107", "107.mp4", "f1", "ab", ("107",)),), Edition.ABAW_2022, "l1")


def version(number: int, run_id: str = "r") -> Version:
    return Version(number, run_id, (), {})


def evaluation(total: float) -> Evaluation:
    scores = {"ccc": total / 2, "expression": total / 2}
    return Evaluation(version(2), "set-a", DATASET.digest, Split.VALIDATION, 90, scores, {}, {})


@pytest.mark.parametrize(
    ("champion", "champion_total", "wins", "says"),
    [
        (None, None, True, "mtanet v2 is the champion: it is the first, with a total of 1.000"),
        (version(1), 0.9, True, "mtanet v2 is the champion: better than mtanet v1, a total of 1.000 against 0.900"),
        (version(1), 1.0, False, "mtanet v1 stays champion: mtanet v2 has a total of 1.000, no more than its 1.000"),
        (version(1), 1.1, False, "mtanet v1 stays champion"),
        (version(1), None, True, "mtanet v1 before it knows another edition's classes"),
    ],
)
def test_the_champion_moves_only_to_a_better_one(
    champion: Version | None, champion_total: float | None, wins: bool, says: str
) -> None:
    moved, reason = verdict(evaluation(1.0), champion, champion_total)
    assert moved == wins
    assert says in reason


def test_what_is_not_a_number_does_not_win() -> None:
    assert official_total({"ccc": float("nan"), "expression": 0.5}) == 0.5
    assert official_total({}) == 0


def test_a_model_of_another_edition_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "SERVER", "")
    with tracking.open_run(
        tmp_path,
        experiment="aff-wild2-2020",
        training_digest="d",
        run_name="old",
        params={"a": 1},
        tags={"edition": "2020"},
    ) as run_id:
        pass
    with pytest.raises(
        ValueError, match=r"mtanet v1 knows .* of edition 2020, the labels of set-a are of edition 2022"
    ):
        check_edition(version(1, run_id), DATASET, tmp_path)
    machine = MachineConfig(store=tmp_path)
    assert champion_total(version(1, run_id), DATASET, Split.VALIDATION, machine) is None
    scored = Version(1, run_id, (), {total_tag(DATASET.digest, Split.VALIDATION): "1.25"})
    assert champion_total(scored, DATASET, Split.VALIDATION, machine) == 1.25


def test_a_data_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_catalogue(DATASET, tmp_path)
    assert read_catalogue(tmp_path, "set-a") == DATASET


def test_data_are_the_same_whatever_they_are_called() -> None:
    renamed = Dataset("set-b", "elsewhere", DATASET.videos, DATASET.edition, DATASET.labels)
    relabelled = Dataset("set-a", "somewhere", DATASET.videos, DATASET.edition, "l2")
    assert renamed.digest == DATASET.digest != relabelled.digest


def test_no_labels_no_score() -> None:
    with pytest.raises(ValueError, match="the data set own has no labels; ingest it with its annotations"):
        Dataset("own", "somewhere", DATASET.videos).labels_file(Path())

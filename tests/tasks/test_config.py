from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.config import Experiment, IngestConfig, TrainConfig
from tasks.experiments import EXPERIMENTS, load_experiment, mtanet_experiment, with_settings


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_loads_and_says_how_it_is_run(path: Path) -> None:
    assert load_experiment(path.stem).name == path.stem
    assert f"mtanet train --experiment {path.stem}" in path.read_text()


def test_the_papers_experiment_is_the_defaults() -> None:
    assert load_experiment("paper").train == TrainConfig()


def test_an_unknown_experiment_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no experiment 'papre': expected one of ablation, dense_detection, "):
        load_experiment("papre")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nepohcs = 3\n", r"train\.epohcs: no such setting; did you mean train\.epochs"),
        ("[train]\nepochs = 0\n", r"train\.epochs: Input should be greater than or equal to 1, found 0"),
        ("[train\n", "not valid TOML"),
        ("system = 'expr_cn'\n", "system: expected one of mtanet, .*, found 'expr_cn'"),
        ("system = 'expr_cnn'\n[train]\nwidth = 16\n", r"train\.width: no such setting"),
        ("system = 'expr_cnn'\n[temporal]\n", r"temporal: no such setting"),
        ("[train]\nfilters = [8, 8, 8, 8]\n", r"train\.filters: no such setting"),
        ("[sample]\n[ingest]\nroot = 'x'\n", "give only one of them"),
    ],
)
def test_a_typo_in_an_experiment_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_experiment(str(path))


def test_a_changed_setting_changes_the_digest_and_settings_do_not_change() -> None:
    train = TrainConfig()
    assert train.digest == TrainConfig().digest != TrainConfig(epochs=3).digest
    with pytest.raises(ValidationError, match="frozen"):
        train.epochs = 3


def test_every_setting_says_what_it_means() -> None:
    def undescribed(schema: dict[str, object]) -> list[str]:
        return [name for name, field in schema["properties"].items() if "description" not in field]  # type: ignore[attr-defined]

    schema = Experiment.model_json_schema()
    assert undescribed(schema) == []
    assert [undescribed(part) for part in schema["$defs"].values() if "properties" in part] == [[]] * 5


def test_an_edition_may_be_written_as_a_number() -> None:
    assert with_settings(IngestConfig(), ["edition=2022"]).edition == "2022"
    assert with_settings(IngestConfig(), ['edition="2021"']).edition == "2021"
    with pytest.raises(ValueError, match="edition: Input should be '2020', '2021' or '2022', found '2019'"):
        with_settings(IngestConfig(), ["edition=2019"])


def test_corruption_is_a_table_of_its_own_or_a_setting_of_the_training(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[train]\nepochs = 3\n[corruption]\nwrong_expressions = 0.4\n")
    config = load_experiment(str(path))
    assert (mtanet_experiment(config).train.epochs, config.train.corruption.wrong_expressions) == (3, 0.4)
    changed = with_settings(config, ["train.corruption.seed=2"])
    assert changed.train.corruption == config.train.corruption.but(seed=2)
    path.write_text("[corruption]\nwrong_expression = 0.4\n")
    with pytest.raises(ValueError, match=r"did you mean train\.corruption\.wrong_expressions"):
        load_experiment(str(path))

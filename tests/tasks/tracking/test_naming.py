from __future__ import annotations

from data.labels import Edition
from tasks.config import Experiment, TrainConfig
from tasks.experiments import load_experiment, with_settings
from tasks.tracking.naming import experiment_name, is_synthetic, run_name


def test_an_experiment_is_an_edition_and_says_whether_its_people_are_rendered() -> None:
    assert experiment_name(Edition.ABAW_2020, is_synthetic=False) == "aff-wild2-2020"
    assert experiment_name(Edition.ABAW_2022, is_synthetic=True) == "synthetic-2022"
    for rendered in (True, False):
        assert is_synthetic(experiment_name(Edition.ABAW_2022, is_synthetic=rendered)) is rendered


def test_a_run_is_called_by_what_is_set_otherwise_than_in_its_file() -> None:
    sample = load_experiment("sample")
    assert run_name(sample, {}) == "sample"
    changed = ["train.learning_rate=0.01", "train.seed=2", "train.layers=[1,1,2,1]", "train.crop=0.5"]
    assert run_name(with_settings(sample, changed), {}) == "sample layers=[1,1,2,1] learning_rate=0.01 seed=2 crop=0.5"
    assert run_name(with_settings(sample, ["sample.seed=8"]), {}) == "sample sample.seed=8"
    assert run_name(with_settings(sample, ["ingest.splits=official"]), {}) == "sample ingest.splits=official"


def test_where_the_data_lie_is_no_difference() -> None:
    assert run_name(with_settings(load_experiment("paper"), ["ingest.root=/data", "ingest.name=mine"]), {}) == "paper"


def test_ones_own_experiment_is_compared_with_its_first_run() -> None:
    mine = Experiment(name="mine", train=TrainConfig(width=32, seed=1))
    assert run_name(mine, {}) == "mine"
    assert run_name(mine, {"train.width": "32", "train.seed": "0", "gone": "1"}) == "mine seed=1"


def test_a_head_over_time_stands_in_the_name() -> None:
    sample, temporal = load_experiment("sample"), load_experiment("temporal")
    assert run_name(with_settings(sample, ["temporal={}"]), {}) == "sample temporal={}"
    assert run_name(with_settings(sample, ["temporal.kind=gru"]), {}) == "sample temporal={} temporal.kind=gru"
    assert run_name(temporal, {}) == "temporal"
    assert run_name(with_settings(temporal, ["temporal.width=32"]), {}) == "temporal temporal.width=32"

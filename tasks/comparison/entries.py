"""What is compared: experiments, with settings changed, at one or more levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.config import AnyExperiment
from tasks.experiments import load_experiment, with_settings

SAMPLES: list[str] = [
    "sample",
    "sample_expr_cnn",
    "sample_noisy_labels",
    "sample_weak_labels",
    "sample_dense_detection",
    "sample_geometry_pls",
]
"""The six systems on the synthetic sample; the first is the baseline."""


@dataclass(frozen=True)
class Entry:
    """An experiment under a name; entries of a level are compared with the first entry of the level."""

    name: str
    experiment: AnyExperiment
    level: str = ""


def entries_of(experiments: Sequence[str], vary: str = "", settings: Sequence[str] = ()) -> list[Entry]:
    """The entries of a comparison.

    Args:
        experiments: Names or files of experiments, each with settings of its own after colons, such as
            `sample_noisy_labels:train.gan_weight=0`. The first is the baseline.
        vary: A setting with several values, such as `train.corruption.wrong_expressions=0,0.2,0.4`: each is a level, at
            which all experiments are compared.
        settings: Settings for all.

    Raises:
        ValueError: There is no such experiment or setting; there are fewer than two entries, or two that are the same;
            or the experiments have different data.
    """
    setting, is_given, values = vary.partition("=")
    if vary and not (is_given and values):
        raise ValueError(f"--vary {vary}: expected <setting>=<value>,<value>, such as train.epochs=5,10")
    found = []
    for value in values.split(",") if vary else [""]:
        changes = [f"{setting}={value}"] if vary else []
        level = f"{setting.rpartition('.')[2]} {value}" if vary else ""
        for name in experiments:
            of, *own = name.split(":")
            found.append(Entry(name, with_settings(load_experiment(of), [*settings, *changes, *own]), level))
    _check(found, len(experiments))
    return found


def _check(entries: Sequence[Entry], num_experiments: int) -> None:
    if len(entries) < 2:
        raise ValueError("expected at least two experiments, or one and several values of a setting, to compare")
    names = [entry.name for entry in entries[:num_experiments]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)}: given twice; name each experiment once")
    first = entries[0].experiment
    for entry in entries:
        if (entry.experiment.sample, entry.experiment.ingest) != (first.sample, first.ingest):
            raise ValueError(
                f"{entry.name} and {entries[0].name} have different data ([sample] or [ingest]); compare experiments "
                "on the same data, for example with --set ingest.root=..."
            )

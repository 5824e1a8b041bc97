"""Experiments from TOML files, with settings changed by hand, and sentences about what is wrong with them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from data.settings import AnySettings, Settings, read_toml
from tasks.config import SYSTEM_EXPERIMENTS, AnyExperiment, Experiment

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

EXPERIMENTS = Path(__file__).parent.parent / "flows" / "experiments"


def load_experiment(name: str) -> AnyExperiment:
    """An experiment by its name in `flows/experiments/`, or by the path of a TOML file.

    Raises:
        ValueError: There is no such experiment, or the file has an unknown setting or an invalid value.
    """
    path = Path(name) if name.endswith(".toml") else EXPERIMENTS / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in EXPERIMENTS.glob("*.toml")))
        raise ValueError(f"no experiment '{name}': expected one of {known}, or the path of a .toml file")
    values = read_toml(path)
    if "corruption" in values:  # of the training alone, but a table of its own is easier to find
        values["train"] = {**values.get("train", {}), "corruption": values.pop("corruption")}
    system = str(values.get("system", "mtanet"))
    if system not in SYSTEM_EXPERIMENTS:
        raise ValueError(f"{path}: system: expected one of {', '.join(SYSTEM_EXPERIMENTS)}, found '{system}'")
    try:
        return SYSTEM_EXPERIMENTS[system].model_validate({"name": path.stem, **values})
    except ValidationError as error:
        raise ValueError(f"{path}: {problems(error, SYSTEM_EXPERIMENTS[system])}") from error


def mtanet_experiment(experiment: AnyExperiment) -> Experiment:
    """The experiment, for what only the system mtanet has.

    Raises:
        ValueError: It is one of another system.
    """
    if not isinstance(experiment, Experiment):
        raise ValueError(f"{experiment.name}: expected an experiment of the system mtanet, found {experiment.system}")
    return experiment


def with_settings(config: AnySettings, settings: Sequence[str]) -> AnySettings:
    """A copy with some settings changed, as in `train.epochs=3`; values as in TOML, or a bare word.

    Raises:
        ValueError: A setting has no `=`, has an unknown name, or an invalid value.
    """
    values: dict[str, Any] = config.model_dump()
    for setting in settings:
        name, is_given, value = setting.partition("=")
        if not is_given:
            raise ValueError(f"{setting}: expected <setting>=<value>, such as train.epochs=3")
        *groups, last = name.strip().split(".")
        group = values
        for key in groups:
            group[key] = dict(group.get(key) or {})
            group = group[key]
        group[last] = _value(value.strip())
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        raise ValueError(problems(error, type(config))) from error


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def problems(error: ValidationError, settings: type[Settings]) -> str:
    """What is wrong with settings, in a sentence."""
    return "; ".join(_problem(problem, settings) for problem in error.errors())


def _problem(problem: ErrorDetails, settings: type[Settings]) -> str:
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] != "extra_forbidden":
        return f"{name or 'experiment'}: {problem['msg']}, found {problem['input']!r}"
    names = _names(settings)
    near = get_close_matches(name, names, n=1, cutoff=0.75)
    near = near or [of for of in names if of.rpartition(".")[2] == name.rpartition(".")[2]]
    group = name.rpartition(".")[0]
    beside = [of for of in names if of.rpartition(".")[0] == group]
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(beside or names)}"
    return f"{name}: no such setting; {hint}"


def _names(settings: type[Settings], prefix: str = "") -> list[str]:
    """The names of all settings, as after `--set`."""
    names = []
    for name, field in settings.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        group = next((kind for kind in kinds if issubclass(kind, Settings)), None)
        names += _names(group, f"{prefix}{name}.") if group else [prefix + name]
    return names

"""The settings of an experiment and of a machine, composed of groups that are defined beside the code they steer.

The flows take these types, so the Prefect UI shows and checks the same fields as a TOML experiment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from data.annotations.splits import SplitSettings
from data.batches.augment import Augmentation
from data.extraction.settings import Search
from data.labels import Edition
from data.machine import DeviceChoice
from data.settings import AnySettings, Settings, read_toml
from data.store.catalogue import check_name
from model.architecture import Architecture
from model.temporal.settings import TemporalArchitecture, TemporalLearning
from model.training.learning import Learning

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

EXPERIMENTS = Path(__file__).parent.parent / "flows" / "experiments"

DECODE_LIMIT = "decode"
"""Prefect's limit on videos decoded in parallel, over all flows; `mtanet up` creates it."""
SPARE_SLOTS = 2
"""Slots of the limit beyond the number of cores: a slot is free only some time after it was given back, and a video
that comes in between would wait for seconds."""


def _as_text(value: object) -> object:
    """An edition is called after its year, which TOML and `--set` read as a number."""
    return str(value) if isinstance(value, int) else value


class SampleConfig(Settings):
    """The synthetic sample: rendered heads with exact labels, in Aff-Wild2's layout."""

    clips: Annotated[int, Field(ge=3, le=10_000)] = 30
    """Number of videos; at least 3, so that both splits have one."""
    seconds: Annotated[float, Field(gt=0, le=600)] = 6.0
    """Length of a video, in seconds."""
    seed: Annotated[int, Field(ge=0)] = 7
    """Same seed, same sample."""
    cast: Literal["demo", "people", "uniforms"] = "demo"
    """`people` has people who are hard to follow: they cross, leave, come back, turn to the side, or are bystanders;
    `uniforms` has them in the same clothes, with the same hair."""
    missing_labels: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of training rows whose label is withheld, for each task."""
    imbalance: Annotated[float, Field(ge=1, le=10_000)] = 1.0
    """The rarest expression, and the rarest unit when present, is labelled in one of this many training frames; the
    others are between that and all frames. Validation keeps its labels.
    """


class IngestConfig(SplitSettings, Search):
    """How to turn videos and annotations into face shards and aligned labels."""

    root: Path | None = None
    """Folder with the videos and annotations of Aff-Wild2, at any depth. Not needed with a sample."""
    name: Annotated[str, AfterValidator(check_name)] | None = None
    """Name of the data set in the store; by default the name of the root folder."""
    edition: Annotated[Edition, BeforeValidator(_as_text)] | None = None
    """Edition of the annotations; by default recognised from their folders and headers."""
    annotations: Literal["auto", "per_task", "mtl"] = "auto"
    """Which annotation files to use if there are both files per track and task and multi-task files."""
    mtl_conflicts: Literal["error", "drop"] = "error"
    """A frame that multi-task files label in two ways is an error, or has no labels (`drop`)."""
    faces_from: Literal["auto", "videos", "crops"] = "auto"
    """Raw videos, or the data set's own `cropped_aligned` folders; `auto` takes the videos if there are any."""
    decoder: Literal["auto", "pyav", "dali"] = "auto"
    """`auto`: NVDEC through DALI on a GPU, PyAV on a CPU; or one of them. PyAV decodes what DALI might number
    differently."""
    track_hints: Path | None = None
    """TOML file that corrects which person a track belongs to: see docs/people.md."""
    fill_gaps_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Fills gaps of at most this many seconds between two faces of a person with interpolated faces, cut from their own
    frames. 0 fills none.
    """


class TrainConfig(Augmentation, Learning, Architecture):
    """The network and how it learns; the defaults are the method's own (arXiv 2002.00606)."""

    pretrained: Path | None = None
    """Weights of the public VGGFace2 SE-ResNet-50 that the trunk starts from: see docs/pretrained.md."""
    frame_step: Annotated[int, Field(ge=1, le=1000)] = 1
    """Every k-th frame of a track is trained on."""
    shuffle_labels: bool = False
    """Shuffles the labels across training frames, so that the network must score at chance."""


class TemporalConfig(TemporalLearning, TemporalArchitecture):
    """A head that reads the trained network's features over time and answers in its place."""


class Experiment(Settings):
    """One run: its data and its training."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    """Name of the experiment in MLflow and beside every score."""
    sample: SampleConfig | None = None
    """Makes the synthetic sample and uses it as the data."""
    ingest: IngestConfig = IngestConfig()
    """The data."""
    train: TrainConfig = TrainConfig()
    """The training."""
    temporal: TemporalConfig | None = None
    """Trains a temporal head on the trained network's features, and takes it as the model."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.sample is not None and self.ingest.root is not None:
            raise ValueError("both [sample] and ingest.root are given; give only one of them")
        return self


class MachineConfig(Settings):
    """Store, device and workers: these change no result, so they are in no digest."""

    store: Path = Field(default_factory=lambda: Path(os.environ.get("MTANET_STORE", "store")))
    """Folder of all outputs: shards, models, the databases of MLflow and Prefect, the warehouse. By default the
    environment variable `MTANET_STORE`, else `store`.
    """
    device: DeviceChoice = "auto"
    """`auto` takes a GPU if there is one; `gpu` fails without one."""
    workers: Annotated[int, Field(ge=1, le=256)] = 2
    """Number of videos decoded in parallel, and of processes that render the sample."""


def load_experiment(name: str) -> Experiment:
    """An experiment by its name in `flows/experiments/`, or by the path of a TOML file.

    Raises:
        ValueError: There is no such experiment, or the file has an unknown setting or an invalid value.
    """
    path = Path(name) if name.endswith(".toml") else EXPERIMENTS / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in EXPERIMENTS.glob("*.toml")))
        raise ValueError(f"no experiment '{name}': expected one of {known}, or the path of a .toml file")
    try:
        return Experiment.model_validate({"name": path.stem, **read_toml(path)})
    except ValidationError as error:
        raise ValueError(f"{path}: {_problems(error, Experiment)}") from error


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
        raise ValueError(_problems(error, type(config))) from error


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _problems(error: ValidationError, settings: type[Settings]) -> str:
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

"""The settings of an experiment and of a machine, composed of groups that are defined beside the code they steer.

The flows take these types, so the Prefect UI shows and checks the same fields as a TOML experiment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, Union

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator

from data.annotations.splits import SplitSettings
from data.batches.augment import Augmentation
from data.batches.corruption import Corruption
from data.extraction.settings import Search
from data.labels import Edition, Task
from data.machine import DeviceChoice
from data.settings import Settings
from data.store.catalogue import check_name
from model.systems.mtanet.settings import Architecture, Pretrained
from model.systems.settings import SYSTEMS, System
from model.temporal.settings import TemporalArchitecture, TemporalLearning
from model.training.learning import Learning

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


class AnyTrainConfig(Settings):
    """How a system is trained: what all have."""

    system: ClassVar[str]

    frame_step: Annotated[int, Field(ge=1, le=1000)] = 1
    """Every k-th frame of a track is trained on."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed."""
    shuffle_labels: bool = False
    """Shuffles the labels across training frames, so that the network must score at chance."""
    corruption: Corruption = Corruption()
    """Training labels that are made wrong or withheld."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        return SYSTEMS[self.system].tasks

    @property
    def architecture(self) -> Settings:
        """The settings from which the system's network is built."""
        return self.part(SYSTEMS[self.system].settings)


class EpochsConfig(AnyTrainConfig, Augmentation, Learning):
    """How a system is trained epoch by epoch."""


class TrainConfig(EpochsConfig, Architecture, Pretrained):
    """The network and how it learns; the defaults are the method's own (arXiv 2002.00606)."""

    system: ClassVar[str] = "mtanet"


def _train_config(system: System) -> type[AnyTrainConfig]:
    base = EpochsConfig if system.learns == "by epochs" else AnyTrainConfig
    bases: Any = (base, system.settings, *system.further_settings)
    name, about = f"TrainConfig_{system.name}", "The training."
    config: type[AnyTrainConfig] = create_model(name, __base__=bases, __doc__=about, __module__=__name__)
    config.system = system.name
    globals()[name] = config  # where pickle looks for it
    return config


class TemporalConfig(TemporalLearning, TemporalArchitecture):
    """A head that reads the trained network's features over time and answers in its place."""


class _AnyExperiment(Settings):
    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    """Name of the experiment in MLflow and beside every score."""
    sample: SampleConfig | None = None
    """Makes the synthetic sample and uses it as the data."""
    ingest: IngestConfig = IngestConfig()
    """The data."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.sample is not None and self.ingest.root is not None:
            raise ValueError("both [sample] and ingest.root are given; give only one of them")
        return self


class Experiment(_AnyExperiment):
    """One run: its data and its training."""

    system: Literal["mtanet"] = "mtanet"
    """The system that is trained."""
    train: TrainConfig = TrainConfig()
    """The training."""
    temporal: TemporalConfig | None = None
    """Trains a temporal head on the trained network's features, and takes it as the model."""


class OtherExperiment(_AnyExperiment):
    """One run of a system that is not MTANet."""

    temporal: ClassVar[None] = None

    system: str
    """The system that is trained."""
    train: AnyTrainConfig
    """The training."""


def _experiment(system: System) -> type[OtherExperiment]:
    train = _train_config(system)
    fields: dict[str, Any] = {
        "system": (Literal[system.name], Field(description="The system that is trained.")),
        "train": (train, Field(default_factory=train, description="The training.")),
    }
    name, about = f"Experiment_{system.name}", f"One run of the system {system.name}."
    experiment = create_model(name, __base__=OtherExperiment, __doc__=about, __module__=__name__, **fields)
    globals()[name] = experiment
    return experiment


SYSTEM_EXPERIMENTS: dict[str, type[Experiment] | type[OtherExperiment]] = {
    name: Experiment if name == TrainConfig.system else _experiment(system)
    for name, system in SYSTEMS.items()
    if system.learns != "elsewhere"
}
"""By system."""

if TYPE_CHECKING:
    AnyExperiment = Experiment | OtherExperiment
else:
    AnyExperiment = Union[tuple(SYSTEM_EXPERIMENTS.values())]  # noqa: UP007


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

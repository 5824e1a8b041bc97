"""Makes the synthetic sample once for its settings."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.sample import make
from data.sample.plan import Cast, Scarcity
from data.store.access import hold
from data.store.catalogue import SAMPLES
from data.store.shards import digest, is_whole, write_folder, write_manifest
from tasks.config import MachineConfig, SampleConfig
from tasks.progress import log, stage

VERSION = 1
"""Raised when the renderer makes different pictures or labels from the same settings."""


def sample_folder(sample: SampleConfig, store: Path) -> Path:
    return store / SAMPLES / digest("sample", VERSION, sample.model_dump())


@task(task_run_name="sample", cache_policy=NO_CACHE)
def make_sample(sample: SampleConfig, machine: MachineConfig) -> Path:
    """The folder of the sample, `store/sample/<digest>`; rendered if it is missing."""
    folder = sample_folder(sample, machine.store)
    with hold(machine.store, f"sample-{folder.name}", what="the synthetic sample"):
        if is_whole(folder):
            log.info("sample: nothing new, all %d synthetic clips exist", sample.clips)
            return folder
        with stage("sample", sample.clips, "synthetic frames") as shown, write_folder(folder) as partial:
            make.make_sample(
                partial,
                clips=sample.clips,
                seconds=sample.seconds,
                seed=sample.seed,
                cast=Cast(sample.cast),
                scarcity=Scarcity(missing=sample.missing_labels, imbalance=sample.imbalance),
                workers=machine.workers,
                progress=shown.set,
            )
            write_manifest(partial, {"synthetic": True, **sample.model_dump()})
    return folder

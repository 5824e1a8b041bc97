"""Flow `predict-videos`: applies a registered model to unlabelled videos; the predictions can be queried with SQL."""

from __future__ import annotations

import os
from pathlib import Path

from prefect import flow, runtime

from data.annotations.videos import find_videos
from data.store.access import check_store
from data.store.catalogue import Dataset, choose_name
from tasks.config import IngestConfig, MachineConfig
from tasks.ingest.annotations import catalogue, content_of, say_copies
from tasks.ingest.failures import refuse_failed
from tasks.ingest.videos import extract_videos
from tasks.scoring.evaluate import predict_dataset
from tasks.scoring.reports import report_quality, warn_of_synthetic
from tasks.tracking import registry
from tasks.warehouse import publish


def _run_name() -> str:
    videos = runtime.flow_run.parameters["videos"]
    paths = videos if isinstance(videos, list) else [videos]
    return f"predict-{Path(paths[0]).name}" + ("-and-others" if len(paths) > 1 else "")


@flow(name="predict-videos", flow_run_name=_run_name)
def predict_videos(
    videos: list[Path] | Path,
    model: str = "champion",
    machine: MachineConfig = MachineConfig(),
    name: str | None = None,
) -> Dataset:
    """Predicts every frame of every person in video files, and in the videos of folders.

    They become a data set called `name`, or like the file or folder; several, like the folder that they share.

    Raises:
        FailedVideosError: Some videos failed. The predictions for the others are in the warehouse.
    """
    check_store(machine.store)
    config = IngestConfig(name=name)
    paths = [Path(os.path.abspath(path)) for path in (videos if isinstance(videos, list) else [videos])]  # noqa: PTH100
    root = paths[0] if len(paths) == 1 else Path(os.path.commonpath([path.parent for path in paths]))
    found = find_videos(paths, content_of(machine.store))
    say_copies(found.copies)
    name = choose_name(config.name, root, machine.store, found.files, is_part=len(paths) > 1)
    version = registry.find_version(machine.store, model)
    faces = extract_videos(found.files, None, config, machine)
    dataset = catalogue(name, root, found, faces, machine)
    predict_dataset(version, dataset, machine)
    report_quality(dataset, machine)
    warn_of_synthetic(version, dataset, machine.store)
    publish(machine)
    refuse_failed(dataset)
    return dataset

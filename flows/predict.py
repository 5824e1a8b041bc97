"""Flow `predict-videos`: applies a registered model to unlabelled videos; the predictions can be queried with SQL."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from data.annotations.discovery import discover_videos
from data.store.access import check_store
from data.store.catalogue import Dataset, choose_name
from tasks.config import IngestConfig, MachineConfig
from tasks.ingest.annotations import catalogue
from tasks.ingest.failures import refuse_failed
from tasks.ingest.videos import extract_videos
from tasks.scoring.evaluate import predict_dataset
from tasks.scoring.reports import report_quality
from tasks.tracking import registry
from tasks.warehouse import publish


@flow(name="predict-videos", flow_run_name="predict-{videos}")
def predict_videos(
    videos: Path, model: str = "champion", machine: MachineConfig = MachineConfig(), name: str | None = None
) -> Dataset:
    """Predicts every frame of every person in the videos under a folder.

    They become a data set called `name`, or like the folder.

    Raises:
        FailedVideosError: Some videos failed. The predictions for the others are in the warehouse.
    """
    check_store(machine.store)
    config = IngestConfig(name=name)
    name = choose_name(config.name, videos, machine.store)
    version = registry.find_version(machine.store, model)
    files = discover_videos(videos)
    faces = extract_videos(files, None, config, machine)
    dataset = catalogue(name, videos, files, faces, machine)
    report_quality(dataset, machine)
    predict_dataset(version, dataset, machine)
    publish(machine)
    refuse_failed(dataset)
    return dataset

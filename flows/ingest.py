"""Flow `ingest-aff-wild2`: turns raw videos into face shards, and annotations into labels aligned with them."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, runtime

from data.annotations.videos import Videos
from data.store.access import check_store
from data.store.catalogue import Dataset, choose_name
from tasks.config import IngestConfig, MachineConfig
from tasks.ingest.annotations import align_labels, catalogue, discover
from tasks.ingest.failures import refuse_failed
from tasks.ingest.videos import extract_videos
from tasks.scoring.reports import report_quality
from tasks.warehouse import publish


def _run_name() -> str:
    ingest = IngestConfig.model_validate(runtime.flow_run.parameters["ingest"])
    return f"ingest-{ingest.name or (ingest.root or Path()).name}"


@flow(name="ingest-aff-wild2", flow_run_name=_run_name)
def ingest_aff_wild2(ingest: IngestConfig, machine: MachineConfig = MachineConfig()) -> Dataset:
    """Turns the videos and annotations under `ingest.root` into a data set. Finished work is never redone.

    Raises:
        FailedVideosError: Some videos failed. The others form a complete data set, with its report, in the warehouse.
    """
    check_store(machine.store)
    tree = discover(ingest, machine)
    name = choose_name(ingest.name, tree.root, machine.store, tree.videos)
    by_person = ingest.splits == "subject_disjoint" and ingest.identity
    labels = None if by_person else align_labels(tree, ingest, machine)
    tracks = {video_id: tree.tracks(video_id) for video_id in tree.videos}
    faces = extract_videos(tree.videos, tracks, ingest, machine)
    labels = labels or align_labels(tree, ingest, machine, faces)
    dataset = catalogue(name, tree.root, Videos(tree.videos, tree.copies), faces, machine, tree=tree, labels=labels)
    report_quality(dataset, machine)
    publish(machine)
    refuse_failed(dataset)
    return dataset

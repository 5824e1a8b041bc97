"""The temporal head: from a trained network and its tracks to a model that answers with the head."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from data.batches.labelled_frames import LabelledFrames
from data.labels import Split
from data.store.access import hold
from data.store.catalogue import Dataset
from data.store.shards import digest, parquet_files, write_file
from data.video.frames import resolve_device
from model.inference import place
from model.systems.mtanet.network import mtanet
from model.systems.registry import load_checkpoint
from model.temporal import features
from model.temporal.checkpoint import Record
from model.temporal.features import keep_features, read_features
from model.temporal.settings import TemporalArchitecture
from model.temporal.training import train_head
from model.temporal.windows import labelled_tracks
from model.training.loop import MODEL
from model.training.recipe import recipe_for
from tasks.config import AnyExperiment, MachineConfig
from tasks.progress import log, stage
from tasks.tracking import runs
from tasks.training.epochs import cores, training_digest
from tasks.training.frames import split_frames

VERSION = 1
"""Raised when the same network, settings and data train a different head."""


def model_digest(experiment: AnyExperiment, dataset: Dataset, store: Path) -> str:
    """Names the model that an experiment ends with, and its folder in `store/models`."""
    network = training_digest(experiment.train, dataset, store)
    if experiment.temporal is None:
        return network
    return digest("temporal", VERSION, features.VERSION, experiment.temporal.model_dump(mode="json"), network)


def train_over_time(experiment: AnyExperiment, dataset: Dataset, machine: MachineConfig, run_id: str) -> None:
    """Trains the head on the features of the trained network, and puts both into the model's folder."""
    assert experiment.temporal is not None, "an experiment without a temporal head ends with its network"
    store, device = machine.store, resolve_device(machine.device)
    trained, key = training_digest(experiment.train, dataset, store), model_digest(experiment, dataset, store)
    folder = store / "models" / key
    with hold(store, f"models-{key}", what="this training"):
        _copy_network(store / "models" / trained, folder)
        checkpoint = load_checkpoint(folder / MODEL)
        network = mtanet(place(checkpoint.network, device)).eval()
        # The network may have trained on every k-th frame only; the head uses all frames.
        config = experiment.train.but(frame_step=1)
        frames = {split: split_frames(config, dataset, machine, split) for split in (Split.TRAIN, Split.VALIDATION)}
        kept = _keep_features(trained, frames.values(), dataset, machine)
        training, validation = (
            labelled_tracks(found, lambda track_id: read_features(kept[track_id], track_id))
            for found in frames.values()
        )
        # Windows come as they are; no balancing.
        learning = experiment.train.but(balance=0.0)
        records = train_head(
            folder,
            network,
            training,
            validation,
            edition=checkpoint.edition,
            architecture=experiment.temporal.part(TemporalArchitecture),
            learning=experiment.temporal,
            emphasis=recipe_for(frames[Split.TRAIN], learning, device).emphasis,
            device=device,
        )
        _follow(records, experiment.temporal.epochs, store, run_id)


def _copy_network(trained: Path, folder: Path) -> None:
    """The JSON last, because it marks the network as complete."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, facts = Path(MODEL), Path(MODEL).with_suffix(".json")
    if not (folder / facts).is_file():
        for name in (weights, facts):
            write_file(folder / name, (trained / name).read_bytes())


def _keep_features(
    trained: str, parts: Iterable[LabelledFrames], dataset: Dataset, machine: MachineConfig
) -> dict[str, Path]:
    """The folder with the trained network's features of each track that has labelled frames; computed if missing."""
    device = resolve_device(machine.device)
    network = mtanet(place(load_checkpoint(machine.store / "models" / trained / MODEL).network, device).eval())
    wanted = {part.track_ids[track_index] for part in parts for track_index in np.unique(part.track_index_N)}
    videos = [video for video in dataset.videos if wanted.intersection(video.tracks)]
    folders: dict[str, Path] = {}
    with stage("features", len(videos), "videos", counts_frames=True) as shown:
        for video in videos:
            folder = machine.store / "features" / digest("features", features.VERSION, trained, video.faces)
            files = parquet_files(machine.store / "faces" / video.faces)
            found = keep_features(folder, network, files, store=machine.store, device=device, threads=cores())
            shown.count(found)
            shown.advance()
            folders |= dict.fromkeys(video.tracks, folder)
    return folders


def _follow(records: Iterable[Record], epochs: int, store: Path, run_id: str) -> None:
    """Shows and logs the epochs as they finish, and reports the head's gain at the end."""
    logged = runs.logged_steps(store, run_id, "temporal/train_loss")
    with stage("temporal head", epochs, "epochs") as shown:
        for epoch, record in enumerate(records):
            if epoch not in logged:
                runs.log_epoch(store, run_id, epoch, record)
            shown.set(epoch + 1)
    for name in ("ccc", "expression", "action_units", "total"):
        if f"temporal/{name}" in record:
            frame, found, gain = (record[f"temporal/{part}{name}"] for part in ("frame_", "", "gain_"))
            log.info("%s: %.3f by the network alone, %.3f over time: %+.3f", name, frame, found, gain)

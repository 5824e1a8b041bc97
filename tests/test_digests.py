"""The digest of each stage, frozen: if one changes, every store is computed anew."""

from __future__ import annotations

from pathlib import Path

from support.trees import MakeTree

from data.annotations.alignment import write_labels
from data.annotations.discovery import discover
from data.annotations.splits import SplitSettings
from data.extraction.extract import detections_digest, faces_digest
from data.extraction.settings import Casting, Search
from data.labels import Edition
from data.store.catalogue import Dataset, Video
from data.warehouse.quality_rows import quality_folder
from tasks.config import SampleConfig
from tasks.experiments import load_experiment
from tasks.ingest.sample import sample_folder
from tasks.scoring.evaluate import predictions_folder
from tasks.tracking import runs
from tasks.tracking.registry import Version
from tasks.training.epochs import training_digest
from tasks.training.temporal import model_digest

STORE = Path("store")
VIDEO = Video("video1", "video1.mp4", "faces1", "sha1", ("video1",))
DATASET = Dataset("made-up", "/data", (VIDEO,), Edition.ABAW_2020, "labels1")
EXPECTED = {
    "sample": "9f24a231fd20618b",
    "detections": "d6c653ea3cee22e4",
    "detections with identity": "4e93b03ac5d8dd18",
    "faces": "266f40f952dd5ebd",
    "labels": "160c14072c325be8",
    "data set": "55a7ae447c66df74",
    "quality": "b91a04f5f3bdd940",
    "paper": "28f9a45b67bca1e1",
    "strong": "bae7d88abeaf2ed0",
    "temporal head": "f2c9cc9a50836223",
    "predictions": "7909e647bd6b7bc8",
}


def found(root: Path, store: Path) -> dict[str, str]:
    casting = Casting(track_ids=("video1",), hints={}, fill_gaps_s=0.0)
    version = Version(1, "run1", (), {runs.TRAINING_DIGEST: "training1"})
    return {
        "sample": sample_folder(SampleConfig(), STORE).name,
        "detections": detections_digest("sha1", Search(identity=False), decoder="pyav", device="cpu"),
        "detections with identity": detections_digest("sha1", Search(), decoder="pyav", device="cpu"),
        "faces": faces_digest("detections1", "video1", casting),
        "labels": write_labels(discover(root), store, SplitSettings()).name,
        "data set": DATASET.digest,
        "quality": quality_folder(STORE, ["faces1"], "labels1").name,
        **{name: training_digest(load_experiment(name).train, DATASET, STORE) for name in ("paper", "strong")},
        "temporal head": model_digest(load_experiment("temporal"), DATASET, STORE),
        "predictions": predictions_folder(STORE, version, VIDEO).name,
    }


def test_digests_are_what_they_were(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"VA_Set/Train_Set/107": ["0.1,0.2", "-5,-5"], "AU_Set/Train_Set/107": ["0,0,0,0,0,0,0,1"]})
    assert found(root, tmp_path / "store") == EXPECTED

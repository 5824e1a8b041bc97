"""How often the face of a track belongs to the right person, on the synthetic cast of people who are hard to follow.

    python benchmarks/people.py --store /tmp/people-store --clips 30 --seconds 6 --seed 11

The sample knows the true box of everybody in every frame, bystanders included. A row of a track is right if the centre
of its box is inside the true box of its person, and closer to that box's centre than to that of any other visible
person. Existing results are used again.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search
from data.sample.make import make_sample
from data.sample.plan import Cast, ClipPlan, plan_clip
from data.schema import Status
from data.store.shards import digest, is_whole, read_manifest, write_folder, write_manifest

log = logging.getLogger("people")


@dataclass(frozen=True)
class Verdict:
    """For a track: rows with a face, rows with the right person's face, and frames that show the person."""

    faces: int
    right: int
    visible: int
    visible_with_face: int

    def __str__(self) -> str:
        right = f"{100 * self.right / max(1, self.faces):6.2f} % of {self.faces} faces right"
        return f"{right}; {100 * self.visible_with_face / max(1, self.visible):6.2f} % of {self.visible} frames found"


def judge(faces_file: Path, truth: Path, plan: ClipPlan, *, status: Status = Status.OK) -> Verdict:
    """The verdict on a track's file of faces, by the true boxes of everyone in its clip."""
    boxes, visible = zip(*(_truth(truth / f"{name}.csv") for name in plan.everyone), strict=True)
    person = plan.everyone.index(faces_file.stem)
    table = pq.read_table(faces_file, columns=["status", "box"], partitioning=None)
    rows_N = np.array([value == status.value for value in table["status"].to_pylist()])
    found_N4 = np.array([list(box.values()) for box in table["box"].filter(rows_N).to_pylist()]).reshape(-1, 4)
    centres_N2 = found_N4[:, :2] + found_N4[:, 2:] / 2
    true_PN4 = np.stack(boxes)[:, rows_N]
    distance_PN = np.linalg.norm(true_PN4[..., :2] + true_PN4[..., 2:] / 2 - centres_N2, axis=-1)
    hidden_PN = ~np.stack(visible)[:, rows_N]
    hidden_PN[person] = False
    distance_PN[hidden_PN] = np.inf
    own_N4 = true_PN4[person]
    inside_N = ((centres_N2 >= own_N4[:, :2]) & (centres_N2 <= own_N4[:, :2] + own_N4[:, 2:])).all(1)
    right_N = inside_N & (distance_PN.argmin(0) == person)
    seen_N = visible[person]
    return Verdict(int(rows_N.sum()), int(right_N.sum()), int(seen_N.sum()), int((seen_N & rows_N).sum()))


def _truth(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    boxes_F4 = np.array([[float(row[name]) for name in "xywh"] for row in rows])
    return boxes_F4, np.array([row["visible"] == "1" for row in rows])


def total(verdicts: Sequence[Verdict]) -> Verdict:
    columns = ("faces", "right", "visible", "visible_with_face")
    return Verdict(*(sum(getattr(verdict, name) for verdict in verdicts) for name in columns))


def make_hard_sample(store: Path, cast: Cast, *, clips: int, seconds: float, seed: int) -> Path:
    folder = store / "sample" / digest(cast, clips, seconds, seed)
    if not is_whole(folder):
        with write_folder(folder) as partial:
            make_sample(partial, clips=clips, seconds=seconds, seed=seed, workers=2, cast=cast)
            write_manifest(partial, {"synthetic": True})
    return folder


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--store", type=Path, required=True)
    arguments.add_argument("--clips", type=int, default=30)
    arguments.add_argument("--seconds", type=float, default=6)
    arguments.add_argument("--seed", type=int, default=11)
    arguments.add_argument("--cast", type=Cast, choices=[Cast.PEOPLE, Cast.UNIFORMS], default=Cast.PEOPLE)
    arguments.add_argument("--without-identity", action="store_true")
    given = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    sample = make_hard_sample(given.store, given.cast, clips=given.clips, seconds=given.seconds, seed=given.seed)
    verdicts = {}
    for index in range(given.clips):
        plan = plan_clip(index, seconds=given.seconds, seed=given.seed, cast=given.cast)
        folder = extract_video(
            sample / "videos" / "batch1" / f"{plan.video_id}.mp4",
            given.store,
            Search(identity=not given.without_identity),
            Casting(track_ids=plan.track_ids),
            device="cpu",
            decoder="auto",
            threads=1,
        )
        for track_id in plan.track_ids:
            verdicts[track_id] = judge(folder / f"{track_id}.parquet", sample / "truth", plan)
            log.info("%-20s %s", track_id, verdicts[track_id])
        for doubt in read_manifest(folder).get("doubts", ()):
            log.info("    %s", doubt)
    log.info("%-20s %s", "in total", total([*verdicts.values()]))
    mixed = [track_id for track_id, verdict in verdicts.items() if verdict.right < 0.99 * verdict.faces]
    log.info("tracks with less than 99 %% right: %s", ", ".join(mixed) or "none")


if __name__ == "__main__":
    main()

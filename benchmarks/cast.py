"""Who is who in films composed of clips: how often a track shows the right person, over cuts, pans and other light.

    python benchmarks/cast.py path/to/clips --store /tmp/cast --films 24 --seed 5 --skip a-clip-with-cuts.mov

The people of a clip are its tracks, so the clips must be ones in which these are right; `--same` names tracks of
several clips that show one person. A row is right if its face is the one that its track shows most, and wrong if it is
another's or nobody's.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from films import EFFECTS, Clip, Shot, compose, otherwise_lit, read_clips, write_film

from data.extraction.assembly import frames_with_faces
from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search
from data.store.embeddings import read_embeddings
from data.store.shards import parquet_files, read_manifest
from data.tracks import identity
from data.tracks.fragments import difference, link

log = logging.getLogger("cast")

Place = tuple[float, float, float, float]
People = Mapping[str, Mapping[int, Place]]
"""The box of each person in each frame: x, y, w, h."""


@dataclass(frozen=True, eq=False)
class Stretch:
    name: str
    shot: int
    embedding_E: np.ndarray
    look_L: np.ndarray


def extract(video: Path, store: Path, search: Search) -> Path:
    return extract_video(video, store, search, Casting(), device="cpu", decoder="pyav", threads=1)


def tracks_of(folder: Path) -> dict[str, dict[int, Place]]:
    tracks = {}
    for file in parquet_files(folder):
        table = pq.read_table(file, columns=["frame_index", "box"], partitioning=None).to_pylist()
        tracks[file.stem] = {row["frame_index"]: tuple(row["box"].values()) for row in table if row["box"]}
    return tracks


def person_at(shot: Shot, number: int, box: Place, people: People) -> str | None:
    """Who is at a box of a shot's frame."""
    x, y, w, h = box
    for name, places in people.items():
        if (place := places.get(shot.first + number)) is not None:
            centre = shot.place(number, place[0] + place[2] / 2, place[1] + place[3] / 2)
            if abs(centre[0] - x - w / 2) < w / 2 and abs(centre[1] - y - h / 2) < h / 2:
                return name
    return None


def judge(shots: Sequence[Shot], folder: Path, people: Mapping[Path, People]) -> tuple[Counter[str], list[str]]:
    """Counts of a film, and a line for each track that shows more than one person."""
    where = [(shot, number) for shot in shots for number in range(len(shot.views))]
    counts: Counter[str] = Counter(films=1)
    shown, lines = set[str](), []
    for track_id, places in tracks_of(folder).items():
        names = [str(person_at(*where[frame], box, people[where[frame][0].clip.path])) for frame, box in places.items()]
        if not names:
            continue
        ((most, right),) = Counter(names).most_common(1)
        counts.update(tracks=1, rows=len(names), wrong=len(names) - right, again=most in shown)
        shown.add(most)
        if right < len(names):
            lines.append(f"{folder.name} {track_id}: {dict(Counter(names))}")
    counts["people"] = len(shown - {"None"})
    counts["doubts"] = len(read_manifest(folder)["doubts"])
    return counts, lines


def stretches_of(shots: Sequence[Shot], folder: Path, store: Path, people: Mapping[Path, People]) -> list[Stretch]:
    """Those of a film that have enough faces to tell who it is."""
    where = [(shot, number) for shot in shots for number in range(len(shot.views))]
    manifest = read_manifest(folder)
    found = store / "detections" / manifest["detections"]
    known = read_embeddings(found) or {}
    stretches = []
    for fragment in link(frames_with_faces(parquet_files(found)), manifest["cuts"]):
        names: Counter[str] = Counter()
        for face in fragment.faces:
            shot, number = where[face.frame_index]
            box = (face.x_px - face.w_px / 2, face.y_px - face.h_px / 2, face.w_px, face.h_px)
            names[str(person_at(shot, number, box, people[shot.clip.path]))] += 1
        if embeddings := identity.of_fragment(fragment, known):
            at = bisect_right(manifest["cuts"], fragment.faces[0].frame_index)
            stretches.append(Stretch(names.most_common(1)[0][0], at, np.mean(embeddings, 0), fragment.summed_look()))
    return stretches


def distances(stretches: Sequence[Stretch]) -> tuple[list[float], list[float]]:
    """Of pairs of stretches of different shots: the same person, and different people."""
    same: list[float] = []
    different: list[float] = []
    for one, other in combinations(stretches, 2):
        if one.shot != other.shot and "None" not in (one.name, other.name):
            look = float(difference(one.look_L[None], other.look_L[None])[0, 0])
            distance = float(np.linalg.norm(one.embedding_E - other.embedding_E)) + identity.LOOK_WEIGHT * look
            (same if one.name == other.name else different).append(distance)
    return same, different


def plot(path: Path, same: Sequence[float], different: Sequence[float]) -> None:
    figure, axes = plt.subplots(figsize=(7, 3))
    bins = np.linspace(0, 1.4, 57).tolist()
    axes.hist(same, bins, alpha=0.7, density=True, label=f"same person ({len(same)} pairs)")
    axes.hist(different, bins, alpha=0.7, density=True, label=f"different people ({len(different)} pairs)")
    for limit, text in ((identity.SAME, "joined"), (identity.OTHER, "doubt")):
        axes.axvline(limit, color="black", linewidth=1)
        axes.text(limit - 0.01, axes.get_ylim()[1] * 0.95, text, ha="right", va="top", fontsize=9)
    axes.set_xlabel("distance of mean embeddings + 0.3 x difference of colours, between stretches of different shots")
    axes.set_yticks([])
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def known_people(clips: Sequence[Clip], store: Path, same: Sequence[str]) -> dict[Path, People]:
    one_name = {name: group.split(",")[0] for group in same for name in group.split(",")}
    people: dict[Path, People] = {}
    for clip in clips:
        tracks = tracks_of(extract(clip.path, store, Search(identity=False)))
        people[clip.path] = {one_name.get(name, name): places for name, places in tracks.items()}
    return people


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--skip", nargs="*", default=[], help="clips that have cuts themselves")
    parser.add_argument("--same", nargs="*", default=[], help="tracks of one person, such as a_person1,b")
    parser.add_argument("--plot", type=Path, help="picture of the distances to write")
    given = parser.parse_args()
    same, different = list[float](), list[float]()
    torch.set_num_threads(1)
    clips = read_clips(given.clips, given.skip)
    people = known_people(clips, given.store, given.same)
    total: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for film in range(given.films):
        shots = compose(clips, random.Random(given.seed * 1000 + film), (*EFFECTS, otherwise_lit))
        video = given.store / "films" / f"{given.seed}-{film:03d}.mp4"
        video.parent.mkdir(parents=True, exist_ok=True)
        if not video.exists():
            write_film(video, shots)
        for by_face, counts in total.items():
            folder = extract(video, given.store, Search(identity=by_face))
            found, lines = judge(shots, folder, people)
            if by_face:
                for pairs, of_film in zip(
                    (same, different), distances(stretches_of(shots, folder, given.store, people)), strict=True
                ):
                    pairs += of_film
            counts.update(found)
            for line in lines:
                log.info("  identity %s: %s", by_face, line)
    for by_face, counts in total.items():
        log.info("identity %s: %s", by_face, dict(counts))
    if given.plot:
        plot(given.plot, same, different)


if __name__ == "__main__":
    main()

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
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from films import EFFECTS, Clip, Shot, compose, otherwise_lit, read_clips, write_film

from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search
from data.store.shards import parquet_files, read_manifest

log = logging.getLogger("cast")

Place = tuple[float, float, float, float]
People = Mapping[str, Mapping[int, Place]]
"""The box of each person in each frame: x, y, w, h."""


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
    given = parser.parse_args()
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
        for identity, counts in total.items():
            found, lines = judge(shots, extract(video, given.store, Search(identity=identity)), people)
            counts.update(found)
            for line in lines:
                log.info("  identity %s: %s", identity, line)
    for identity, counts in total.items():
        log.info("identity %s: %s", identity, dict(counts))


if __name__ == "__main__":
    main()

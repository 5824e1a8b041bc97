"""The cost of searching less: faces found and positions of their landmarks, against a full pass over every frame.

    python benchmarks/search.py path/to/clips --every 3 5 10

prints for every video of a folder, and for all of them, how many faces of the full search are found, how many others
are found, how many are interpolated, how far landmarks are from those of the full search (mean of the five; px of the
frame, px of the 112 px crop, percent of the distance between the eyes), and how they jitter (second difference over
three frames). `adaptive` is every frame at a size that follows the faces; `every k` uses that too, unless
`--full-size`.

    python benchmarks/search.py path/to/clips --sizes

prints how many faces of the full search a smaller detection pass finds, and how far its landmarks are from their mean
over the passes at all other sizes, by the size of the face in the pass (shorter side of its box).
"""

from __future__ import annotations

import argparse
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from data.extraction.detections import PART_FRAMES, window_frames
from data.extraction.interpolation import pairs
from data.extraction.search import Seen, search_frames
from data.extraction.settings import Search
from data.faces.crops import alignments
from data.faces.detector import FaceDetector, Faces
from data.schema import Status
from data.video.frames import probe, read_frames

log = logging.getLogger("benchmark")
_SUFFIXES = {".mp4", ".mkv", ".mov", ".avi", ".webm"}


@dataclass
class Figures:
    """Of one way of searching, over one video or several."""

    num_faces: int = 0
    missed: int = 0
    others: int = 0
    interpolated: int = 0
    px: list[float] = field(default_factory=list)
    crop_px: list[float] = field(default_factory=list)
    eyes: list[float] = field(default_factory=list)
    jitter: list[float] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def __str__(self) -> str:
        def both(values: list[float], digits: int) -> str:
            low, high = np.percentile(values or [0], [50, 95])
            return f"{low:.{digits}f}/{high:.{digits}f}"

        counts = f"{self.num_faces:5d} {self.missed:5d} {self.others:5d} {self.interpolated:5d}"
        errors = (
            f"{both(self.px, 2):>11} {both(self.crop_px, 2):>11} {both(self.eyes, 1):>10} {both(self.jitter, 1):>10}"
        )
        return f"{counts} {errors}"


HEADER = f"{'':34} faces  miss other inter          px     crop px     % eyes     jitter"


def search(video: Path, *, every: int, adaptive: bool, pool: ThreadPoolExecutor) -> list[Seen]:
    config = Search(detect_every=every, adaptive_size=adaptive)
    detector = FaceDetector(device="cpu", min_score=config.min_score, detection_size=config.detection_size)
    facts = probe(video)
    window = window_frames(facts.width_px, facts.height_px, at_least=every)
    chunks = read_frames(video, device="cpu", decoder="pyav", chunk=window)
    return [
        seen
        for _, of_chunk in search_frames(chunks, detector, config, part_frames=PART_FRAMES, pool=pool)
        for seen in of_chunk
    ]


def compare(exact: list[Seen], found: list[Seen], *, only_interpolated: bool) -> Figures:
    figures = Figures(jitter=jitter([seen.faces for seen in found]))
    for one, other in zip(exact, found, strict=True):
        partner_F = pairs(one.faces.boxes_F4, other.faces.boxes_F4)
        figures.num_faces += len(partner_F)
        figures.missed += int((partner_F < 0).sum())
        figures.others += len(other.faces.scores_F) - int((partner_F >= 0).sum())
        is_interpolated = other.status == Status.INTERPOLATED
        figures.interpolated += is_interpolated * len(other.faces.scores_F)
        if (partner_F >= 0).any() and (is_interpolated or not only_interpolated):
            true_F52 = one.faces.landmarks_F52[partner_F >= 0]
            px_F = np.linalg.norm(true_F52 - other.faces.landmarks_F52[partner_F[partner_F >= 0]], axis=2).mean(1)
            figures.px += px_F.tolist()
            figures.crop_px += (px_F * np.sqrt(np.linalg.det(alignments(true_F52)[:, :, :2]))).tolist()
            figures.eyes += (100 * px_F / eyes_px(true_F52)).tolist()
    return figures


def eyes_px(landmarks_F52: np.ndarray) -> np.ndarray:
    """Distance between the eyes; for a face in profile at least the distance of eyes and mouth."""
    eyes_F, mouth_F = (landmarks_F52[:, at : at + 2] for at in (0, 3))
    across_F = np.linalg.norm(eyes_F[:, 0] - eyes_F[:, 1], axis=1)
    distance_F: np.ndarray = np.maximum(across_F, np.linalg.norm(eyes_F.mean(1) - mouth_F.mean(1), axis=1))
    return distance_F


def jitter(frames: list[Faces]) -> list[float]:
    """Mean length of the second difference of a face over three frames, in percent of the distance of its eyes."""
    values: list[float] = []
    for before, now, after in zip(frames, frames[1:], frames[2:], strict=False):
        first_F, last_F = pairs(now.boxes_F4, before.boxes_F4), pairs(now.boxes_F4, after.boxes_F4)
        both_F = (first_F >= 0) & (last_F >= 0)
        middle_F52 = now.landmarks_F52[both_F]
        second_F52 = before.landmarks_F52[first_F[both_F]] - 2 * middle_F52 + after.landmarks_F52[last_F[both_F]]
        values += (100 * np.linalg.norm(second_F52, axis=2).mean(1) / eyes_px(middle_F52)).tolist()
    return values


_LOOKS_PX = (640, 560, 480, 400, 320, 240, 160)
_BOUNDS_PX = (10, 20, 30, 40, 50, 60, 80, 110, 160, 640)
_BELIEVED_PX = 30
"""A look sees a face of this size well enough to be believed about where it is."""


def compare_sizes(videos: list[Path]) -> None:
    """Looks at every fifth frame in all sizes."""
    detector = FaceDetector(device="cpu", min_score=0.7, detection_size=_LOOKS_PX[0])
    rows: list[tuple[float, bool, float]] = []
    for video in videos:
        for chunk in read_frames(video, device="cpu", decoder="pyav", chunk=10):
            for frame_HWC in chunk.frames_HWC[::5]:
                looks = [
                    detector.look([frame_HWC], px, small_faces=px == _LOOKS_PX[0])[0]  # as a search does
                    for px in _LOOKS_PX
                ]
                rows += _by_size(looks, max(frame_HWC.shape))
    px_R, found_R, error_R = (np.array(column) for column in zip(*rows, strict=True))
    log.info("face in the look, px   faces   found   % eyes from the others' mean: median/95 %%")
    for low, high in pairwise(_BOUNDS_PX):
        here_R = (px_R >= low) & (px_R < high)
        median, most = np.nanpercentile(error_R[here_R], [50, 95])
        log.info(
            "%8d to %-8d %10d  %5.1f%%   %.1f/%.1f", low, high, here_R.sum(), 100 * found_R[here_R].mean(), median, most
        )


def _by_size(looks: list[Faces], longer_px: int) -> list[tuple[float, bool, float]]:
    """Of each face of the full look and each smaller look: the face's size in it, if it is found, and its error."""
    full, rows = looks[0], []
    partners = [pairs(full.boxes_F4, look.boxes_F4) for look in looks]
    for number, landmarks_52 in enumerate(full.landmarks_F52):
        found = {
            at: looks[at].landmarks_F52[of_look[number]] for at, of_look in enumerate(partners) if of_look[number] >= 0
        }
        sizes_px = [float(full.boxes_F4[number, 2:].min()) * px / longer_px for px in _LOOKS_PX]
        for at, size_px in enumerate(sizes_px):
            others = [other_52 for other, other_52 in found.items() if other != at and sizes_px[other] >= _BELIEVED_PX]
            error = np.nan
            if at in found and len(others) >= 3:
                off_px = np.linalg.norm(found[at] - np.mean(others, axis=0), axis=1).mean()
                error = 100 * off_px / eyes_px(landmarks_52[None])[0]
            rows.append((size_px, at in found, error))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--every", type=int, nargs="*", default=[3, 5, 10])
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--sizes", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    videos = sorted(path for path in arguments.clips.iterdir() if path.suffix in _SUFFIXES)
    if arguments.sizes:
        compare_sizes(videos)
        return
    ways = {"adaptive": (1, True), **{f"every {every}": (every, not arguments.full_size) for every in arguments.every}}
    totals = {way: Figures() for way in ("full", *ways)}
    log.info(HEADER)
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for video in videos:
            exact = search(video, every=1, adaptive=False, pool=pool)
            totals["full"].add(compare(exact, exact, only_interpolated=False))
            for way, (every, adaptive) in ways.items():
                found = search(video, every=every, adaptive=adaptive, pool=pool)
                figures = compare(exact, found, only_interpolated=every > 1)
                totals[way].add(figures)
                log.info("%-24.24s %-9s %s", video.stem, way, figures)
    for way, figures in totals.items():
        log.info("%-24s %-9s %s", "all", way, figures)


if __name__ == "__main__":
    main()

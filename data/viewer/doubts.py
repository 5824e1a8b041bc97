"""The frames that a doubt about a person concerns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.warehouse.quality_rows import VideoKind, video_rows


@dataclass(frozen=True)
class Doubt:
    """What may be wrong with the person of a track."""

    text: str
    frames: Sequence[tuple[int, int]] = ()
    """First frames, and the frames after the last ones; none if it concerns the whole track."""


def doubts_of(manifest: Mapping[str, Any]) -> dict[str, list[Doubt]]:
    """The doubts in the manifest of a faces folder, by track."""
    found: dict[str, list[Doubt]] = {}
    for row in video_rows(manifest):
        if row["kind"] == VideoKind.DOUBTFUL_PERSON:
            tracks: Iterable[str] = [row["track_id"]] if row["track_id"] else [n[:-8] for n in manifest["files"]]
            for track_id in tracks:
                found.setdefault(track_id, []).append(Doubt(row["note"], tuple(_frames(row["note"]))))
    return found


def _frames(text: str) -> Iterable[tuple[int, int]]:
    """`frames 3 to 8 and 20 to 31` gives (3, 9) and (20, 32)."""
    for stretches in re.findall(r"frames (\d+ to \d+(?: and \d+ to \d+)*)", text):
        for first, last in re.findall(r"(\d+) to (\d+)", stretches):
            yield int(first), int(last) + 1

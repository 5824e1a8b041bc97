"""Extraction with small, quick settings that a test changes by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from data.extraction.extract import extract_video
from data.extraction.settings import Casting, Search
from data.tracks.hints import Hint


def extract(
    video: Path,
    store: Path,
    track_ids: Sequence[str] | None = None,
    *,
    hints: Mapping[str, Hint] | None = None,
    fill_gaps_s: float = 0.0,
    decoder: Literal["auto", "pyav", "dali"] = "auto",
    progress: Callable[[int], None] | None = None,
    **search: Any,
) -> Path:
    """Extracts a video on one thread of the CPU; `search` are fields of `Search`."""
    return extract_video(
        video,
        store,
        Search(**{"detection_size": 320, **search}),
        Casting(track_ids=track_ids, hints=hints or {}, fill_gaps_s=fill_gaps_s),
        device="cpu",
        decoder=decoder,
        threads=1,
        progress=progress,
    )

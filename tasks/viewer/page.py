"""Renders the page that shows a video, and its data. The page opens from a disk: no server, no network.

A browser does not let a page read files beside it, but runs scripts there; so the data is a script too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray

from data.labels import ACTION_UNIT_NAMES, ALL_ACTION_UNITS, ALL_EXPRESSIONS, action_unit_column
from data.viewer.columns import STATUSES, Track
from data.viewer.doubts import Doubt
from tasks.viewer.encoding import CHOICE, code_of, encoded, encoded_times

FOLDER = Path(__file__).parent
SCRIPTS = ("columns.js", "frames.js", "stage.js", "panels.js", "timelines.js", "jumps.js", "page.js")


@dataclass(frozen=True)
class Model:
    version: int
    system: str

    def __str__(self) -> str:
        return f"v{self.version} ({self.system})"


@dataclass(frozen=True)
class ViewFacts:
    """The content of the page."""

    video_id: str
    dataset: str
    file: str
    """Name of the video beside the page."""
    first_frame_s: float
    """When the file shows its first frame."""
    width_px: int
    """Size of the picture that boxes and landmarks are placed in."""
    height_px: int
    times_s_F: NDArray[np.float64]
    tracks: Sequence[Track]
    model: Model | None = None
    other: Model | None = None
    is_synthetic: bool = False
    track_id: str | None = None
    """The track to show first."""
    subjects: Mapping[str, str | None] = field(default_factory=dict)
    doubts: Mapping[str, Sequence[Doubt]] = field(default_factory=dict)


def render_page(facts: ViewFacts) -> str:
    """The page as HTML."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    sources = {"style": _text("page.css"), "scripts": [_text(name) for name in SCRIPTS]}
    return environment.from_string(_text("page.html")).render(facts=facts, **sources)


def render_data(facts: ViewFacts) -> str:
    """The data as a script that assigns it."""
    content = {
        "video_id": facts.video_id,
        "dataset": facts.dataset,
        "file": facts.file,
        "first_frame_s": facts.first_frame_s,
        "width_px": facts.width_px,
        "height_px": facts.height_px,
        "model": _model(facts.model),
        "other": _model(facts.other),
        "track_id": facts.track_id,
        "statuses": [status.value for status in STATUSES],
        "expressions": list(ALL_EXPRESSIONS),
        "units": [
            {"name": action_unit_column(unit), "title": f"AU{unit} {ACTION_UNIT_NAMES[unit]}"}
            for unit in ALL_ACTION_UNITS
        ],
        "times": encoded_times(facts.times_s_F),
        "tracks": [_track(track, facts) for track in facts.tracks],
    }
    return f"window.VIEW = {json.dumps(content)};\n"


def _text(name: str) -> str:
    return (FOLDER / name).read_text()


def _model(model: Model | None) -> dict[str, Any] | None:
    return None if model is None else {"version": model.version, "system": model.system, "title": str(model)}


def _track(track: Track, facts: ViewFacts) -> dict[str, Any]:
    columns = {name: encoded(values_F, code_of(name)) for name, values_F in track.columns_F.items()}
    return {
        "track_id": track.track_id,
        "subject": facts.subjects.get(track.track_id),
        "doubts": [{"text": doubt.text, "frames": doubt.frames} for doubt in facts.doubts.get(track.track_id, ())],
        "columns": {"status": encoded(track.status_F, CHOICE), **columns},
    }

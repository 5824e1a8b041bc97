"""Renders the quality report of a data set as one self-contained HTML page: no scripts, other files or network."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment

from data.annotations.findings import Kind
from data.annotations.splits import Overlap
from data.batches.face_samples import SampleFace
from data.labels import Task
from data.store.catalogue import FailedVideo
from data.warehouse.quality_rows import Row, VideoKind
from tasks.quality.queries import MEANINGS, SECTIONS, WORTH_A_LOOK, Scope, command_of, in_words, is_listable, query_of

TEMPLATE = Path(__file__).with_name("page.html")
COLUMNS: tuple[Task | None, ...] = (None, *Task)
Counts = Mapping[tuple[str | None, str], int]
"""Counts by task and kind."""


@dataclass(frozen=True)
class TrackFacts:
    """The facts shown for a track besides its counts."""

    track_id: str
    split: str = ""
    person: str = ""
    """Why the person is the track's."""
    faces: Sequence[SampleFace] = ()


ANSWERS_OF_SYNTHETIC = "its answers for real faces mean little; train on Aff-Wild2 and predict with that model"


@dataclass(frozen=True)
class PageFacts:
    """The content of the page."""

    scope: Scope
    root: str
    num_videos: int
    tracks: Sequence[TrackFacts]
    rows: Sequence[Row]
    failed: Sequence[FailedVideo] = ()
    is_synthetic: bool = False
    splits: str = ""
    evidence: Sequence[str] = ()
    overlaps: Sequence[Overlap] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """PNG, by title."""
    synthetic_models: Sequence[int] = ()
    """Versions that were trained on rendered heads only and answered for these videos, which are real."""
    doubt_faces: Mapping[str, Sequence[SampleFace]] = field(default_factory=dict)
    """The faces of the people that a doubt names, by its text."""
    num_not_shown: int = 0
    """Tracks without sample faces."""


@dataclass(frozen=True)
class Total:
    """A row of the table of totals."""

    kind: str
    words: str
    meaning: str
    is_worth_a_look: bool
    is_listable: bool
    cells: Sequence[int | None]
    num_tracks: int
    commands: Sequence[tuple[str, str]]
    """For each task, or for all: the command that lists the counted items."""

    @property
    def counts(self) -> dict[str, int]:
        """Counts of the tasks that have any."""
        return {task or "": count for task, count in zip(COLUMNS, self.cells, strict=True) if count is not None}


@dataclass(frozen=True)
class TrackRow:
    track_id: str
    split: str
    cells: Sequence[int]


def total_counts(rows: Sequence[Row]) -> dict[tuple[str | None, str], int]:
    """Counts over all tracks and files; of `longest_gap_frames` the longest."""
    sums: dict[tuple[str | None, str], int] = {}
    for row in rows:
        key = (row["task"], row["kind"])
        join = max if row["kind"] == Kind.LONGEST_GAP_FRAMES else int.__add__
        sums[key] = join(sums.get(key, 0), row["count"])
    return sums


def track_counts(rows: Sequence[Row]) -> dict[str, Counter[tuple[str | None, str]]]:
    """Counts of each track, over its files."""
    counts: dict[str, Counter[tuple[str | None, str]]] = defaultdict(Counter)
    for row in rows:
        if row["track_id"] is not None:
            counts[row["track_id"]][row["task"], row["kind"]] += row["count"]
    return counts


def totals(facts: PageFacts) -> dict[str, list[Total]]:
    """The kinds that were found, section by section."""
    sums, tracks = total_counts(facts.rows), defaultdict(set)
    for row in facts.rows:
        tracks[row["kind"]].add(row["track_id"])
    sections = {
        title: [_total(kind, sums, len(tracks[kind] - {None}), facts) for kind in kinds if kind in tracks]
        for title, kinds in SECTIONS.items()
    }
    return {title: found for title, found in sections.items() if found}


def _total(kind: str, sums: Counts, num_tracks: int, facts: PageFacts) -> Total:
    tasks = [task for task in COLUMNS if (task, kind) in sums]
    return Total(
        kind=kind,
        words=in_words(kind),
        meaning=MEANINGS[kind],
        is_worth_a_look=kind in WORTH_A_LOOK,
        is_listable=is_listable(kind),
        cells=[sums.get((task, kind)) for task in COLUMNS],
        num_tracks=num_tracks,
        commands=[(task or "", command_of(query_of(kind, task, facts.scope))) for task in tasks],
    )


def track_columns(rows: Sequence[Row]) -> dict[str, list[Task | None]]:
    """The kinds that some track has, with the tasks that have them."""
    present = {(row["task"], row["kind"]) for row in rows if row["track_id"] is not None}
    columns = {kind: [task for task in COLUMNS if (task, kind) in present] for kind in MEANINGS}
    return {kind: tasks for kind, tasks in columns.items() if tasks}


def track_rows(facts: PageFacts) -> list[TrackRow]:
    """A row for each track: its count in each of `track_columns`."""
    counts, columns = track_counts(facts.rows), track_columns(facts.rows)
    return [
        TrackRow(
            track.track_id,
            track.split,
            [counts[track.track_id][task, kind] for kind, tasks in columns.items() for task in tasks],
        )
        for track in facts.tracks
    ]


def doubts(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The doubts about the person of each track."""
    notes = defaultdict(list)
    for row in rows:
        if row["kind"] == VideoKind.DOUBTFUL_PERSON:
            notes[row["track_id"] or ""].append(row["note"])
    return notes


def describe_choice(choice: Mapping[str, Any] | None) -> str:
    """Why a person is a track's, as the manifest of its faces has it."""
    if not choice:
        return ""
    margins = [
        f"{name.replace('_', ' ')} {choice[name]:.2f}"
        for name in ("prominence_margin", "side_margin")
        if choice.get(name) is not None
    ]
    return ", ".join([choice["rule"].replace("_", " "), *margins])


def render(facts: PageFacts, mark: str = "") -> str:
    """The page as HTML.

    Args:
        facts: Its content.
        mark: Stored in its head, to recognise an up-to-date page.
    """
    sections = totals(facts)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"base64": lambda content: base64.b64encode(content).decode(), "number": _number}
    return environment.from_string(TEMPLATE.read_text()).render(
        facts=facts,
        answers_of_synthetic=ANSWERS_OF_SYNTHETIC,
        mark=mark,
        frames=total_counts(facts.rows).get((None, Kind.FRAMES), 0),
        sections=sections,
        worth=[total for found in sections.values() for total in found if total.is_worth_a_look],
        columns=track_columns(facts.rows),
        words=in_words,
        meanings=MEANINGS,
        track_rows=track_rows(facts),
        doubts=doubts(facts.rows),
        tasks=[task.value for task in Task] if facts.scope.edition else [],
    )


def totals_markdown(dataset: str, page: Path, rows: Sequence[Row]) -> str:
    """The totals as Markdown, with findings worth checking in bold, and the path of the page."""
    sums = total_counts(rows)
    present = {kind for _, kind in sums}
    lines = [
        f"| {f'**{in_words(kind)}**' if kind in WORTH_A_LOOK else in_words(kind)} | "
        + " | ".join(_number(sums.get((task, kind))) for task in COLUMNS)
        + f" | {meaning} |"
        for kind, meaning in MEANINGS.items()
        if kind in present
    ]
    heading = f"| kind | count | {' | '.join(Task)} | meaning |"
    where = f"The page with all tracks, pictures, faces and the SQL behind each count: `{page.resolve()}`"
    failed = [f"- **failed**: `{row['file']}`: {row['note']}" for row in rows if row["kind"] == VideoKind.FAILED_VIDEO]
    lines = [heading, "|---|--:|--:|--:|--:|---|", *lines]
    return "\n".join([f"## Quality of {dataset}", "", where, "", *failed, *([""] if failed else []), *lines])


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"

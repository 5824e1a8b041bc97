"""Settings of the extraction: how faces are found, and how they become tracks. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from data.settings import Settings
from data.tracks.hints import Hint

IDENTITY_VERSION = 1
"""Part of the digest: raised when the same detections give other cuts, chips or people than before."""


class Search(Settings):
    """Which faces are found in a video, and how their crops are stored."""

    min_score: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """A detection counts as a face from this score on, in (0, 1)."""
    detection_size: Annotated[int, Field(ge=160, le=4096)] = 640
    """Longer side, in px, to which a frame is resized for the detector; crops are cut from the full frame."""
    adaptive_size: bool = True
    """Searches frames that show only large faces at a smaller size. At least every 25th frame is searched at full
    size; if that finds other faces, the frames before it are searched again in full (docs/benchmarks.md)."""
    detect_every: Annotated[int, Field(ge=1, le=25)] = 1
    """Searches every k-th frame. Where two searched frames agree, the faces between them are interpolated, cut from
    their own pixels and marked `interpolated`; where they do not, the frames between are searched too. Holds at least
    k frames in memory."""
    jpeg_quality: Annotated[int, Field(ge=50, le=100)] = 95
    """JPEG quality of the stored crops, on libjpeg's scale."""
    identity: bool = True
    """Recognises people by their faces, over cuts and absences; otherwise only by place and colours
    (docs/people.md)."""

    @property
    def key(self) -> dict[str, Any]:
        """Everything that the detections depend on; without identity, as before there was any."""
        settings = self.model_dump(exclude={"identity"})
        return {**settings, "identity": IDENTITY_VERSION} if self.identity else settings


@dataclass(frozen=True, kw_only=True)
class Casting:
    """How the detections of a video become tracks."""

    track_ids: Sequence[str] | None = None
    """The annotated tracks of the video; None: one track for each person found."""
    hints: Mapping[str, Hint] = field(default_factory=dict)
    """Which person belongs to a track, by track. Hints for tracks of other videos are ignored."""
    fill_gaps_s: float = 0.0
    """Fills gaps of at most this many seconds between two faces of a person with interpolated faces, where the person
    did not move far. They are cut from their own frame's pixels and marked `interpolated`. 0 fills none."""

    @property
    def own_hints(self) -> dict[str, Hint]:
        return {track_id: hint for track_id, hint in self.hints.items() if track_id in (self.track_ids or ())}

    @property
    def key(self) -> list[Any]:
        """Everything that the result depends on."""
        tracks = None if self.track_ids is None else sorted(self.track_ids)
        return [tracks, {track_id: hint.key for track_id, hint in self.own_hints.items()}, self.fill_gaps_s]

"""The scores of a model version on a split of a data set, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from data.annotations.splits import recording_of
from data.labels import Split
from model.scores.intervals import Interval, intervals, official_sum
from model.scores.tallies import Tallies, scores_by
from tasks.tracking.registry import Version

Scores = dict[str, float]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of a model version on a split of a data set, and those of a constant guess.

    `scores` are the official ones, pooled over all frames; `batch_averaged` is the paper's way. `videos` holds the
    statistics behind the scores and intervals of each video.
    """

    model: Version
    dataset: str
    data_digest: str
    split: Split
    num_frames: int
    scores: Scores
    batch_averaged: Scores
    constant_guess: Scores
    videos: Tallies
    leaking_videos: int = 0
    """Number of videos that trained one of the model's tasks and are held out by another."""

    @property
    def total(self) -> float:
        """The official scores that there are, added up."""
        return official_sum(self.scores)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % interval of each score, by bootstrap over videos; none with only one video."""
        return intervals(self.videos)

    @cached_property
    def by_video(self) -> dict[str, Scores]:
        return scores_by(self.videos, self.videos.groups)

    @cached_property
    def by_subject(self) -> dict[str, Scores]:
        """Scores by recording: all videos of the same people."""
        return scores_by(self.videos, [recording_of(video_id) for video_id in self.videos.groups])

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `data.warehouse.views.SCORES`, without what names the run."""
        rows: list[dict[str, Any]] = [
            {
                "kind": "pooled",
                "scope": "all",
                "metric": name,
                "value": value,
                "low": self.intervals[name].low if name in self.intervals else None,
                "high": self.intervals[name].high if name in self.intervals else None,
            }
            for name, value in self.scores.items()
        ]
        others = {"batch_averaged": self.batch_averaged, "constant_guess": self.constant_guess}
        for kind, found in others.items():
            of_kind = {"kind": kind, "scope": "all"}
            rows += [{**of_kind, "metric": name.removeprefix(f"{kind}_"), "value": found[name]} for name in found]
        for video_id, found in self.by_video.items():
            of_video = {"kind": "pooled", "scope": "video", "video_id": video_id, "subject": recording_of(video_id)}
            rows += [{**of_video, "metric": name, "value": value} for name, value in found.items()]
        for subject, found in self.by_subject.items():
            of_subject = {"kind": "pooled", "scope": "subject", "subject": subject}
            rows += [{**of_subject, "metric": name, "value": value} for name, value in found.items()]
        return rows

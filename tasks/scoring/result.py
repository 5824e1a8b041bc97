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
    """The scores of a model version on a split of a data set, and the scores of a constant guess.

    `scores` are pooled over all frames, as in the challenge; `batch_averaged` are averaged over batches, as in the
    paper. `videos` holds the statistics of each video, from which scores and intervals are computed.
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
    """Number of videos on which one of the model's tasks was trained although another task holds them out."""
    corruption: str = ""
    """How the model's training labels were made wrong or withheld, if they were."""

    @property
    def total(self) -> float:
        """The sum of the official scores; tasks without labels have none."""
        return official_sum(self.scores)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % interval of each score, by bootstrap over videos, or over people where they are known; empty if
        there is only one.
        """
        return intervals(self.videos)

    @cached_property
    def by_video(self) -> dict[str, Scores]:
        return scores_by(self.videos, self.videos.groups)

    @cached_property
    def by_subject(self) -> dict[str, Scores]:
        """Scores by recording, or group of recordings in which the same people were recognised."""
        return scores_by(self.videos, [self.subject_of[video_id] for video_id in self.videos.groups])

    @cached_property
    def subject_of(self) -> dict[str, str]:
        """The recording of each video, or the first recording of its group."""
        videos = self.videos.groups
        return dict(zip(videos, self.videos.people or map(recording_of, videos), strict=True))

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `data.warehouse.views.SCORES`, without the columns that identify the run."""
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
            of_video = {"kind": "pooled", "scope": "video", "video_id": video_id, "subject": self.subject_of[video_id]}
            rows += [{**of_video, "metric": name, "value": value} for name, value in found.items()]
        for subject, found in self.by_subject.items():
            of_subject = {"kind": "pooled", "scope": "subject", "subject": subject}
            rows += [{**of_subject, "metric": name, "value": value} for name, value in found.items()]
        return rows

"""Videos that failed: the reasons, and how a flow ends that completed the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data.store.catalogue import Dataset
from tasks.progress import log

_SHOWN = 20


class FailedVideosError(ValueError):
    """Some videos of a data set failed; the others are complete."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self.dataset = dataset

    def __str__(self) -> str:
        name, num_videos = self.dataset.name, len(self.dataset.videos)
        others = "one is" if num_videos == 1 else f"{num_videos} are"
        return (
            f"{failures({video.path: video.reason for video in self.dataset.failed}, num_videos)} "
            f"The other {others} in the data set {name}, its report and SQL, "
            "and will not be redone. Fix or remove the failed videos, then run the command again"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def reason_of(path: Path, error: object) -> str:
    """Why a video failed, without its path."""
    if isinstance(error, OSError) and error.strerror:
        return f"reading it failed: {error.strerror}; make it readable or remove it"
    if isinstance(error, ValueError | OSError):
        return str(error).removeprefix(f"{path}: ")
    return f"{type(error).__name__}: {error}"  # unexpected, so its type helps


def failures(reasons: Mapping[str, str], num_others: int) -> str:
    """One sentence: how many videos failed, and the reasons of the first ones, which come by path."""
    shown = [f"{path}: {reason}" for path, reason in list(reasons.items())[:_SHOWN]]
    rest = [f"and {len(reasons) - _SHOWN} more"] if len(reasons) > _SHOWN else []
    num_videos = len(reasons) + num_others
    return f"{len(reasons)} of {num_videos} video{'s'[: num_videos > 1]} failed: {'; '.join(shown + rest)}."


def refuse_failed(dataset: Dataset) -> None:
    """Fails a flow that has completed all other videos.

    Raises:
        FailedVideosError: Some videos failed.
    """
    if dataset.failed:
        raise FailedVideosError(dataset)


def warn_of_failed(dataset: Dataset) -> None:
    """Warns at the end of a flow that succeeds without the failed videos."""
    if dataset.failed:
        log.warning("some videos are missing from this result: %s", FailedVideosError(dataset))

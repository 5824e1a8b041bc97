"""Videos that failed: why, and how a flow ends that went on with the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.catalogue import Dataset
from tasks.progress import log

_SHOWN = 20


class FailedVideosError(ValueError):
    """Some videos of a data set failed; all that is made of the others is there."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self.dataset = dataset

    def __str__(self) -> str:
        name, num_videos = self.dataset.name, len(self.dataset.videos)
        return (
            f"{told({video.path: video.reason for video in self.dataset.failed}, num_videos)} "
            f"The other {num_videos} are done and will not be done again: they are in the data set {name}, its report "
            "and SQL. Mend or remove what failed and run the same once more"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def reason_of(path: Path, error: object) -> str:
    """Why a video failed, without its path."""
    if isinstance(error, OSError) and error.strerror:
        return f"reading it failed: {error.strerror}; see to it that it can be read, or move it away"
    if isinstance(error, ValueError | OSError):
        return str(error).removeprefix(f"{path}: ")
    return f"{type(error).__name__}: {error}"  # nobody expected it, so its kind says something


def told(reasons: Mapping[str, str], num_others: int) -> str:
    """The videos that failed, by path, and why: the first ones in full, and how many there are."""
    shown = [f"{path}: {reason}" for path, reason in list(reasons.items())[:_SHOWN]]
    rest = [f"and {len(reasons) - _SHOWN} more"] if len(reasons) > _SHOWN else []
    return f"{len(reasons)} of {len(reasons) + num_others} videos failed: {'; '.join(shown + rest)}."


def refuse_failed(dataset: Dataset) -> None:
    """Ends a flow that has done all it could.

    Raises:
        FailedVideosError: Some videos failed.
    """
    if dataset.failed:
        raise FailedVideosError(dataset)


def tell_failed(dataset: Dataset) -> None:
    """Says at the end of a flow that goes on all the same what it went on without."""
    if dataset.failed:
        log.warning("this is without some videos: %s", FailedVideosError(dataset))

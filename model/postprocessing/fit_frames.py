"""From labelled frames and what a model says of their tracks to what can be fitted. Letters: N rows of a track."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.batches.labelled_frames import Integers, LabelledFrames
from data.labels import Task
from model.postprocessing.fitting import Arrays, TaskFrames, task_frames, value_columns

Columns = dict[str, NDArray[Any]]


def frames_to_fit(
    labelled: LabelledFrames, predicted_of: Callable[[Path], tuple[Integers, Arrays]], recording_of: Mapping[str, str]
) -> dict[Task, TaskFrames]:
    """The labelled frames of each task, with the answers for their whole tracks: smoothing looks at all of a track.

    Args:
        labelled: The frames; no others are scored.
        predicted_of: The frame index of every row of a faces file, and the answers there, before anything is fitted.
        recording_of: What each track is a part of; all its tracks are parted from the others together.
    """
    numbers = {name: number for number, name in enumerate(sorted(set(recording_of.values())))}
    said, labels, places = list[Columns](), list[Columns](), list[Columns]()
    for track_index in np.unique(labelled.track_index_N):
        file = labelled.faces_files[track_index]
        frame_index_N, predicted = predicted_of(file)
        names = [name for task in Task for name in value_columns(task, labelled.edition)]
        said.append({name: predicted[name] for name in names})
        labels.append(_labels(labelled, int(track_index), frame_index_N))
        same = {"track_index_N": int(track_index), "recording_N": numbers[recording_of[file.stem]]}
        where = {name: np.full(len(frame_index_N), value, dtype=np.int64) for name, value in same.items()}
        places.append({**where, "frame_index_N": frame_index_N})
    all_said, all_labels, all_places = (_joined(parts) for parts in (said, labels, places))
    return {task: task_frames(task, all_said, all_labels, **all_places, edition=labelled.edition) for task in Task}


def _labels(labelled: LabelledFrames, track_index: int, frame_index_N: Integers) -> Columns:
    """The labels of a track beside its rows; NaN where a row is not among the labelled frames."""
    position_F = np.flatnonzero(labelled.track_index_N == track_index)
    row_F = np.searchsorted(frame_index_N, labelled.frame_index_N[position_F])
    columns = {}
    for name, label_F in labelled.truth().items():
        columns[name] = np.full(len(frame_index_N), np.nan, dtype=np.float32)
        columns[name][row_F] = label_F[position_F]
    return columns


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

"""Which frames of which tracks can be learned from: those with a face and a label, with their labels, as arrays.

Letters: N frames, U action units.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.labels import Edition, Split, Task, action_unit_columns
from data.schema import Status
from data.store.damage import open_parquet, read_parquet

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

WITH_FACE = (Status.OK, Status.INTERPOLATED)


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """Frames in file order, with the location of each face. Missing labels are NaN.

    `track_index_N` indexes `faces_files`, one per track; `group_N` and `row_N` are the row group in the file and the
    row in the group. `extras` are what a system needs besides, by name, with a row for each frame.
    """

    edition: Edition
    faces_files: tuple[Path, ...]
    track_index_N: Integers
    frame_index_N: Integers
    group_N: Integers
    row_N: Integers
    valence_arousal_N2: Floats
    expression_N: Floats
    action_units_NU: Floats
    extras: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame_index_N)

    @property
    def track_ids(self) -> tuple[str, ...]:
        return tuple(file.stem for file in self.faces_files)

    def name(self, position: int) -> str:
        """Track and frame, for error messages."""
        return f"track {self.track_ids[self.track_index_N[position]]}, frame {self.frame_index_N[position]}"

    def take(self, position_P: Integers) -> LabelledFrames:
        """The frames at these positions, in this order."""
        arrays: dict[str, Any] = {name: getattr(self, name)[position_P] for name in _ARRAYS}
        extras = {name: values[position_P] for name, values in self.extras.items()}
        return replace(self, **arrays, extras=extras)

    def truth(self) -> dict[str, Floats]:
        """The labels as columns: `valence`, `arousal`, `expression` (class number), `au1`, ..."""
        units = zip(action_unit_columns(self.edition), self.action_units_NU.T, strict=True)
        valence_N, arousal_N = self.valence_arousal_N2.T
        return {"valence": valence_N, "arousal": arousal_N, "expression": self.expression_N, **dict(units)}


_ARRAYS = tuple(
    name for name in LabelledFrames.__dataclass_fields__ if name not in ("edition", "faces_files", "extras")
)


def labelled_frames(
    faces_files: Sequence[Path],
    labels_file: Path,
    *,
    split: Split,
    edition: Edition,
    tasks: Collection[Task] = tuple(Task),
    frame_step: int = 1,
    shuffle_labels_seed: int | None = None,
) -> LabelledFrames:
    """The frames that have a face and a label of at least one of the tasks whose split for the track is `split`.

    Labels of other tasks, and of tasks with another split for the track, are missing in the result.

    Args:
        faces_files: One file per track, `<track_id>.parquet`; tracks without labels are ignored.
        labels_file: The labels of all tracks.
        split: The split to read.
        edition: Determines units and expressions; labels of another edition are not read.
        tasks: The tasks whose labels are read.
        frame_step: Takes only frames whose index is a multiple of this.
        shuffle_labels_seed: Shuffles the labels across frames, so that nothing can be learned from them.

    Raises:
        ValueError: No frame is left.
    """
    labels = _read_labels(labels_file, split, edition, tasks)
    parts = []
    for track_index, path in enumerate(faces_files):
        if path.stem in labels:
            parts.append(_track_frames(path, track_index, labels[path.stem], frame_step, edition, tuple(faces_files)))
    num_frames = sum(map(len, parts))
    if num_frames == 0:
        raise ValueError(
            f"{labels_file}: no frame of the split '{split}' has a face and a label of edition {edition} "
            f"({len(faces_files)} tracks with faces, {len(labels)} with labels of that split)"
        )
    frames = _concatenate(parts)
    if shuffle_labels_seed is None:
        return frames
    order_N = np.random.default_rng(shuffle_labels_seed).permutation(num_frames)
    return replace(
        frames,
        valence_arousal_N2=frames.valence_arousal_N2[order_N],
        expression_N=frames.expression_N[order_N],
        action_units_NU=frames.action_units_NU[order_N],
    )


def frame_indices(faces_file: Path) -> Integers:
    """The frame of every row of a faces file, with or without a face; they ascend."""
    return _array(read_parquet(faces_file, ["frame_index"])["frame_index"]).astype(np.int64)


def _read_labels(path: Path, split: Split, edition: Edition, tasks: Collection[Task]) -> dict[str, pa.Table]:
    """The labels of each track with a task in the split; NaN for tasks that have it in another split."""
    in_split = [pc.field(f"split_{task}") == split.value for task in tasks]
    wanted = (pc.field("edition") == edition.value) & reduce(or_, in_split)
    table = read_parquet(path, filters=wanted)
    columns = {Task.VA: ("valence", "arousal"), Task.EXPR: ("expression",), Task.AU: action_unit_columns(edition)}
    arrays = {"frame_index": table["frame_index"]}
    for task, names in columns.items():
        counts = pc.fill_null(pc.equal(table[f"split_{task}"], split.value if task in tasks else None), False)
        for name in names:
            arrays[name] = pc.if_else(counts, pc.cast(table[name], pa.float32()), None)
    labels = pa.table(arrays).combine_chunks()
    tracks = table["track_id"].combine_chunks().dictionary_encode()
    codes_N, track_ids = tracks.indices.to_numpy(zero_copy_only=False), tracks.dictionary.to_pylist()
    order_N = np.argsort(codes_N, kind="stable")
    starts = np.searchsorted(codes_N[order_N], np.arange(len(track_ids) + 1))
    return {
        track_id: labels.take(order_N[first:last])
        for track_id, first, last in zip(track_ids, starts[:-1], starts[1:], strict=True)
    }


def _track_frames(
    path: Path, track_index: int, labels: pa.Table, frame_step: int, edition: Edition, faces_files: tuple[Path, ...]
) -> LabelledFrames:
    with open_parquet(path) as file:
        faces = file.read(["frame_index", "status"])
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    group_F = np.repeat(np.arange(len(sizes)), sizes)
    row_F = np.concatenate([np.arange(size) for size in [0, *sizes]])
    frame_index_F = _array(faces["frame_index"]).astype(np.int64)
    has_face_F = _array(pc.is_in(faces["status"], pa.array([status.value for status in WITH_FACE])))
    _, face_N, label_N = np.intersect1d(frame_index_F, _array(labels["frame_index"]), return_indices=True)
    values = {name: _array(labels[name])[label_N].astype(np.float32) for name in labels.column_names[1:]}
    has_label_N = ~np.isnan(np.stack(list(values.values()))).all(axis=0)
    keep_N = has_face_F[face_N] & has_label_N & (frame_index_F[face_N] % frame_step == 0)
    face_N = face_N[keep_N]
    return LabelledFrames(
        edition=edition,
        faces_files=faces_files,
        track_index_N=np.full(len(face_N), track_index, dtype=np.int64),
        frame_index_N=frame_index_F[face_N],
        group_N=group_F[face_N].astype(np.int64),
        row_N=row_F[face_N].astype(np.int64),
        valence_arousal_N2=np.stack([values[name][keep_N] for name in ("valence", "arousal")], axis=1),
        expression_N=values["expression"][keep_N],
        action_units_NU=np.stack([values[name][keep_N] for name in action_unit_columns(edition)], axis=1),
    )


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    array: NDArray[Any] = column.to_numpy()
    return array


def _concatenate(parts: Sequence[LabelledFrames]) -> LabelledFrames:
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    return replace(parts[0], **arrays)

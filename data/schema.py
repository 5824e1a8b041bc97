"""The columns of each shard. Identity is `(track_id, frame_index)`; a missing value is null, never a sentinel."""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa

from data.labels import ALL_ACTION_UNITS, ALL_EXPRESSIONS, Task, action_unit_column

FACE_SIZE_PX = 112
"""Side of an aligned crop."""

VERSION = 1
"""Part of every digest: raised when columns or their meaning change, so that shards are computed again."""


class Status(StrEnum):
    """What is known about a track's person in a frame."""

    OK = "ok"
    NO_FACE = "no_face"
    INTERPOLATED = "interpolated"
    DECODE_ERROR = "decode_error"


_BOX = pa.struct([(name, pa.float32()) for name in ("x", "y", "w", "h")])
# ten values; not a list of fixed size, of which Arrow writes nulls to Parquet that it then cannot read
_LANDMARKS = pa.list_(pa.float32())
"""x, y of the right eye, left eye, nose, right and left mouth corner, as the viewer sees them from left to right."""

DETECTIONS = pa.schema(
    [
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("time_s", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("box", _BOX),
        pa.field("landmarks", _LANDMARKS),
        pa.field("score", pa.float32()),
        pa.field("appearance", pa.list_(pa.float32())),
        pa.field("face_jpeg", pa.binary()),
    ]
)
"""Every face found in a frame; one row without a face for a frame that has none or could not be decoded."""

CHIP = pa.field("chip_jpeg", pa.binary())
"""Follows the columns of detections if people are recognised: of few faces, the picture for that, 150 x 150."""

FACES = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("time_s", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("box", _BOX),
        pa.field("landmarks", _LANDMARKS),
        pa.field("score", pa.float32()),
        pa.field("face_jpeg", pa.binary()),
    ]
)
"""A frame of a track, with or without a face; box and landmarks in px of the frame, the crop 112 x 112."""

LABELS = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("valence", pa.float32()),
        pa.field("arousal", pa.float32()),
        pa.field("expression", pa.int8()),
        *(pa.field(action_unit_column(unit), pa.bool_()) for unit in ALL_ACTION_UNITS),
        pa.field("edition", pa.string(), nullable=False),
        *(pa.field(f"split_{task}", pa.string()) for task in Task),
    ]
)
"""A labelled frame of a track. A split is null if the track has no file for that task."""

QUALITY = pa.schema(
    [
        pa.field("track_id", pa.string()),
        pa.field("task", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("file", pa.string()),
    ]
)
"""A finding of `data.warehouse.quality`: how often something occurs, for a track, a task or an annotation file."""

PREDICTIONS = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("time_s", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("model_version", pa.int32(), nullable=False),
        pa.field("valence", pa.float32()),
        pa.field("arousal", pa.float32()),
        pa.field("expression", pa.int8()),
        *(pa.field(f"p_{name}", pa.float32()) for name in ALL_EXPRESSIONS),
        *(pa.field(action_unit_column(unit), pa.float32()) for unit in ALL_ACTION_UNITS),
        *(pa.field(f"smoothed_{name}", pa.float32()) for name in ("valence", "arousal")),
        pa.field("decided_expression", pa.int8()),
        *(pa.field(f"decided_{action_unit_column(unit)}", pa.bool_()) for unit in ALL_ACTION_UNITS),
    ]
)
"""A frame of a track with the predictions of a model version; null for what the model's edition does not have.

The columns up to the last unit's probability are the network's outputs. `smoothed_` and `decided_` columns apply the
smoothing, class bias and thresholds that were fitted on validation videos and belong to the version.
"""

PREDICTIONS_VERSION = 2
"""Stored in the manifest of predictions; predictions of another version are not published."""

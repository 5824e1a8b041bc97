"""Embeds the chips of a video's detections: of each stretch of a person's faces a few, the best of its parts of time.

Shapes: E values of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.extraction.chips import qualities
from data.extraction.detections import searchers
from data.faces.crops import decode_jpegs
from data.faces.embedding import FaceEmbedder
from data.store.embeddings import read_embeddings, write_embeddings
from data.store.shards import parquet_files, read_table
from data.tracks.fragments import Fragment

MOST_CHIPS, MOST_ALONE = 5, 3
"""Chips that are embedded of each stretch, and of the only one of a video."""


def embed(found: Path, fragments: Sequence[Fragment]) -> dict[int, np.ndarray]:
    """Embeddings, E, by the row of their face, from the folder of detections; made only once."""
    known = read_embeddings(found)
    if known is not None:
        return known
    chips = _chosen(found, fragments)
    embeddings: dict[int, np.ndarray] = {}
    if chips:
        with searchers(1) as pool:  # on one core always, since sums over several differ in their last bits
            embedded = pool.submit(FaceEmbedder(), decode_jpegs([*chips.values()])).result()
        embeddings = dict(zip(chips, embedded, strict=True))
    write_embeddings(found, embeddings)
    return embeddings


def _chosen(found: Path, fragments: Sequence[Fragment]) -> dict[int, bytes]:
    """The chips to embed, by row: of each stretch the best of every part of its time."""
    chips, quality = _chips(found)
    chosen, most = [], MOST_ALONE if len(fragments) == 1 else MOST_CHIPS
    for fragment in fragments:
        rows = [face.row for face in fragment.faces if face.row in chips]
        for part in np.array_split(np.array(rows, int), min(most, len(rows))) if rows else ():
            chosen.append(max(part.tolist(), key=lambda row: quality[row]))
    return {row: chips[row] for row in sorted(chosen)}


def _chips(found: Path) -> tuple[dict[int, bytes], Mapping[int, float]]:
    """All chips, and how good they are, by row of their face."""
    chips: dict[int, bytes] = {}
    quality: dict[int, float] = {}
    first_row = 0
    for file in parquet_files(found):
        faces = read_table([file], ["box", "landmarks", "chip_jpeg"])
        faces = faces.filter(faces["box"].is_valid())
        rows = np.flatnonzero(faces["chip_jpeg"].is_valid().to_numpy())
        if len(rows):
            cut = faces.take(pa.array(rows))
            boxes_N4 = np.stack([cut["box"].combine_chunks().field(name).to_numpy() for name in "xywh"], axis=1)
            landmarks_N52 = np.array(cut["landmarks"].to_pylist()).reshape(-1, 5, 2)
            jpegs = cut["chip_jpeg"].to_pylist()
            numbers = (first_row + rows).tolist()
            chips |= dict(zip(numbers, jpegs, strict=True))
            quality |= dict(zip(numbers, qualities(boxes_N4, landmarks_N52, jpegs).tolist(), strict=True))
        first_row += len(faces)
    return chips, quality

"""The embeddings of a video's people, from the chips of its detections. They stay beside the detections.

Of each stretch of a person's faces a few chips are embedded: the best ones, spread over its time. Shapes: E values of
an embedding.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.extraction.chips import qualities
from data.extraction.settings import IDENTITY_VERSION
from data.faces.crops import decode_jpegs
from data.faces.embedding import FaceEmbedder
from data.store.shards import (
    digest,
    is_whole,
    parquet_files,
    read_manifest,
    read_table,
    whole_folders,
    write_folder,
    write_manifest,
    write_parquet,
)
from data.tracks.fragments import Fragment

MOST_CHIPS, MOST_ALONE = 5, 3
"""Chips that are embedded of each stretch, and of the only one of a video."""
KIND = "embeddings"
_SCHEMA = pa.schema([pa.field("row", pa.int32(), nullable=False), pa.field("embedding", pa.list_(pa.float32()))])


def embeddings_folder(found: Path) -> Path:
    """The folder with the embeddings of a video, by that of its detections."""
    return found.parent / digest(KIND, IDENTITY_VERSION, found.name)


def embed(found: Path, fragments: Sequence[Fragment]) -> dict[int, np.ndarray]:
    """Embeddings, E, by the row of their face, from the folder of detections; made only once."""
    folder = embeddings_folder(found)
    if not is_whole(folder):
        chips = _chosen(found, fragments)
        embedder = FaceEmbedder() if chips else None
        embedded = list(embedder(decode_jpegs([*chips.values()]))) if embedder else []
        with write_folder(folder) as partial:
            columns = {"row": list(chips), "embedding": [list(embedding_E) for embedding_E in embedded]}
            write_parquet(pa.table(columns, schema=_SCHEMA), partial / "embeddings.parquet")
            write_manifest(partial, {"kind": KIND, "detections": found.name})
    return read_embeddings(found)


def read_embeddings(found: Path) -> dict[int, np.ndarray]:
    """The same, if they were made and not deleted; otherwise none."""
    folder = embeddings_folder(found)
    if not is_whole(folder):
        return {}
    table = read_table(parquet_files(folder))
    return {
        row: np.array(embedding_E, np.float32)
        for row, embedding_E in zip(table["row"].to_pylist(), table["embedding"].to_pylist(), strict=True)
    }


def delete_embeddings(store: Path) -> int:
    """Deletes all embeddings of a store; returns the number of videos that had any."""
    folders = [folder for folder in whole_folders(store / "detections") if read_manifest(folder).get("kind") == KIND]
    for folder in folders:
        shutil.rmtree(folder)
    return len(folders)


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

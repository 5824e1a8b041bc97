"""The embeddings of the people in videos: they stay beside the detections of their video, and one call deletes them.

Shapes: E values of an embedding.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

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

VERSION = 1
"""Part of the digest: raised when the same detections give different embeddings than before."""
_KIND = "embeddings"
_SCHEMA = pa.schema([pa.field("row", pa.int32(), nullable=False), pa.field("embedding", pa.list_(pa.float32()))])


def embeddings_folder(found: Path) -> Path:
    """The folder with the embeddings of a video, by that of its detections."""
    return found.parent / digest(_KIND, VERSION, found.name)


def write_embeddings(found: Path, embeddings: Mapping[int, np.ndarray]) -> None:
    """Writes embeddings, E, by the row of their face among all faces of the video."""
    columns = {"row": list(embeddings), "embedding": [list(embedding_E) for embedding_E in embeddings.values()]}
    with write_folder(embeddings_folder(found)) as partial:
        write_parquet(pa.table(columns, schema=_SCHEMA), partial / "embeddings.parquet")
        write_manifest(partial, {"kind": _KIND, "detections": found.name})


def read_embeddings(found: Path) -> dict[int, np.ndarray] | None:
    """The same; None if they were not made, or were deleted."""
    folder = embeddings_folder(found)
    if not is_whole(folder):
        return None
    table = read_table(parquet_files(folder))
    return {
        row: np.array(embedding, np.float32)
        for row, embedding in zip(table["row"].to_pylist(), table["embedding"].to_pylist(), strict=True)
    }


def delete_embeddings(store: Path) -> int:
    """Deletes all embeddings of a store; returns the number of videos that had any."""
    found = {folder: read_manifest(folder) for folder in whole_folders(store / "detections")}
    embedded = {folder: manifest["files"] for folder, manifest in found.items() if manifest.get("kind") == _KIND}
    for folder in embedded:
        shutil.rmtree(folder)
    return sum(any(file["rows"] for file in files.values()) for files in embedded.values())

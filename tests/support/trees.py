"""Small data sets in folders, and the smallest experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

TINY_FILE = Path(__file__).parents[1] / "tiny.toml"


HEADERS = {
    "VA_Set": "valence,arousal",
    "EXPR_Set": "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise",
    "AU_Set": "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25",
}


class MakeTree(Protocol):
    """Makes a root with empty videos and annotation files; see `make_tree`."""

    def __call__(self, annotations: Mapping[str, list[str]], videos: tuple[str, ...] = ...) -> Path: ...

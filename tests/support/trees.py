"""Small data sets in folders, and the smallest experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

TINY_FILE = Path(__file__).parents[1] / "tiny.toml"


HEADERS = {
    "VA_Set": "valence,arousal",
    "EXPR_Set": "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise",
    "AU_Set": "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25",
}


MakeTree = Callable[[Mapping[str, list[str]]], Path]

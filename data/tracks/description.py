"""The people of a video and the choices of its tracks, as the manifest of its faces has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from data.tracks.assignment import Choice
from data.tracks.people import Person, in_frames

_DESCRIBED = 50
"""At most this many people are described."""


def describe(people: Sequence[Person], choices: Mapping[str, Choice]) -> list[dict[str, Any]]:
    """The most prominent people, in plain numbers; hints name them by their `number`."""
    owners = {face.row: name for name, choice in choices.items() if choice.person for face in choice.person.faces}
    return [
        {
            "number": number,
            "track_id": ", ".join(sorted({owners[face.row] for face in person.faces if face.row in owners})) or None,
            "num_frames": len(person.faces),
            "first_frame": person.faces[0].frame_index,
            "last_frame": person.faces[-1].frame_index,
            "x_px": round(person.x_px, 1),
            "size_px": round(person.size_px, 1),
            "prominence": _rounded(person.prominence_px / people[0].prominence_px),
            "num_fragments": person.num_fragments,
            "join_margin": _rounded(person.join_margin),
            "rival_margin": _rounded(person.rival_margin),
            "split_margin": _rounded(person.split_margin),
            "most_similar": None if person.most_similar is None else person.most_similar + 1,
        }
        for number, person in enumerate(people[:_DESCRIBED], start=1)
    ]


def place_of(person: Person) -> dict[str, float]:
    """The largest face of a person, as a hint would name it."""
    face = max(person.faces, key=lambda face: face.size_px)
    return {"frame_index": face.frame_index, "x_px": round(face.x_px, 1), "y_px": round(face.y_px, 1)}


def explain(choice: Choice, people: Sequence[Person]) -> dict[str, Any]:
    """Why a person is a track's."""

    def numbers(person: Person | None) -> list[int]:
        rows = {face.row for face in person.faces} if person else set()
        return [number for number, other in enumerate(people, start=1) if any(face.row in rows for face in other.faces)]

    return {
        "people": numbers(choice.person),
        "frames": in_frames(choice.person) if choice.person else None,
        "rule": choice.rule.value,
        "runner_up": next(iter(numbers(choice.runner_up)), None),
        "prominence_margin": _rounded(choice.prominence_margin),
        "side_margin": _rounded(choice.side_margin),
    }


def _rounded(number: float | None) -> float | None:
    """JSON has no infinity."""
    return None if number is None or math.isinf(number) else round(number, 3)

"""The picture of each person drawn into the frames of a video: box, name, landmarks, and what the model answers.

Shapes: H rows, W columns, C RGB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from data.labels import ALL_ACTION_UNITS, ALL_EXPRESSIONS, action_unit_column
from data.schema import Status
from data.video.playback.rewriting import Draw
from data.viewer.columns import NUM_LANDMARK_VALUES, STATUSES, Track
from tasks.viewer.drawing import BLACK, LETTER_PX, WHITE, Colour, Pixels, dot, fill, outline, width_of, write

COLOURS: tuple[Colour, ...] = ((86, 180, 233), (230, 159, 0), (204, 121, 167), (240, 228, 66), (0, 158, 115))
"""Of people in turn: from the palette of Okabe and Ito (2008)."""
DAMAGED: Colour = (213, 94, 0)
NUM_UNITS = 3
_PLANE_PX = 44
_ROWS_ON_SCREEN = 45


def drawer(tracks: Sequence[Track], width_px: int) -> Draw:
    """Draws the people of a frame; `width_px` is the width that their boxes are given for."""

    def draw(pixels_HWC: Pixels, index: int) -> None:
        zoom = pixels_HWC.shape[1] / width_px
        scale = max(1, round(pixels_HWC.shape[0] / (_ROWS_ON_SCREEN * LETTER_PX[1])))
        if any(STATUSES[track.status_F[index]] is Status.DECODE_ERROR for track in tracks):
            _label(pixels_HWC, 0, 0, "damaged frame", DAMAGED, scale)
        for number, track in enumerate(tracks):
            _person(pixels_HWC, index, track, COLOURS[number % len(COLOURS)], zoom, scale)

    return draw


def answers(track: Track, index: int) -> list[str]:
    """What the model says about a person in a frame: valence and arousal, expression, strongest units."""
    lines = []
    valence, arousal = _point(track, index)
    if not math.isnan(valence):
        lines.append(f"V {valence:+.2f} A {arousal:+.2f}")
    expression = _first(track, index, "decided_expression", "expression")
    if not math.isnan(expression):
        name = ALL_EXPRESSIONS[int(expression)]
        share = _first(track, index, f"p_{name}")
        lines.append(name if math.isnan(share) else f"{name} {share:.2f}")
    units = [(_first(track, index, action_unit_column(unit)), unit) for unit in ALL_ACTION_UNITS]
    strongest = sorted((pair for pair in units if not math.isnan(pair[0])), reverse=True)[:NUM_UNITS]
    lines += [f"AU{unit} {share:.2f}" for share, unit in strongest]
    return lines


def _person(pixels_HWC: Pixels, index: int, track: Track, colour: Colour, zoom: float, scale: int) -> None:
    x, y, width, height = (_first(track, index, name) * zoom for name in ("x", "y", "w", "h"))
    if math.isnan(x):
        return
    is_interpolated = STATUSES[track.status_F[index]] is Status.INTERPOLATED
    outline(pixels_HWC, x - 1, y - 1, width + 2, height + 2, BLACK, scale + 3)
    outline(pixels_HWC, x, y, width, height, colour, scale + 1)
    for point in range(0, NUM_LANDMARK_VALUES, 2):
        down, right = (
            _first(track, index, f"landmark_{point + 1}") * zoom,
            _first(track, index, f"landmark_{point}") * zoom,
        )
        if not math.isnan(right):
            dot(pixels_HWC, right, down, scale + 1.5, BLACK)
            dot(pixels_HWC, right, down, scale + 0.5, colour)
    name = f"{track.track_id} (interpolated)" if is_interpolated else track.track_id
    _label(pixels_HWC, x, max(0.0, y - (LETTER_PX[1] + 2) * scale), name, colour, scale)
    _beside(pixels_HWC, index, track, (x, y, width), colour, scale)


def _beside(
    pixels_HWC: Pixels, index: int, track: Track, place: tuple[float, float, float], colour: Colour, scale: int
) -> None:
    """The answers right of the box, or left of it where the picture ends."""
    lines = answers(track, index)
    if not lines:
        return
    x, y, width = place
    has_point = not math.isnan(_point(track, index)[0])
    side = _PLANE_PX * scale
    needed = max(width_of(line, scale) for line in lines) + 4 * scale
    needed = max(needed, side) if has_point else needed
    left = x + width + 3 * scale
    if left + needed > pixels_HWC.shape[1]:
        left = max(0.0, x - needed - 3 * scale)
    line_px = (LETTER_PX[1] + 1) * scale
    tall = line_px * len(lines) + 3 * scale + (side if has_point else 0)
    top = max(0.0, min(y, pixels_HWC.shape[0] - tall))
    fill(pixels_HWC, left, top, needed, tall, BLACK)
    for number, line in enumerate(lines):
        write(pixels_HWC, left + 2 * scale, top + 2 * scale + number * line_px, line, WHITE, scale)
    if has_point:
        _plane(pixels_HWC, index, track, (left, top + tall - side, side), colour, scale)


def _plane(
    pixels_HWC: Pixels, index: int, track: Track, place: tuple[float, float, float], colour: Colour, scale: int
) -> None:
    x, y, side = place
    grey = (120, 120, 120)
    inner = side - 6 * scale
    left, top = x + 3 * scale, y + 3 * scale
    outline(pixels_HWC, left, top, inner, inner, grey, 1)
    fill(pixels_HWC, left, top + inner / 2, inner, 1, grey)
    fill(pixels_HWC, left + inner / 2, top, 1, inner, grey)
    valence, arousal = _point(track, index)
    dot(pixels_HWC, left + (valence + 1) / 2 * inner, top + (1 - arousal) / 2 * inner, 2.0 * scale, colour)


def _label(pixels_HWC: Pixels, x: float, y: float, text: str, colour: Colour, scale: int) -> None:
    fill(pixels_HWC, x, y, width_of(text, scale) + 2 * scale, (LETTER_PX[1] + 2) * scale, colour)
    write(pixels_HWC, x + 2 * scale, y + 1.5 * scale, text, BLACK, scale)


def _point(track: Track, index: int) -> tuple[float, float]:
    return _first(track, index, "smoothed_valence", "valence"), _first(track, index, "smoothed_arousal", "arousal")


def _first(track: Track, index: int, *names: str) -> float:
    """The value of the first of these columns that the track has; NaN if it has none."""
    return next((float(track.columns_F[name][index]) for name in names if name in track.columns_F), math.nan)

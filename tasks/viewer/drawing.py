"""Boxes, points and text on pixels. Shapes: H rows, W columns, C RGB.

The letters are 5 x 7 pixels and a letter's columns are the digits of `GLYPHS`, from the top down the lowest bit first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
LETTER_PX = (6, 8)
"""Width and height that a letter takes, with the space around it."""
GLYPHS = bytes.fromhex(
    "0000000000 00005f0000 0007000700 147f147f14 242a7f2a12 2313086462 3649552250 0005030000 001c224100 0041221c00"
    "14083e0814 08083e0808 0050300000 0808080808 0060600000 2010080402 3e5149453e 00427f4000 4261514946 2141454b31"
    "1814127f10 2745454539 3c4a494930 0171090503 3649494936 064949291e 0036360000 0056360000 0814224100 1414141414"
    "0041221408 0201510906 324979413e 7e1111117e 7f49494936 3e41414122 7f4141221c 7f49494941 7f09090901 3e4149497a"
    "7f0808087f 00417f4100 2040413f01 7f08142241 7f40404040 7f020c027f 7f0408107f 3e4141413e 7f09090906 3e4151215e"
    "7f09192946 4649494931 01017f0101 3f4040403f 1f2040201f 3f4038403f 6314081463 0708700807 6151494543 007f414100"
    "0204081020 0041417f00 0402010204 4040404040 0001020400 2054545478 7f48444438 3844444420 384444487f 3854545418"
    "087e090102 0c5252523e 7f08040478 00447d4000 2040443d00 7f10284400 00417f4000 7c04180478 7c08040478 3844444438"
    "7c14141408 081414187c 7c08040408 4854545420 043f444020 3c4040207c 1c2040201c 3c4030403c 4428102844 0c5050503c"
    "4464544c44 0008364100 00007f0000 0041360800 1008081008".replace(" ", "")
)
_FIRST, _NUM = ord(" "), len(GLYPHS) // 5


def fill(pixels_HWC: Pixels, x: float, y: float, width: float, height: float, colour: Colour) -> None:
    """A filled rectangle; what lies outside the picture is left out."""
    top, left = max(0, round(y)), max(0, round(x))
    pixels_HWC[top : max(0, round(y + height)), left : max(0, round(x + width))] = colour


def outline(
    pixels_HWC: Pixels, x: float, y: float, width: float, height: float, colour: Colour, thickness: int = 2
) -> None:
    """The outline of a rectangle, inwards."""
    fill(pixels_HWC, x, y, width, thickness, colour)
    fill(pixels_HWC, x, y + height - thickness, width, thickness, colour)
    fill(pixels_HWC, x, y, thickness, height, colour)
    fill(pixels_HWC, x + width - thickness, y, thickness, height, colour)


def dot(pixels_HWC: Pixels, x: float, y: float, radius: float, colour: Colour) -> None:
    """A filled circle."""
    rows, columns = np.ogrid[: pixels_HWC.shape[0], : pixels_HWC.shape[1]]
    top, left = max(0, int(y - radius)), max(0, int(x - radius))
    near = slice(top, max(0, int(y + radius) + 2)), slice(left, max(0, int(x + radius) + 2))
    is_inside_HW = (rows[near[0]] - y) ** 2 + (columns[:, near[1]] - x) ** 2 <= radius**2
    pixels_HWC[near][is_inside_HW] = colour


def write(pixels_HWC: Pixels, x: float, y: float, text: str, colour: Colour, scale: int = 1) -> None:
    """Text from its upper left corner; a letter outside ASCII becomes a question mark."""
    for number, letter in enumerate(text):
        code = ord(letter) - _FIRST
        code = code if 0 <= code < _NUM else ord("?") - _FIRST
        for column, bits in enumerate(GLYPHS[5 * code : 5 * code + 5]):
            for row in range(7):
                if bits >> row & 1:
                    left = x + (number * LETTER_PX[0] + column) * scale
                    fill(pixels_HWC, left, y + row * scale, scale, scale, colour)


def width_of(text: str, scale: int = 1) -> int:
    return len(text) * LETTER_PX[0] * scale

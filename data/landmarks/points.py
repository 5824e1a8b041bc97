"""Which of the 468 points of the face mesh are kept: the 68 points of iBUG 300-W, in its order.

Right and left are the person's own. Source: the mesh is that of Kartynnik et al. (2019), arXiv 1907.06724; the order of
the 68 points is that of Sagonas et al. (2013), doi:10.1109/ICCVW.2013.59.
"""

from __future__ import annotations

NUM_MESH_POINTS = 468

PARTS = {
    # from the right temple along the chin to the left temple
    "jaw": (162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    # from the temple to the nose
    "right_brow": (71, 63, 105, 66, 107),
    # from the nose to the temple
    "left_brow": (336, 296, 334, 293, 301),
    # from between the eyes down to the tip
    "nose_bridge": (168, 197, 5, 4),
    # under the nose, from right to left
    "nostrils": (75, 97, 2, 326, 305),
    # outer corner, two of the upper lid, inner corner, two of the lower lid
    "right_eye": (33, 160, 158, 133, 153, 144),
    # inner corner, two of the upper lid, outer corner, two of the lower lid
    "left_eye": (362, 385, 387, 263, 373, 380),
    # right corner, along the upper lip to the left corner, back along the lower lip
    "outer_lips": (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    # the same around the opening
    "inner_lips": (78, 82, 13, 312, 308, 317, 14, 87),
}
"""The parts of the face, with the mesh's index of each of their points."""

INDICES = tuple(index for indices in PARTS.values() for index in indices)
"""The mesh's index of each point that is kept."""


def position(part: str, number: int) -> int:
    """The position of a part's point, counted from 0, among the points that are kept."""
    return INDICES.index(PARTS[part][number])

"""Which frames of a video are searched for faces, and how closely.

Frames come in windows. Of a window every k-th frame is searched, and its last. Where two searched frames agree those
between get their faces by interpolation, and where not the one in their middle is searched, and so on. A look at a
frame is a full one or, where all faces are large, one at a smaller size and for large faces only, which takes a
fraction of the time. The last frame of a window always has a full look: if it shows more or fewer faces than that of
the window before, the whole window is searched in full, and so is each frame in which a smaller look finds another
number of faces. All of it depends on nothing but the frames since the start of a part. Shapes: H rows, W columns,
C RGB.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import pairwise

from data.extraction.interpolation import agreement, confirmed, faces_between
from data.extraction.settings import Search
from data.faces.detector import NO_FACES, FaceDetector, Faces
from data.schema import Status
from data.video.frames import Chunk, Frame

SMALLEST_FACE_PX = 50
"""Shorter side of the smallest face in a smaller look: as large a face is found as surely as at full size, and its
landmarks are as steady and as near to their mean over sizes (docs/benchmarks.md)."""
_FACE_TO_SHRINK_PX = 60
"""At the smaller size a face must be this large for the size to fall: it should not change to and fro."""
_SIZES = (*(sixteenths / 16 for sixteenths in range(4, 13)), 1.0)
"""The sizes of looks, in terms of the full one."""


@dataclass(frozen=True)
class Seen:
    """What is seen in a frame."""

    faces: Faces
    status: Status


@dataclass(frozen=True)
class _Known:
    """What the end of a window leaves to the next one."""

    faces: Faces | None
    """Of the last frame; None before the first one."""
    num_faces: int
    """In a full look at it."""
    size_px: int
    """At which the next frames are looked at."""


@dataclass(frozen=True)
class _Window:
    """The frames of a window and the looks at them."""

    frames_HWC: Sequence[Frame]
    detector: FaceDetector
    pool: Executor
    full_looks: dict[int, Faces] = field(default_factory=dict)

    @property
    def full_px(self) -> int:
        return self.detector.full_size_px(self.frames_HWC[0].shape[:2])

    def look(self, numbers: Sequence[int], size_px: int) -> Iterator[tuple[int, Faces]]:
        """The faces of these frames, some frames in each thread of the pool; looking begins at once."""
        some = self.detector.frames_at_once
        groups = [
            [self.frames_HWC[number] for number in numbers[at : at + some]] for at in range(0, len(numbers), some)
        ]
        is_full = size_px == self.full_px
        found = self.pool.map(lambda some_HWC: self.detector.look(some_HWC, size_px, small_faces=is_full), groups)
        return zip(numbers, (faces for group in found for faces in group), strict=True)

    def look_in_full(self, numbers: Sequence[int]) -> dict[int, Faces]:
        """The faces of these frames at full size; no frame is looked at twice."""
        self.full_looks.update(self.look_in_full_if_new(numbers))
        return {number: self.full_looks[number] for number in numbers}

    def look_in_full_if_new(self, numbers: Sequence[int]) -> Iterator[tuple[int, Faces]]:
        """Full looks at those of these frames that had none yet; looking begins at once."""
        return self.look([number for number in numbers if number not in self.full_looks], self.full_px)

    def find(self, numbers: Sequence[int], size_px: int, num_faces: int | None) -> dict[int, Faces]:
        """The faces of these frames, where so many are expected; without that, by a full look at each."""
        if size_px == self.full_px:
            return self.look_in_full(numbers)
        return self.checked(dict(self.look(numbers, size_px)), num_faces)

    def find_and_check_last(
        self, numbers: Sequence[int], size_px: int, num_faces: int
    ) -> tuple[dict[int, Faces], int | None]:
        """The same; and the number expected, or None if a full look at the last frame shows another."""
        if size_px == self.full_px:
            return self.look_in_full(numbers), num_faces
        full = self.look_in_full_if_new(numbers[-1:])  # goes on with the others
        small = self.look(numbers, size_px)
        self.full_looks.update(full)
        expected = num_faces if len(self.full_looks[numbers[-1]].scores_F) == num_faces else None
        return self.checked(dict(small), expected), expected

    def checked(self, small: dict[int, Faces], num_faces: int | None) -> dict[int, Faces]:
        """What smaller looks found, by full looks where it is doubtful."""
        doubtful = [
            number for number, faces in small.items() if len(faces.scores_F) != num_faces or number in self.full_looks
        ]
        full = self.look_in_full(doubtful)
        return {**small, **{number: confirmed(full[number], small[number]) for number in doubtful}}


def search_frames(
    chunks: Iterable[Chunk], detector: FaceDetector, search: Search, *, part_frames: int, pool: Executor
) -> Generator[tuple[Chunk, list[Seen]]]:
    """Each chunk, which is a window, with what is seen in its frames; every part starts as if it were a video."""
    known = None
    for chunk in chunks:
        if chunk.frame_indices.start % part_frames == 0:
            known = None
        if not len(chunk.frame_indices):
            yield chunk, []
            continue
        undecoded = {index - chunk.frame_indices.start for index in chunk.undecoded}
        seen, known = _search_window(_Window(chunk.frames_HWC, detector, pool), undecoded, known, search)
        yield chunk, seen


def _search_window(
    window: _Window, undecoded: set[int], known: _Known | None, search: Search
) -> tuple[list[Seen], _Known | None]:
    num_frames = len(window.frames_HWC)
    decoded = [number for number in range(num_frames) if number not in undecoded]
    seen = [Seen(NO_FACES, Status.DECODE_ERROR)] * num_frames
    if not decoded:
        return seen, None
    known = known or _first_look(window, decoded[0], search)
    interpolated: dict[int, Faces] = {}
    if undecoded:
        found = window.find(decoded, known.size_px, None)
        open_frames, num_faces = list[int](), None
    else:
        keys = _keys(num_frames, search.detect_every, is_first=known.faces is None)
        found, num_faces = window.find_and_check_last(keys, known.size_px, known.num_faces)
        interpolated, open_frames = _between(found, known.faces)
    while open_frames:
        found.update(window.find(open_frames, known.size_px, num_faces))
        interpolated, open_frames = _between(found, known.faces)
    for number, faces in found.items():
        seen[number] = Seen(faces, Status.OK if len(faces.scores_F) else Status.NO_FACE)
    for number, faces in interpolated.items():
        seen[number] = Seen(faces, Status.INTERPOLATED if len(faces.scores_F) else Status.NO_FACE)
    last = num_frames - 1
    if last in undecoded:
        return seen, None
    full = window.full_looks[last]
    return seen, _Known(found[last], len(full.scores_F), _size_px(full, window, search, known.size_px))


def _first_look(window: _Window, number: int, search: Search) -> _Known:
    """What is known before the first frame of a part, and after frames that are unknown."""
    full = window.look_in_full([number])[number]
    return _Known(None, len(full.scores_F), _size_px(full, window, search, None))


def _keys(num_frames: int, every: int, *, is_first: bool) -> list[int]:
    """The frames of a window that are searched in any case."""
    return sorted({*range(every - 1, num_frames, every), num_frames - 1, *([0] if is_first else [])})


def _between(found: dict[int, Faces], before: Faces | None) -> tuple[dict[int, Faces], list[int]]:
    """The faces of the frames between searched ones that agree, and the middle frame between others.

    `before` are the faces of the frame before the window, number -1.
    """
    interpolated: dict[int, Faces] = {}
    open_frames: list[int] = []
    searched = {**({} if before is None else {-1: before}), **found}
    for start, end in pairwise(sorted(searched)):
        if end - start == 1:
            continue
        one, other = searched[start], searched[end]
        partner_F = agreement(one, other)
        if partner_F is None:
            open_frames.append((start + end) // 2)
        else:
            for number in range(start + 1, end):
                interpolated[number] = faces_between(one, other, partner_F, (number - start) / (end - start))
    return interpolated, open_frames


def _size_px(full: Faces, window: _Window, search: Search, current_px: int | None) -> int:
    """The least size of a look at which all these faces are large enough."""
    full_px = window.full_px
    if not search.adaptive_size or not len(full.scores_F):
        return full_px  # a face that comes into an empty picture may have any size
    smallest_px = float(full.boxes_F4[:, 2:].min()) * full_px / max(window.frames_HWC[0].shape[:2])
    for share in _SIZES:
        size_px = round(share * full_px)
        enough_px = SMALLEST_FACE_PX if current_px is None or size_px >= current_px else _FACE_TO_SHRINK_PX
        if share * smallest_px >= enough_px:
            return size_px
    return full_px

"""Decides which frames of a video are searched for faces, and at what size.

Frames come in windows. In a window, every k-th frame and the last one are searched. Where two searched frames agree,
the faces between them are interpolated; otherwise the frame in the middle is searched, and so on. A detection pass is
full or, if all faces are large, at a smaller size and for large faces only, which takes a fraction of the time. The
last frame of a window always gets a full pass. If that shows more or fewer faces than the last full pass before, the
whole window is searched in full, and so is each frame in which a smaller pass finds a different number of faces. The
result depends only on the frames since the start of a part. Shapes: H rows, W columns, C RGB.
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
"""Shorter side of the smallest face in a smaller pass: faces this large are found as reliably as at full size, and
their landmarks are as steady and as close to their mean over sizes (docs/benchmarks.md).
"""
_FACE_TO_SHRINK_PX = 60
"""The smallest face must be this large at a smaller size for the size to be reduced, so that it does not alternate."""
_SIZES = (*(sixteenths / 16 for sixteenths in range(4, 13)), 1.0)
"""The sizes of detection passes, relative to the full size."""


@dataclass(frozen=True)
class Seen:
    """The faces found in a frame."""

    faces: Faces
    status: Status


@dataclass(frozen=True)
class _Known:
    """State that the end of a window passes on to the next one."""

    faces: Faces | None
    """The faces of the last frame; None before the first one."""
    num_faces: int
    """Number of faces in the last full pass."""
    size_px: int
    """Detection size for the next frames."""


@dataclass
class _Window:
    """The frames of a window and their detection passes."""

    frames_HWC: Sequence[Frame]
    detector: FaceDetector
    pool: Executor
    full_looks: dict[int, Faces] = field(default_factory=dict)

    @property
    def full_px(self) -> int:
        return self.detector.full_size_px(self.frames_HWC[0].shape[:2])

    def look(self, numbers: Sequence[int], size_px: int) -> Iterator[tuple[int, Faces]]:
        """The faces of these frames; the pool's threads start at once, on some frames each."""
        some = self.detector.frames_at_once
        groups = [
            [self.frames_HWC[number] for number in numbers[at : at + some]] for at in range(0, len(numbers), some)
        ]
        is_full = size_px == self.full_px
        found = self.pool.map(lambda some_HWC: self.detector.look(some_HWC, size_px, small_faces=is_full), groups)
        return zip(numbers, (faces for group in found for faces in group), strict=True)

    def look_in_full(self, numbers: Sequence[int]) -> dict[int, Faces]:
        """The faces of these frames at full size; no frame is searched twice."""
        self.full_looks.update(self.look_in_full_if_new(numbers))
        return {number: self.full_looks[number] for number in numbers}

    def look_in_full_if_new(self, numbers: Sequence[int]) -> Iterator[tuple[int, Faces]]:
        """Full passes over those of these frames that had none yet; they start at once."""
        return self.look([number for number in numbers if number not in self.full_looks], self.full_px)

    def find(self, numbers: Sequence[int], size_px: int, num_faces: int | None) -> dict[int, Faces]:
        """The faces of these frames; a full pass is made where their number is not the expected one or unknown."""
        if size_px == self.full_px:
            return self.look_in_full(numbers)
        return self.checked(dict(self.look(numbers, size_px)), num_faces)

    def find_and_check_last(
        self, numbers: Sequence[int], size_px: int, num_faces: int
    ) -> tuple[dict[int, Faces], int | None]:
        """The same, and the expected number of faces, or None if a full pass over the last frame finds a different
        number."""
        if size_px == self.full_px:
            return self.look_in_full(numbers), num_faces
        full = self.look_in_full_if_new(numbers[-1:])  # runs in parallel with the others
        small = self.look(numbers, size_px)
        self.full_looks.update(full)
        expected = num_faces if len(self.full_looks[numbers[-1]].scores_F) == num_faces else None
        return self.checked(dict(small), expected), expected

    def checked(self, small: dict[int, Faces], num_faces: int | None) -> dict[int, Faces]:
        """The faces of smaller passes, replaced by those of full passes where doubtful."""
        doubtful = [
            number for number, faces in small.items() if len(faces.scores_F) != num_faces or number in self.full_looks
        ]
        full = self.look_in_full(doubtful)
        return {**small, **{number: confirmed(full[number], small[number]) for number in doubtful}}


def search_frames(
    chunks: Iterable[Chunk], detector: FaceDetector, search: Search, *, part_frames: int, pool: Executor
) -> Generator[tuple[Chunk, list[Seen]]]:
    """Each chunk, which is a window, with the faces of its frames; every part is searched on its own."""
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
    """The initial state at the first frame of a part, and after frames that could not be decoded."""
    full = window.look_in_full([number])[number]
    return _Known(None, len(full.scores_F), _size_px(full, window, search, None))


def _keys(num_frames: int, every: int, *, is_first: bool) -> list[int]:
    """The frames of a window that are searched in any case."""
    return sorted({*range(every - 1, num_frames, every), num_frames - 1, *([0] if is_first else [])})


def _between(found: dict[int, Faces], before: Faces | None) -> tuple[dict[int, Faces], list[int]]:
    """Interpolated faces between searched frames that agree, and the middle frame between those that do not.

    `before` holds the faces of frame -1, the one before the window.
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
    """The smallest detection size at which all these faces are large enough."""
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

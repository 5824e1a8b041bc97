"""Which frames can be trusted when packets of a video are damaged, and where lost frames belong.

In an undamaged stream, frame i is the i-th frame that the decoder returns; a packet without a frame (an invisible one,
or one cut by an edit list) counts for nothing. From a damaged packet on, in decoding order, until the next intact
keyframe, and for the frames shown before that keyframe, a decoder repeats, smears and drops frames. There, each packet
counts as one frame with unknown pixels, so that the frames after the damage keep their numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from statistics import median
from typing import Any

_DEEPEST = 16
"""No codec holds back more frames than this to put them in order."""
_STEPS = 32
"""Steps of time between frames that are remembered."""


@dataclass(eq=False)
class Picture:
    """A packet and, later, its decoded frame."""

    number: int
    """Number in decoding order."""
    pts: int | None
    """Presentation time, in ticks of the stream; None if the file does not give it."""
    guess: int | None = None
    """If it does not: a presentation time of this packet or of another one."""
    is_key: bool = False
    """Whether both the file and the decoder mark it as a keyframe."""
    is_shown: bool = True
    """Whether a frame is expected of it."""
    is_damaged: bool = False
    is_decoded_as_key: bool = False
    """Whether the decoder treats it as a keyframe, whatever the file says."""
    frame: Any = None
    shown_at: int | None = None
    """Presentation time in ticks of the stream, once known."""
    time_s: float | None = None
    """Since the first frame of the video."""
    place: int | None = None
    """Position in display order; None until the frame has arrived or can no longer arrive."""
    is_lost: bool = False
    """A frame is missing that should exist."""
    is_trusted: bool | None = None
    """Whether its pixels are intact; None until the packets before it, in decoding order, have their position."""


class DisplayOrder:
    """Takes pictures in decoding order and returns them in display order, including those without a frame.

    A picture is held back until it is known whether the pictures it depends on are intact: the frame of a packet that
    is decoded first may be shown last.
    """

    def __init__(self, step: float | None = None) -> None:
        """`step` is the time from a frame to the next, in ticks, as long as the frames themselves do not show it."""
        self._step = step
        self.num_damaged = 0
        """Packets that did not decode, or not without a fault."""
        self._waiting: list[Picture] = []
        self._unjudged: deque[Picture] = deque()
        self._placed: deque[Picture] = deque()
        self._num_placed = 0
        self._guesses: list[int] = []
        """A heap of the presentation times of packets that do not state their own."""
        self._hole_at: int | None = None
        """Number of the last packet that represents an unknown number of missing ones."""
        self._of_hole: list[Picture] = []
        """Damage left in the frames around it, until the next intact one."""
        self._shown_at: int | None = None
        self._steps: deque[int] = deque(maxlen=_STEPS)
        self._last_damage = -1
        """Number of the last packet known to be damaged, or to depend on one that is."""
        self._given_up: set[int] = set()
        """Numbers of packets whose frame is lost."""
        self._is_broken = False
        self._is_unstarted = False
        """Whether the stream so far lacks an initial keyframe."""
        self._mended_at = 0
        """Position of the keyframe that ended the last damage; frames shown before it are not repaired by it."""

    def await_keyframe(self) -> None:
        """For a decoder that invents what the first frames need: nothing is intact before the first keyframe."""
        self._is_broken = self._is_unstarted = True

    def add(self, sent: Picture) -> None:
        """Adds a packet that was given to the decoder."""
        self._unjudged.append(sent)
        self._note_damage(sent)
        if sent.pts is None and sent.guess is not None and sent.is_shown:
            heappush(self._guesses, sent.guess)
        if sent.pts is None and sent.is_damaged:
            for other in self._waiting:  # it is unknown whether it is shown before or after them
                other.is_damaged = True
        if not sent.is_shown:
            sent.place = self._num_placed
        elif sent.pts is None and sent.is_damaged:
            self._place([sent])
        else:
            self._waiting.append(sent)

    def add_hole(self, number: int) -> None:
        """Adds a gap of an unknown number of packets; the times around it must tell how many."""
        self._hole_at = number
        self.add(Picture(number, None, is_shown=False, is_damaged=True))

    def give(self, picture: Picture, frame: Any, *, is_corrupt: bool, is_key: bool) -> None:
        """Adds a frame that the decoder made from a packet, in display order."""
        if picture.number in self._given_up:  # it comes too late: later ones were already shown
            return
        if (
            picture.place is not None
        ):  # it already has one: a decoder may show a frame that it kept from an earlier packet
            same_time = (other for other in self._waiting if other.pts == frame.pts)
            # or return two for a damaged packet, of which one is not a frame of the video
            picture = next(same_time, None) or self._second(picture.number, frame.pts)
        picture.frame = frame
        picture.is_key, picture.is_decoded_as_key = picture.is_key and is_key, is_key
        picture.is_damaged = picture.is_damaged or is_corrupt
        self._note_damage(picture)
        past = [other for other in self._waiting if other is not picture and _is_past(other, picture)]
        self._place([*sorted(past, key=_pts), picture])

    def ready(self) -> Iterator[Picture]:
        """The pictures that can be shown by now: intact, with their frame, or lost."""
        while self._unjudged and self._unjudged[0].place is not None:
            self._judge(self._unjudged.popleft())
        while self._placed and self._placed[0].is_trusted is not None:
            picture = self._placed.popleft()
            if picture.frame is not None if picture.is_trusted else picture.is_shown:
                yield from self._in_time(picture)

    def rest(self, *, cut_at: float) -> Iterator[Picture]:
        """The remaining pictures, after the last packet and frame.

        Args:
            cut_at: For a file that ends too early, the decoding time of its next packet; otherwise infinity. Frames
                shown
                later are lost, because it is unknown how many of the missing frames come before them.
        """
        self._place(sorted(self._waiting, key=_pts))
        for picture in self._placed:
            picture.is_lost = picture.is_lost or cut_at < _pts(picture)
        yield from self.ready()
        yield from self._of_hole

    def _in_time(self, picture: Picture) -> Iterator[Picture]:
        """The picture, after the lost ones of a hole: as many as fit in at the usual rate."""
        if self._hole_at is not None and self._shown_at is not None and not picture.is_trusted:
            picture.frame = None
            self._of_hole.append(picture)
            return
        before, now = self._shown_at, picture.shown_at
        step = 0 if before is None or now is None else now - before
        if self._hole_at is not None and picture.number > self._hole_at:
            usual = median(self._steps) if self._steps else self._step or step
            num_steps = max(round(step / usual) if usual else 0, len(self._of_hole) + 1)
            added = num_steps - 1 - len(self._of_hole)
            lost = [*self._of_hole, *(Picture(picture.number, None, is_trusted=False) for _ in range(added))]
            for number, other in enumerate(lost, start=1):
                other.shown_at = None if before is None else before + step * number // num_steps
            self._hole_at = None
            yield from lost
            self._of_hole.clear()
        elif step > 0:
            self._steps.append(step)
        self._shown_at = now
        yield picture

    def _second(self, number: int, pts: int | None) -> Picture:
        second = Picture(number, pts, is_shown=False)
        self._unjudged.append(second)
        return second

    def _note_damage(self, picture: Picture) -> None:
        if picture.is_damaged:
            self._last_damage = max(self._last_damage, picture.number)

    def _place(self, pictures: Iterable[Picture]) -> None:
        for picture in pictures:
            picture.place = self._num_placed
            picture.shown_at = picture.pts
            if picture.pts is None and picture.guess is not None:
                picture.shown_at = heappop(self._guesses)
            self._num_placed += 1
            self._placed.append(picture)
            # near damage, a decoder also drops intact frames, before and after it
            is_near = picture.number <= self._last_damage + _DEEPEST
            picture.is_lost = picture.frame is None and picture.is_shown and is_near
            if picture.is_lost:
                self._given_up.add(picture.number)
        self._waiting = [picture for picture in self._waiting if picture.place is None]

    def _judge(self, picture: Picture) -> None:
        assert picture.place is not None
        if picture.is_damaged:
            self.num_damaged += 1
            self._is_broken = True
        elif self._is_broken and self._mends(picture):
            self._is_broken = self._is_unstarted = False
            self._mended_at = picture.place
        if self._is_broken:
            self._last_damage = max(self._last_damage, picture.number)
        picture.is_trusted = not (self._is_broken or picture.is_lost or picture.place < self._mended_at)

    def _mends(self, picture: Picture) -> bool:
        if self._is_unstarted and not picture.is_shown:  # an edit list may begin between two keyframes
            return picture.is_key
        # a file may flag no keyframe, or every packet, which is no reason to distrust the whole stream
        is_key = picture.is_decoded_as_key if self._is_unstarted else picture.is_key
        return is_key and picture.frame is not None


def _is_past(other: Picture, given: Picture) -> bool:
    """Whether the frame of another packet can no longer arrive once this one's has."""
    if given.number - other.number > (0 if given.is_key else _DEEPEST):
        return True  # frames decoded before a keyframe are shown before it
    return other.pts is not None and given.pts is not None and other.pts < given.pts


def _pts(picture: Picture) -> float:
    return float("inf") if picture.pts is None else picture.pts

"""Which frames can be trusted where packets of a video are damaged, and where those that are lost belong.

Of an undamaged stream frame i is the i-th frame that the decoder gives; a packet without a frame (an invisible one, or
one that an edit list cuts) is nothing. From a damaged packet on, in decoding order, until the next whole keyframe, and
for the frames shown before that keyframe, a decoder repeats, smears and leaves out. There each packet counts as one
frame with unknown pixels, so that the frames after the damage keep their numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_DEEPEST = 16
"""No codec holds back more frames than this to put them in order."""


@dataclass(eq=False)
class Picture:
    """A packet and, later, the frame that the decoder makes of it."""

    number: int
    """In decoding order."""
    pts: int | None
    is_key: bool = False
    is_shown: bool = True
    """Whether a frame is expected of it."""
    is_damaged: bool = False
    frame: Any = None
    time_s: float | None = None
    place: int | None = None
    """In display order; None until its frame has come or cannot come any more."""
    is_trusted: bool | None = None
    """Whether its pixels are what was filmed; None until the packets before it, in decoding order, have their place."""


class DisplayOrder:
    """Pictures go in as they are decoded and come out as they are displayed, those without a frame among them.

    A picture is held back until it is known whether those that it is made from are whole: the frame of a packet that
    is decoded first may come last.
    """

    def __init__(self) -> None:
        self.num_damaged = 0
        """Packets that did not decode, or not without a fault."""
        self._waiting: list[Picture] = []
        self._unjudged: deque[Picture] = deque()
        self._placed: deque[Picture] = deque()
        self._num_placed = 0
        self._is_broken = False
        self._mended_at = 0
        """Place of the keyframe that ended the last damage; what is shown before it is not mended."""

    def add(self, sent: Picture) -> None:
        """A packet that the decoder was given."""
        self._unjudged.append(sent)
        if not sent.is_shown:
            sent.place = self._num_placed
        elif sent.is_damaged and sent.pts is None:
            for other in self._waiting:  # it is not known whether it is shown before or after them
                other.is_damaged = True
            self._place([sent])
        else:
            self._waiting.append(sent)

    def give(self, picture: Picture, frame: Any, *, is_corrupt: bool, is_key: bool) -> None:
        """A frame that the decoder made of a packet, in display order."""
        if picture.place is not None:  # it has one already: a decoder may show what it kept from an earlier packet
            same_time = (other for other in self._waiting if other.pts == frame.pts)
            # or give two for a packet, of which one is not a frame of the video if the packet is damaged
            picture = next(same_time, None) or self._second(picture)
        picture.frame = frame
        picture.is_key = picture.is_key and is_key
        picture.is_damaged = picture.is_damaged or is_corrupt
        past = [other for other in self._waiting if other is not picture and _is_past(other, picture)]
        self._place([*sorted(past, key=_pts), picture])

    def ready(self) -> Iterator[Picture]:
        """What can be shown by now: trusted, with its frame, or lost."""
        while self._unjudged and self._unjudged[0].place is not None:
            self._judge(self._unjudged.popleft())
        while self._placed and self._placed[0].is_trusted is not None:
            picture = self._placed.popleft()
            if picture.frame is not None if picture.is_trusted else picture.is_shown:
                yield picture

    def rest(self) -> Iterator[Picture]:
        """What is left when nothing more is added or given."""
        self._place(sorted(self._waiting, key=_pts))
        yield from self.ready()

    def _second(self, picture: Picture) -> Picture:
        second = Picture(picture.number, picture.pts, is_shown=False)
        self._unjudged.append(second)
        return second

    def _place(self, pictures: Iterable[Picture]) -> None:
        for picture in pictures:
            picture.place = self._num_placed
            self._num_placed += 1
            self._placed.append(picture)
        self._waiting = [picture for picture in self._waiting if picture.place is None]

    def _judge(self, picture: Picture) -> None:
        assert picture.place is not None
        if picture.is_damaged:
            self.num_damaged += 1
            self._is_broken = True
        elif self._is_broken and picture.is_key and picture.frame is not None:
            self._is_broken = False
            self._mended_at = picture.place
        picture.is_trusted = not self._is_broken and picture.place >= self._mended_at


def _is_past(other: Picture, given: Picture) -> bool:
    """Whether the frame of another packet cannot come any more once this one has."""
    if given.number - other.number > _DEEPEST:
        return True
    return other.pts is not None and given.pts is not None and other.pts < given.pts


def _pts(picture: Picture) -> float:
    return float("inf") if picture.pts is None else picture.pts

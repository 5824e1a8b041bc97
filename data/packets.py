"""A video file -> its packets in the order in which they are decoded, and what they promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av

_MOST_UNREADABLE = 10_000
"""So many packets in a row that cannot be read are the end of the file."""
_VOP_START = b"\x00\x00\x01\xb6"
"""Where a frame of MPEG-4 part 2 begins."""
_SMALLEST_VOP = 8
"""Bytes: a smaller packet only stands for a frame that was packed into the one before it, or repeats a frame."""


def open_video(path: Path) -> av.container.InputContainer:
    """The container of a file with a video stream.

    Raises:
        ValueError: There is no such file, it is empty, cannot be read, or is not a video.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected a video, found no such file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: expected a video, found 0 bytes; copy or download it again")
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: expected a video, found {error.strerror}; copy it again or move it away") from error
    stream = container.streams.best("video")
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic or _is_picture(container):
        kinds = sorted({"a picture" if stream.type == "video" else stream.type for stream in container.streams})
        container.close()
        raise ValueError(f"{path}: expected a video stream, found {', '.join(kinds) or 'nothing'}; move it away")
    return container


def _is_picture(container: av.container.InputContainer) -> bool:
    """A PNG or JPEG file opens as a video of one frame."""
    return bool(container.format.name.endswith("_pipe")) or container.format.name == "image2"


def packets(path: Path, container: av.container.InputContainer) -> Iterator[av.Packet | None]:
    """The packets of the video stream, the last one empty; None stands for one that cannot be read.

    Raises:
        OSError: The disk or the network fails.
    """
    stream = container.streams.best("video")
    num_unreadable = 0
    while num_unreadable < _MOST_UNREADABLE:
        try:
            for packet in container.demux(stream):
                num_unreadable = 0
                yield packet
            return
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise OSError(f"{path}: reading it failed: {error.strerror}; is its disk still there?") from error
            num_unreadable += 1
            yield None
    yield av.Packet()


def is_shown(codec: str, packet: av.Packet) -> bool:
    """Whether a frame is to be expected of a packet: not if an edit list cuts it, or of an invisible VP8 frame."""
    return not packet.is_discard and not (codec == "vp8" and packet.size and not bytes(packet)[0] & 0x10)


def count_packets(path: Path, container: av.container.InputContainer) -> tuple[int, str | None]:
    """How many packets there are, and the first reason why they may not be one frame each, if there is one."""
    codec = container.streams.best("video").codec_context.codec.canonical_name
    times: set[int] = set()
    number, oddity = 0, None
    for packet in packets(path, container):
        if packet is not None and not packet.size:
            break
        oddity = oddity or _oddity(codec, packet, number, times)
        number += packet is not None
    promised = container.streams.best("video").frames
    if promised and promised != number:
        oddity = oddity or f"its header promises {promised} frames, the file has {number} packets"
    return number, oddity


def _oddity(codec: str, packet: av.Packet | None, number: int, times: set[int]) -> str | None:
    if packet is None or packet.is_corrupt:
        return f"packet {number} is damaged"
    if not is_shown(codec, packet):
        return f"packet {number} is not shown"
    if packet.pts is None or packet.pts < 0 or packet.pts in times:
        return f"packet {number} has no time of its own (pts {packet.pts})"
    times.add(packet.pts)
    if codec == "mpeg4" and (packet.size < _SMALLEST_VOP or bytes(packet).count(_VOP_START) != 1):
        return f"packet {number} does not hold one frame"
    if codec == "vp9" and not _shows_vp9(bytes(packet)):
        return f"packet {number} is not shown"
    return None


def _shows_vp9(packet: bytes) -> bool:
    """A superframe ends in a frame that is shown; of another packet the uncompressed header says so."""
    if packet[-1] & 0xE0 == 0xC0:
        return True
    first_bit = 3 if packet[0] >> 4 & 3 < 3 else 2  # after the marker and the profile; profile 3 has a reserved bit
    shows_existing, shows = packet[0] >> first_bit & 1, packet[0] >> first_bit - 2 & 1
    return bool(shows_existing or shows)

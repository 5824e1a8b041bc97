"""A video file -> its packets in decoding order, and the facts that they promise."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from data.store.access import check_file

_MOST_UNREADABLE = 10_000
"""This many unreadable packets in a row are the end of the file."""
_REORDERED = frozenset({"h264", "hevc", "mpeg4"})
"""Codecs whose frames are decoded in a different order than they are shown."""
_PROGRESSIVE = 1
"""FFmpeg's value for frames without fields; 0 is unknown, larger values are the orders of two fields."""
_AVI_HEADER = 8
_LONGEST_HEADERS = 100
"""Bytes, of a Matroska cluster and a block in it."""
_ELEMENTS = (b"\x1c\x53\xbb\x6b", b"\x12\x54\xc3\x67", b"\x1f\x43\xb6\x75", b"\x11\x4d\x9b\x74", b"\xec")
"""Elements that may follow the last packet of a Matroska file: cues, tags, a cluster, an index, a gap."""
_HOLE = bytes(64)
_WITHOUT_HOLES = frozenset(
    {"h264", "hevc", "vp8", "vp9", "av1", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4v3", "wmv1", "flv1"}
)
"""Codecs that never write this many zeros, whatever the content; others, JPEG included, may for black."""
_FILLED_UP = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
_VOP_START = b"\x00\x00\x01\xb6"
"""Where a frame of MPEG-4 part 2 begins."""
_SMALLEST_VOP = 8
"""Bytes: a smaller packet only represents a frame that was packed into the previous one, or repeats a frame."""


def open_video(path: Path) -> av.container.InputContainer:
    """Opens a file with a video stream.

    Raises:
        ValueError: The file is missing, empty, unreadable or not a video.
        OSError: The disk or the network fails.
    """
    check_file(path, "video")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: expected a video, found 0 bytes; copy or download it again")
    try:
        container = av.open(str(path))
    except OSError as error:
        raise OSError(f"{path}: opening it failed: {error.strerror}; check that its disk is still connected") from error
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{path}: expected a video, found none that FFmpeg can read ({error.strerror}); copy it again or remove it"
        ) from error
    stream = container.streams.best("video")
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic or _is_picture(container):
        kinds = sorted({"a picture" if stream.type == "video" else stream.type for stream in container.streams})
        container.close()
        raise ValueError(f"{path}: expected a video stream, found {', '.join(kinds) or 'nothing'}; remove it")
    if stream.codec_context is None:
        container.close()
        raise ValueError(f"{path}: expected a video that can be decoded, found an unknown codec; convert it")
    return container


def _is_picture(container: av.container.InputContainer) -> bool:
    """A PNG or JPEG file opens as a video of one frame."""
    return bool(container.format.name.endswith("_pipe")) or container.format.name == "image2"


@dataclass(frozen=True)
class Missing:
    """Represents packets that cannot be read."""

    is_one: bool = True
    """Otherwise their number is unknown."""
    time: int | None = None
    """Decoding time in ticks of the stream, if known."""


def packets(path: Path, container: av.container.InputContainer) -> Iterator[av.Packet | Missing]:
    """The packets of the video stream, the last one empty, and the gaps between them.

    Raises:
        OSError: The disk or the network fails.
    """
    stream = container.streams.best("video")
    found = _readable(path, container)
    if container.format.name == "avi":
        found = _checked_by_index(stream, found)
    elif container.format.name == "matroska,webm":
        found = _checked_by_position(path, found)
    for packet in found:
        if isinstance(packet, Missing) or packet.stream is None or packet.stream.index == stream.index:
            yield packet


def _readable(path: Path, container: av.container.InputContainer) -> Iterator[av.Packet | Missing]:
    num_unreadable = 0
    while num_unreadable < _MOST_UNREADABLE:
        try:
            for packet in container.demux():
                num_unreadable = 0
                yield packet
            return
        except OSError as error:
            raise OSError(
                f"{path}: reading it failed: {error.strerror}; check that its disk is still connected"
            ) from error
        except av.error.FFmpegError:
            num_unreadable += 1
            yield Missing()
    yield av.Packet()


def _checked_by_index(
    stream: av.video.stream.VideoStream, found: Iterator[av.Packet | Missing]
) -> Iterator[av.Packet | Missing]:
    """An AVI file has an index at its end, if it has its end; times are counted, so they are wrong after a loss."""
    times = {entry.pos + _AVI_HEADER: entry.timestamp for entry in stream.index_entries if entry.size}
    positions = sorted(times)
    end = 0
    for packet in found:
        if isinstance(packet, av.Packet) and packet.pos in times and packet.stream.index == stream.index:
            for number in range(bisect_left(positions, end), bisect_left(positions, packet.pos)):
                yield Missing(time=times[positions[number]])
            late = times[packet.pos] - packet.dts
            packet.dts += late
            packet.pts = None if packet.pts is None else packet.pts + late
            end = packet.pos + packet.size
        yield packet


def _checked_by_position(path: Path, found: Iterator[av.Packet | Missing]) -> Iterator[av.Packet | Missing]:
    """In a Matroska file, packets follow each other except for short headers: a longer stretch could not be parsed."""
    end: int | None = None
    for packet in found:
        if isinstance(packet, av.Packet) and end is not None:
            if packet.size and packet.pos - end > _LONGEST_HEADERS:
                yield Missing(is_one=False)
            if not packet.size and not _ends_at(path, end):
                yield Missing(is_one=False)
                end = None  # each stream has an empty packet
        if isinstance(packet, av.Packet) and packet.size:
            end = packet.pos + packet.size
        yield packet


def _ends_at(path: Path, end: int) -> bool:
    """Whether the packets of a Matroska file may end here."""
    with path.open("rb") as file:
        file.seek(end)
        following = file.read(_LONGEST_HEADERS)
    return len(following) < _LONGEST_HEADERS or any(element in following for element in _ELEMENTS)


def is_shown(packet: av.Packet) -> bool:
    """Whether a frame is to be expected of a packet: not if an edit list cuts it, or of an invisible VP8 frame."""
    is_invisible = packet.size and packet.stream.codec_context.name == "vp8" and not bytes(packet)[0] & 0x10
    return not packet.is_discard and not is_invisible


def has_times(container: av.container.InputContainer) -> bool:
    """Whether packets state their presentation time; for an AVI file FFmpeg guesses it from later frames."""
    codec = container.streams.best("video").codec_context.codec.canonical_name
    return container.format.name != "avi" or codec not in _REORDERED


def is_damaged(packet: av.Packet) -> bool:
    """Whether a packet is damaged: cut, marked corrupt, or with a hole.

    Parts lost by a disk or a download are read as zeros. Many codecs write few zeros, but a packet that marks its own
    end (H.264 with start codes) may be padded with them.
    """
    if packet.is_corrupt or packet.stream.codec_context.codec.canonical_name not in _WITHOUT_HOLES:
        return bool(packet.is_corrupt)
    content = bytes(packet)
    if content.startswith(_FILLED_UP):
        content = content.rstrip(b"\x00")
    return _HOLE in content


def guess_time(packet: av.Packet) -> int | None:
    """Presentation time of this packet's frame or of another one, where `has_times` is false."""
    is_guessed_well = packet.size and packet.stream.codec_context.codec.canonical_name == "mpeg4"
    time: int | None = packet.pts if is_guessed_well else packet.dts
    return time


def is_cut_short(path: Path, container: av.container.InputContainer, num_packets: int) -> bool:
    """Whether a file with this many video packets ends too early, judged by its index or its stated duration."""
    format_name = container.format.name
    if format_name == "avi" or format_name.startswith("mov"):
        index = container.streams.best("video").index_entries
        if num_packets < sum(entry.size > 0 for entry in index):
            return True
    with path.open("rb") as file:
        head = file.read(1024)
    segment = head.find(b"\x18\x53\x80\x67") + 4
    if head.startswith(b"RIFF"):
        end = 8 + int.from_bytes(head[4:8], "little")
    elif head.startswith(b"\x1a\x45\xdf\xa3") and segment >= 4 and head[segment]:
        length = 9 - head[segment].bit_length()  # the number of leading zeros gives the length of the number
        number = int.from_bytes(head[segment : segment + length], "big") - (1 << 7 * length)
        end = segment + length + number if number < (1 << 7 * length) - 1 else 0  # all ones: unknown
    else:
        return False
    return end > path.stat().st_size


def count_packets(path: Path, container: av.container.InputContainer) -> tuple[int, str | None]:
    """How many packets there are, and the first reason why they may not be one frame each, if there is one."""
    codec = container.streams.best("video").codec_context.codec.canonical_name
    times: dict[int, int] = {}
    number, oddity = 0, None
    for packet in packets(path, container):
        if isinstance(packet, av.Packet) and not packet.size:
            break
        oddity = oddity or _oddity(codec, packet, number, times)
        number += isinstance(packet, av.Packet)
    if not has_times(container):
        oddity = oddity or "its file does not say when frames are shown"
    if container.streams.best("video").codec_context.field_order > _PROGRESSIVE:
        oddity = oddity or "its frames are interlaced, a packet may be half of one"
    if is_cut_short(path, container, number):
        oddity = oddity or "the file is shorter than it says"
    promised = container.streams.best("video").frames
    if promised and promised != number:
        oddity = oddity or f"its header promises {promised} frames, the file has {number} packets"
    return number, oddity


def _oddity(codec: str, packet: av.Packet | Missing, number: int, times: dict[int, int]) -> str | None:
    if isinstance(packet, Missing) or is_damaged(packet):
        return f"packet {number} is damaged"
    if not is_shown(packet):
        return f"packet {number} is not shown"
    if packet.pts is None or packet.pts < 0 or packet.pts in times:
        return f"packet {number} has no time of its own (pts {packet.pts})"
    times[packet.pts] = number
    if not number and not packet.is_keyframe:
        return "packet 0 is no keyframe"
    if packet.pts < next(iter(times)):
        return f"packet {number} is shown before the first keyframe"
    if codec == "mpeg4" and (packet.size < _SMALLEST_VOP or bytes(packet).count(_VOP_START) != 1):
        return f"packet {number} does not hold one frame"
    if codec == "vp9" and not _shows_vp9(bytes(packet)):
        return f"packet {number} is not shown"
    return None


def _shows_vp9(packet: bytes) -> bool:
    """A superframe ends in a shown frame; for other packets the uncompressed header tells."""
    if packet[-1] & 0xE0 == 0xC0:
        return True
    first_bit = 3 if packet[0] >> 4 & 3 < 3 else 2  # after the marker and the profile; profile 3 has a reserved bit
    shows_existing, shows = packet[0] >> first_bit & 1, packet[0] >> first_bit - 2 & 1
    return bool(shows_existing or shows)

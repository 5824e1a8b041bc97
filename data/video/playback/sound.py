"""The sound of a video as packets of a new MP4 file: as it is if browsers play it, otherwise as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

PLAYED = frozenset({"aac", "mp3", "opus"})
"""Codecs in MP4 that browsers play."""
_RATE_HZ = 48_000


def start_s(path: Path) -> float | None:
    """When the sound starts, in seconds of the file; None if it has none."""
    with av.open(str(path)) as container:
        stream = container.streams.best("audio")
        if stream is None or stream.codec_context is None:
            return None
        first = next((packet for packet in _packets(container, stream) if packet.pts is not None), None)
        return None if first is None else float(first.pts * stream.time_base)


class Sound:
    """Adds the sound of a file to another one, up to a time. Close it."""

    def __init__(self, path: Path, container: av.container.OutputContainer, shift_s: float) -> None:
        """`shift_s` is added to all times of the file."""
        self._source = av.open(str(path))
        stream = self._source.streams.best("audio")
        if stream.codec_context.codec.canonical_name in PLAYED:
            self._target = container.add_stream_from_template(stream)
            packets = self._copied(stream, shift_s)
        else:
            self._target = container.add_stream("aac", rate=_RATE_HZ, layout="stereo")
            packets = self._encoded(stream, shift_s)
        self._packets: Iterator[av.Packet] = packets

    def until(self, time_s: float) -> Iterator[av.Packet]:
        """The packets up to this time that were not returned before."""
        for packet in self._packets:
            if packet.dts is not None and packet.dts * packet.time_base > time_s:
                self._packets = chain([packet], self._packets)
                return
            yield packet

    def close(self) -> None:
        self._source.close()

    def _copied(self, stream: av.audio.AudioStream, shift_s: float) -> Iterator[av.Packet]:
        shift = round(shift_s / stream.time_base)
        for packet in _packets(self._source, stream):
            if packet.dts is None or packet.pts is None:
                continue
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = self._target
            yield packet

    def _encoded(self, stream: av.audio.AudioStream, shift_s: float) -> Iterator[av.Packet]:
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_RATE_HZ)
        time_base = Fraction(1, _RATE_HZ)
        for packet in _packets(self._source, stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:  # a damaged packet is silence, as a player makes of it
                continue
            for frame in frames:
                if frame.pts is None:
                    continue
                frame.pts += round(shift_s / frame.time_base)
                for part in resampler.resample(frame):
                    yield from self._target.encode(part)
        for part in resampler.resample(None):
            part.time_base = time_base
            yield from self._target.encode(part)
        yield from self._target.encode(None)


def _packets(container: av.container.InputContainer, stream: av.audio.AudioStream) -> Iterator[av.Packet]:
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed)
        except (StopIteration, av.error.FFmpegError):  # where the file is cut, the sound ends
            return
        if packet.size:
            yield packet

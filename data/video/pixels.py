"""Decoded pictures -> upright RGB with square pixels, converted only where they are used; and their resizing.

If the size of the stream changes, later frames are fitted into the first one's size, with black borders. A face is a
small part of its frame, and if only every k-th frame is searched, most frames are never used as a whole. Writing and
reading back 3 bytes for each of their pixels would take a third of the decoding time.
Shapes: N frames, H rows, W columns, C RGB.
"""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor
from torch.nn import functional

from data.video.damage import Picture
from data.video.media import Frame, Region, VideoFacts

_CONVERTED_LATE = frozenset({"yuv420p", "yuvj420p"})
"""Pixel formats of which any part, cut between pixels that share a colour, converts as in the whole frame."""


def frames_of(pictures: Sequence[Picture], facts: VideoFacts) -> list[Frame]:
    """Frames of one size; black where a picture is not trusted, which it is no more if its colours are unknown."""
    converter = VideoReformatter()
    colours_seen = set()
    frames_HWC: list[Frame] = []
    for picture in pictures:
        if picture.is_trusted and _is_late(picture.frame, facts) and _colours(picture.frame) in colours_seen:
            frames_HWC.append(_LateFrame(picture.frame))
            continue
        if picture.is_trusted:
            try:
                frames_HWC.append(_fitted(picture.frame, facts, converter))
                colours_seen.add(_colours(picture.frame))
            except av.error.FFmpegError:  # damage can produce a frame with an unknown colour space
                picture.is_trusted = False
        if not picture.is_trusted:
            frames_HWC.append(torch.zeros(facts.height_px, facts.width_px, 3, dtype=torch.uint8))
    return frames_HWC


def upright(frame_HWC: Tensor, rotation_deg: int) -> Tensor:
    return torch.rot90(frame_HWC, rotation_deg // 90).contiguous() if rotation_deg else frame_HWC


def resized(pixels_NHWC: Tensor, height_px: int, width_px: int) -> Tensor:
    """Bytes, or on a GPU floats, `(N, C, H, W)`, with antialiasing."""
    pixels_NCHW = pixels_NHWC.permute(0, 3, 1, 2)
    if pixels_NHWC.shape[1:3] == (height_px, width_px):
        return pixels_NCHW
    pixels_NCHW = pixels_NCHW.float() if pixels_NCHW.is_cuda else pixels_NCHW  # the fast kernel for bytes is the CPU's
    return functional.interpolate(pixels_NCHW, (height_px, width_px), mode="bilinear", antialias=True)


def part_of(whole_HWC: Tensor, region: Region) -> Tensor:
    """A part of a frame's pixels; a grid of them row by row, which takes a fraction of the time of point by point."""
    match region:
        case (np.ndarray() as rows, np.ndarray() as columns) if rows.shape[-1] == columns.shape[0] == 1:
            if whole_HWC.is_cuda:
                of_rows = whole_HWC.index_select(0, torch.from_numpy(rows.ravel()).cuda())
                return of_rows.index_select(1, torch.from_numpy(columns.ravel()).cuda())
            return torch.from_numpy(whole_HWC.numpy()[rows.ravel()][:, columns.ravel()])
    return whole_HWC[region]


class _LateFrame:
    """A frame of 4:2:0 that is converted on access. Thread-safe."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self.shape = (frame.height, frame.width, 3)
        self._frame: av.VideoFrame | None = frame
        self._whole_HWC: Tensor | None = None

    def __getitem__(self, region: Region) -> Tensor:
        """Converts only the requested part, unless the whole frame was requested before, which is then kept."""
        frame = self._frame
        if frame is None:
            assert self._whole_HWC is not None
            return part_of(self._whole_HWC, region)
        match region:
            case (slice() as rows, slice() as columns):
                return _part(frame, rows, columns)
            case (np.ndarray() as rows, np.ndarray() as columns):
                return _points(frame, *np.broadcast_arrays(rows, columns))
        self._whole_HWC = whole_HWC = _rgb(frame, VideoReformatter())
        self._frame = None
        return whole_HWC[region]


def _part(frame: av.VideoFrame, rows: slice, columns: slice) -> Tensor:
    (top, bottom, _), (left, right, _) = rows.indices(frame.height), columns.indices(frame.width)
    # two by two pixels share a colour; the frame's sides are even
    y, x = top - top % 2, left - left % 2
    luma, *colours = map(_bytes, frame.planes)
    part_HWC = _converted(
        [
            luma[y : bottom + bottom % 2, x : right + right % 2],
            *(colour[y // 2 : (bottom + 1) // 2, x // 2 : (right + 1) // 2] for colour in colours),
        ],
        frame,
    )
    return part_HWC[top - y : bottom - y, left - x : right - x]


def _points(frame: av.VideoFrame, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """The frame as two rows, with the two by two pixels that share a colour in each column."""
    luma, *colours = map(_bytes, frame.planes)
    luma_2N = np.repeat(luma[rows, columns].reshape(1, -1), 2, axis=0).repeat(2, axis=1)
    colours_1N = [colour[rows // 2, columns // 2].reshape(1, -1) for colour in colours]
    return _converted([luma_2N, *colours_1N], frame)[0, ::2].reshape(*rows.shape, 3)


def _converted(planes: Sequence[np.ndarray], like: av.VideoFrame) -> Tensor:
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, like.format.name)
    for plane, values in zip(frame.planes, planes, strict=True):
        _bytes(plane)[:, : plane.width] = values
    for name in _COLOURS:
        setattr(frame, name, getattr(like, name))
    return _rgb(frame, VideoReformatter())


def _bytes(plane: av.video.plane.VideoPlane) -> np.ndarray:
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]


_COLOURS = ("colorspace", "color_range", "color_primaries", "color_trc")


def _colours(frame: av.VideoFrame) -> tuple[object, ...]:
    return (frame.format.name, *(getattr(frame, name) for name in _COLOURS))


def _is_late(frame: av.VideoFrame, facts: VideoFacts) -> bool:
    """Whether a frame only needs colour conversion, which works for any part of it."""
    is_as_promised = (frame.width, frame.height) == (facts.width_px, facts.height_px) and not facts.rotation_deg
    is_even = (
        frame.width % 2 == frame.height % 2 == 0 and not frame.interlaced_frame
    )  # whose fields have their own colours
    return is_as_promised and is_even and frame.format.name in _CONVERTED_LATE


def _fitted(frame: av.VideoFrame, facts: VideoFacts, converter: VideoReformatter) -> Tensor:
    sideways = facts.rotation_deg % 180 != 0
    width_px, height_px = (facts.height_px, facts.width_px) if sideways else (facts.width_px, facts.height_px)
    wide_px, high_px = frame.width * facts.pixel_aspect, frame.height
    scale = min(width_px / wide_px, height_px / high_px)
    wide_px, high_px = max(1, round(wide_px * scale)), max(1, round(high_px * scale))
    frame_HWC = _rgb(frame, converter, wide_px, high_px)
    if (wide_px, high_px) != (width_px, height_px):
        left, top = (width_px - wide_px) // 2, (height_px - high_px) // 2
        bordered_HWC = torch.zeros(height_px, width_px, 3, dtype=torch.uint8)
        bordered_HWC[top : top + high_px, left : left + wide_px] = frame_HWC
        frame_HWC = bordered_HWC
    return upright(frame_HWC, facts.rotation_deg)


def _rgb(
    frame: av.VideoFrame, converter: VideoReformatter, width_px: int | None = None, height_px: int | None = None
) -> Tensor:
    """Where the converter wrote it: a copy would cost as much again."""
    return torch.from_numpy(converter.reformat(frame, width_px, height_px, "rgb24", threads=1).to_ndarray())

"""Frames that are converted when they are looked at, and only as far as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.odd_clips import numbered_film
from torch import Tensor

from data.testing.numbered import ENCODERS
from data.video.damage import Picture
from data.video.frames import probe
from data.video.media import VideoFacts
from data.video.pixels import frames_of

UNKNOWN_COLOURS = 3


def noise(seed: int, *, size: tuple[int, int] = (48, 70), pixel_format: str = "yuv420p", **colours: int) -> Picture:
    """A picture of random pixels, as a decoder gives it."""
    frame = av.VideoFrame(size[1], size[0], pixel_format)
    for number, plane in enumerate(frame.planes):
        plane.update(np.random.default_rng((seed, number)).bytes(plane.buffer_size))
    for name, value in colours.items():
        setattr(frame, name, value)
    return Picture(seed, None, frame=frame, is_trusted=True)


def decoded(clip: Path) -> list[Picture]:
    with av.open(str(clip)) as container:
        frames = enumerate(container.decode(video=0))
        return [Picture(number, None, frame=frame, is_trusted=True) for number, frame in frames]


def facts_of(picture: Picture) -> VideoFacts:
    return VideoFacts(
        codec="h264",
        pixel_format=picture.frame.format.name,
        width_px=picture.frame.width,
        height_px=picture.frame.height,
        rotation_deg=0,
        pixel_aspect=1.0,
        num_packets=2,
        promised_frames=2,
        promised_s=None,
    )


def rgb(picture: Picture) -> np.ndarray:
    """All of it, as FFmpeg converts it."""
    pixels_HWC: np.ndarray = picture.frame.to_ndarray(format="rgb24")
    return pixels_HWC


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p"])
@pytest.mark.parametrize("colours", [{}, {"colorspace": 1, "color_range": 1}, {"colorspace": 9, "color_trc": 14}])
def test_a_part_is_as_it_is_in_the_whole_frame(pixel_format: str, colours: dict[str, Any]) -> None:
    pictures = [noise(number, pixel_format=pixel_format, **colours) for number in range(2)]
    whole_HWC = rgb(pictures[1])
    late = frames_of(pictures, facts_of(pictures[0]))[1]
    assert not isinstance(late, Tensor)
    rng = np.random.default_rng(0)
    for _ in range(200):
        (top, bottom), (left, right) = (np.sort(rng.choice(most + 1, 2, replace=False)) for most in whole_HWC.shape[:2])
        assert np.array_equal(late[top:bottom, left:right], whole_HWC[top:bottom, left:right])
    rows_N1, columns_1M = rng.integers(0, 48, (90, 1)), rng.integers(0, 70, (1, 11))
    assert np.array_equal(late[rows_N1, columns_1M], whole_HWC[rows_N1, columns_1M])
    assert np.array_equal(late[:], whole_HWC)
    assert np.array_equal(late[3:40, 5:68], whole_HWC[3:40, 5:68])


@pytest.mark.parametrize(
    "picture", [{"size": (47, 70)}, {"size": (48, 69)}, {"pixel_format": "yuv422p"}, {"pixel_format": "rgb24"}]
)
def test_what_cannot_be_cut_exactly_is_converted_at_once(picture: dict[str, Any]) -> None:
    pictures = [noise(number, **picture) for number in range(2)]
    for frame_HWC, of_decoder in zip(frames_of(pictures, facts_of(pictures[0])), pictures, strict=True):
        assert isinstance(frame_HWC, Tensor)
        assert np.array_equal(frame_HWC, rgb(of_decoder))


def test_a_frame_of_colours_that_nobody_knows_is_not_trusted_and_black() -> None:
    pictures = [noise(0), noise(1, colorspace=UNKNOWN_COLOURS), noise(2)]
    with pytest.raises(av.error.FFmpegError):
        rgb(pictures[1])
    frames = frames_of(pictures, facts_of(pictures[0]))
    assert [picture.is_trusted for picture in pictures] == [True, False, True]
    assert not frames[1][:].any()
    assert np.array_equal(frames[2][:], rgb(pictures[2]))


@pytest.mark.parametrize("codec", ENCODERS.values())
def test_what_decoders_give_is_converted_part_by_part(tmp_path: Path, codec: str) -> None:
    clip = numbered_film(tmp_path / "clip.mkv", 3, codec=codec)
    pictures = decoded(clip)
    for late, picture in list(zip(frames_of(pictures, probe(clip)), pictures, strict=True))[1:]:
        assert not isinstance(late, Tensor)
        assert np.array_equal(late[7:80, 9:120], rgb(picture)[7:80, 9:120])
        assert np.array_equal(late[np.arange(96)[:, None], np.arange(160)], rgb(picture))


def test_the_two_fields_of_an_interlaced_frame_are_converted_together(tmp_path: Path) -> None:
    clip = numbered_film(tmp_path / "clip.mp4", 4, options={"x264-params": "tff=1"})
    pictures = decoded(clip)
    assert all(picture.frame.interlaced_frame for picture in pictures)
    for frame_HWC, picture in zip(frames_of(pictures, probe(clip)), pictures, strict=True):
        assert isinstance(frame_HWC, Tensor)
        assert np.array_equal(frame_HWC, rgb(picture))

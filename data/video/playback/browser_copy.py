"""A file with the frames of a video that every browser plays: the video itself if it will do, otherwise a copy."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from data.video.packets import open_video
from data.video.playback import sound as sounds
from data.video.playback.rewriting import write_mp4
from data.video.playback.times import usual_step_s
from data.video.pyav import probe

_SUFFIXES = {".mp4": "mp4", ".m4v": "mp4", ".webm": "webm"}
_CODECS = {"mp4": {"h264", "vp9"}, "webm": {"vp8", "vp9"}}
_SOUNDS = {"mp4": sounds.PLAYED, "webm": frozenset({"opus", "vorbis"})}
_LARGEST_PX = 1920
_LONGEST_STRETCH_S = 12.0
"""Without a keyframe; beyond, a jump takes too long."""
_OFF = 0.25
"""Share of the time between two frames by which a frame's time may differ."""


@dataclass(frozen=True)
class Playable:
    """A file for a browser."""

    name: str
    first_frame_s: float
    """When its first frame is shown, from its start."""
    reason: str
    """Why it is a copy; empty if it is the video itself."""


def write_playable(path: Path, folder: Path, times_s_F: NDArray[np.float64], *, is_damaged: bool = False) -> Playable:
    """Links, copies or rewrites a video into a folder as `video.mp4` or `video.webm`.

    Args:
        path: The video.
        folder: Where to write.
        times_s_F: The time of each of its frames since the first.
        is_damaged: Whether some frames could not be decoded; browsers drop and repeat frames there.

    Raises:
        ValueError: The video cannot be read, or has another number of frames.
        NoRoomError: The disk is full.
    """
    reason = "some of its frames are damaged" if is_damaged else why_not_playable(path, times_s_F)
    if reason:
        return Playable("video.mp4", write_mp4(path, folder / "video.mp4", times_s_F), reason)
    target = folder / f"video.{_SUFFIXES[path.suffix.lower()]}"
    try:
        os.link(path.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, target)
    with open_video(path) as container:
        stream = container.streams.best("video")
        start = min(p.pts for p in container.demux(stream) if p.pts is not None) * stream.time_base
    sound_s = sounds.start_s(path)
    # players skip what a sound has before 0, which its encoder needed to start
    return Playable(target.name, 0.0 if sound_s is None else max(0.0, float(start) - max(0.0, sound_s)), "")


def why_not_playable(path: Path, times_s_F: NDArray[np.float64]) -> str:
    """Why a browser would not play a file, or not with these frames at these times; empty if it would."""
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        return f"not every browser plays {path.suffix or 'such'} files"
    facts = probe(path)
    with open_video(path) as container:
        stream, sound = container.streams.best("video"), container.streams.best("audio")
        sound_codec = (
            sound.codec_context.codec.canonical_name if sound is not None and sound.codec_context is not None else None
        )
        shown = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size and p.pts is not None]
        start_s = 0.0 if container.start_time is None else container.start_time / av.time_base
        seconds_F = np.sort([pts for pts, _ in shown]) * float(stream.time_base)
        keys_s = np.sort([pts for pts, is_key in shown if is_key]) * float(stream.time_base)
    reasons = {
        f"not every browser plays {facts.codec} in {kind}": facts.codec not in _CODECS[kind],
        f"not every browser shows {facts.pixel_format}": facts.pixel_format != "yuv420p",
        f"not every browser plays {sound_codec} in {kind}": sound_codec not in (None, *_SOUNDS[kind]),
        "it is turned": facts.rotation_deg != 0,
        "its pixels are not square": facts.pixel_aspect != 1,
        "it is too large": max(facts.width_px, facts.height_px) > _LARGEST_PX,
        facts.not_for_dali or "": facts.not_for_dali is not None,
        "it starts late": start_s > _OFF * usual_step_s(times_s_F),  # browsers take its end for too early then
        "its frames have other times": not _are_alike(seconds_F, times_s_F),
        "its keyframes are far apart": bool((np.diff([*keys_s, *seconds_F[-1:]]) > _LONGEST_STRETCH_S).any()),
    }
    return next((reason for reason, is_so in reasons.items() if is_so), "")


def _are_alike(seconds_F: NDArray[np.float64], times_s_F: NDArray[np.float64]) -> bool:
    if len(seconds_F) != len(times_s_F):
        return False
    return bool((np.abs(seconds_F - seconds_F[0] - times_s_F) < _OFF * usual_step_s(times_s_F)).all())

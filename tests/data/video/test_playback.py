"""A video for browsers: the same frames at the same times, with its sound."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from support.clips import spoil
from support.viewed_store import times_of

from data.testing.numbered import number_in, numbered_clip, write_clip
from data.video.playback.browser_copy import why_not_playable, write_playable
from data.video.playback.rewriting import write_mp4
from data.video.playback.times import complete_times, usual_step_s
from data.video.pyav import probe, read_with_pyav

UNEVEN_MS = [480 + 40 * number + (number % 3) * 9 for number in range(60)]


def numbers_of(path: Path) -> list[int]:
    chunks = read_with_pyav(path, probe(path), "cpu", 16, 0)
    return [number_in(frame_HWC[:].numpy()) for chunk in chunks for frame_HWC in chunk.frames_HWC]


def keys_s(path: Path) -> NDArray[np.float64]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return np.array([p.pts * float(p.time_base) for p in container.demux(stream) if p.size and p.is_keyframe])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.0, 0.04, 0.09], [0.0, 0.04, 0.09]),
        ([0.0, np.nan, 0.08, 0.12, np.nan], [0.0, 0.04, 0.08, 0.12, 0.16]),
        ([np.nan, 0.1, 0.2], [0.0, 0.1, 0.2]),
        ([np.nan, np.nan], [0.0, 0.04]),
        ([0.0, 0.04, 0.04, 0.08], [0.0, 0.04, 0.041, 0.08]),
    ],
)
def test_times_are_complete_and_increase(given: list[float], expected: list[float]) -> None:
    assert complete_times(np.array(given)) == pytest.approx(expected)


def test_the_usual_step_is_the_median() -> None:
    assert usual_step_s(np.array([0.0, 0.04, 0.08, 5.0])) == pytest.approx(0.04)
    assert usual_step_s(np.array([0.0])) == 0.04


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("clip.mp4", {}, ""),
        ("clip.webm", {"codec": "libvpx-vp9"}, ""),
        ("clip.mkv", {}, "not every browser plays .mkv files"),
        ("clip.mp4", {"codec": "libx265"}, "not every browser plays hevc in mp4"),
        ("clip.mp4", {"rotation_deg": 90}, "it is turned"),
        ("clip.mp4", {"ticks": UNEVEN_MS}, "it starts late"),
        ("clip.avi", {"codec": "mpeg4"}, "not every browser plays .avi files"),
    ],
)
def test_a_file_is_used_as_it_is_only_if_browsers_play_it(
    name: str, options: dict[str, object], reason: str, tmp_path: Path
) -> None:
    path = numbered_clip(tmp_path / name, 60, **options)  # type: ignore[arg-type]
    times_s_F = complete_times(times_of(path))
    (tmp_path / "view").mkdir()
    playable = write_playable(path, tmp_path / "view", times_s_F)
    written = tmp_path / "view" / playable.name
    assert playable.reason == reason
    assert (written.stat().st_ino == path.stat().st_ino) is (not reason)
    assert times_of(written) == pytest.approx(times_s_F, abs=1e-5)
    if "rotation_deg" not in options:
        assert numbers_of(written) == list(range(60))


def test_a_copy_has_a_keyframe_a_second_and_is_at_most_1280_px_wide(tmp_path: Path) -> None:
    pictures = [np.full((202, 1922, 3), 4 * number, np.uint8) for number in range(50)]
    path = write_clip(tmp_path / "wide.mp4", pictures, rate=20)
    assert why_not_playable(path, times_of(path)) == "it is too large"
    write_mp4(path, tmp_path / "copy.mp4", times_of(path))
    facts = probe(tmp_path / "copy.mp4")
    assert (facts.width_px, facts.height_px, facts.codec, facts.pixel_format) == (1280, 134, "h264", "yuv420p")
    keys = keys_s(tmp_path / "copy.mp4")
    assert {0.0, 1.0, 2.0} <= set(keys.round(6))
    assert facts.not_for_dali is None


def test_other_times_or_another_number_of_frames_are_noticed(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "clip.mp4", 10)
    times_s_F = times_of(path)
    assert why_not_playable(path, times_s_F * 1.5) == "its frames have other times"
    assert why_not_playable(path, times_s_F[:-1]) == "its frames have other times"
    for count in (9, 11):
        with pytest.raises(ValueError, match=rf"expected {count} frames as in the store, found 1"):
            write_mp4(path, tmp_path / "copy.mp4", np.arange(count) / 25)
    assert not (tmp_path / "copy.mp4").exists()


def test_a_video_with_a_damaged_frame_is_copied_with_all_its_frames(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "clip.mp4", 40, codec="libx264")
    spoil(path, 5)
    times_s_F = complete_times(times_of(path))
    playable = write_playable(path, tmp_path, times_s_F, is_damaged=True)
    assert playable.reason == "some of its frames are damaged"
    assert len(numbers_of(tmp_path / playable.name)) == len(times_s_F) == 40


def test_what_is_drawn_is_in_the_picture_of_its_frame(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "clip.mp4", 30)

    def hide(pixels_HWC: NDArray[np.uint8], index: int) -> None:
        if index == 7:
            pixels_HWC[:] = 255

    write_mp4(path, tmp_path / "drawn.mp4", times_of(path), hide)
    assert numbers_of(tmp_path / "drawn.mp4") == [*range(7), 255, *range(8, 30)]


@pytest.mark.parametrize(("codec", "kept"), [("aac", "aac"), ("pcm_s16le", "aac")])
def test_the_sound_is_kept_and_stays_where_it_was(codec: str, kept: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(numbered_clip(tmp_path / "mute.mp4", 50))) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        sound = container.add_stream(codec, rate=48000, layout="mono")
        for number in range(94):  # a click at 1 s, the video starts at 0.4 s
            samples = np.zeros((1, 1024), np.float32)
            if number == 47:
                samples[:] = 0.9
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.rate, frame.pts = 48000, number * 1024
            resampled = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=48000).resample(frame)
            for part in resampled:
                container.mux(sound.encode(part))
        container.mux(sound.encode())
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts += round(0.4 / packet.time_base)
                packet.dts += round(0.4 / packet.time_base)
                packet.stream = stream
                container.mux(packet)
    first_s = write_mp4(path, tmp_path / "copy.mp4", times_of(path))
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == kept
        loud = [
            float(frame.pts * frame.time_base)
            for frame in container.decode(audio=0)
            if np.abs(frame.to_ndarray()).max() > 0.3
        ]
    with av.open(str(tmp_path / "copy.mp4")) as container:
        start_s = next(float(p.pts * p.time_base) for p in container.demux(video=0) if p.size)
    assert start_s == pytest.approx(first_s, abs=1e-3)
    assert first_s == pytest.approx(0.4, abs=0.03)
    assert min(loud) - start_s == pytest.approx(47 * 1024 / 48000 - 0.4, abs=0.045)

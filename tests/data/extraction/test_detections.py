from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
import torch
from support.clips import one_person

from data.extraction import detections
from data.extraction.detections import PART_FRAMES, window_frames, write_detections
from data.extraction.settings import Search
from data.schema import CHIP, DETECTIONS
from data.store.shards import read_manifest
from data.testing.numbered import write_clip

NUM_FRAMES = 40


def _own_threads() -> set[str]:
    """The names of threads, without those that DALI starts and does not name."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("Thread-")}


@pytest.fixture(autouse=True)
def parts_of_16_frames_and_no_thread_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(detections, "PART_FRAMES", 16)
    before = _own_threads()
    yield
    assert _own_threads() <= before


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person who moves a px a frame, brighter by 2 from frame to frame; frames 22 to 25 show nobody."""
    frames = [np.roll(one_person(), number, axis=1) // 2 + 2 * number for number in range(NUM_FRAMES)]
    for frame in frames[22:26]:
        frame[:] = 90
    return write_clip(tmp_path_factory.mktemp("clips") / "107.mp4", [frame.astype(np.uint8) for frame in frames])


def write(clip: Path, folder: Path, *, check: Callable[[], None] = lambda: None, **config: Any) -> list[dict[str, Any]]:
    """The rows of all parts."""
    search = Search(detection_size=320, adaptive_size=False).model_copy(update=config)
    height_px, width_px = one_person().shape[:2]
    write_detections(
        clip,
        folder,
        search,
        device="cpu",
        decoder="pyav",
        facts={"width_px": width_px, "height_px": height_px},
        threads=2,
        progress=lambda _: None,
        check=check,
    )
    return [row for part in sorted(folder.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]


def landmarks_of(rows: list[dict[str, Any]]) -> np.ndarray:
    return np.array([row["landmarks"] for row in rows if row["box"]])


def test_faces_between_searched_frames_are_marked_and_cut_from_their_own_pixels(clip: Path, tmp_path: Path) -> None:
    exact, found = write(clip, tmp_path / "1"), write(clip, tmp_path / "5", detect_every=5)
    assert [row["frame_index"] for row in found] == [row["frame_index"] for row in exact] == list(range(NUM_FRAMES))
    assert {row["status"] for row in exact} == {"ok", "no_face"}
    # 8 frames a window, and 16 a part
    assert "".join(row["status"][0] for row in found)[:16] == "oiiioiio" + "iiiioiio"
    assert [row["frame_index"] for row in found if row["status"] == "no_face"] == [22, 23, 24, 25]
    assert {row["frame_index"] for row in found if row["status"] == "interpolated"}.isdisjoint({20, 21, 26, 28})
    assert np.abs(landmarks_of(found) - landmarks_of(exact)).max() < 2.5
    for one, other in zip(exact, found, strict=True):
        if one["box"]:
            crop, other_crop = (simplejpeg.decode_jpeg(row["face_jpeg"]).mean() for row in (one, other))
            assert other_crop == pytest.approx(crop, abs=1), "two levels are a frame"
            assert np.array(one["appearance"]) @ np.array(other["appearance"]) > 0.98
            assert other["score"] > 0.7


def test_rows_are_those_of_the_schema(clip: Path, tmp_path: Path) -> None:
    write(clip, tmp_path / "1", detect_every=5)
    parts = sorted((tmp_path / "1").glob("*.parquet"))
    assert [pq.read_metadata(part).num_rows for part in parts] == [16, 16, 8]
    assert all(pq.read_schema(part).equals(DETECTIONS.append(CHIP)) for part in parts)
    (empty,) = (row for row in pq.read_table(parts[1]).to_pylist() if row["frame_index"] == 23)
    assert {name for name, value in empty.items() if value is None} == {
        "box",
        "landmarks",
        "score",
        "appearance",
        "face_jpeg",
        "chip_jpeg",
    }


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("parts_before", [1, 2])
def test_a_run_that_goes_on_ends_in_the_same_bytes(clip: Path, tmp_path: Path, every: int, parts_before: int) -> None:
    calls = iter(range(3))

    def stop() -> None:
        if next(calls) == parts_before:
            raise OSError("the disk is gone")

    write(clip, tmp_path / "unbroken", detect_every=every, adaptive_size=True)
    with pytest.raises(OSError, match="the disk is gone"):
        write(clip, tmp_path / "broken", check=stop, detect_every=every, adaptive_size=True)
    assert len(list((tmp_path / "broken.partial").glob("part-*.parquet"))) == parts_before
    write(clip, tmp_path / "broken", detect_every=every, adaptive_size=True)
    for path in (tmp_path / "unbroken").iterdir():
        assert (tmp_path / "broken" / path.name).read_bytes() == path.read_bytes()
    assert read_manifest(tmp_path / "broken")["num_frames"] == NUM_FRAMES


def test_an_error_of_a_step_is_the_callers_and_ends_all_steps(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Invalid argument"):
        write(clip, tmp_path / "1", jpeg_quality=101)
    with pytest.raises(ValueError, match=r"gone\.mp4: expected a video, found none"):
        write(tmp_path / "gone.mp4", tmp_path / "2")
    assert not any((tmp_path / name).exists() for name in "12")


def test_pytorch_has_as_many_threads_afterwards_as_before(clip: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    torch.set_num_threads(2)
    write(clip, tmp_path / "1")
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    torch.set_num_threads(before)
    assert seen == [2]


@pytest.mark.parametrize(
    ("size_px", "at_least", "expected"),
    [
        ((320, 240), 1, 25),
        ((1280, 720), 1, 25),
        ((1920, 1080), 1, 10),
        ((3840, 2160), 1, 2),
        ((3840, 2160), 5, 5),
        ((1280, 720), 25, 25),
        ((15360, 8640), 1, 1),
    ],
)
def test_a_window_takes_about_the_same_memory_for_frames_of_any_size(
    monkeypatch: pytest.MonkeyPatch, size_px: tuple[int, int], at_least: int, expected: int
) -> None:
    monkeypatch.setattr(detections, "PART_FRAMES", PART_FRAMES)
    assert window_frames(*size_px, at_least=at_least) == expected
    assert PART_FRAMES % expected == 0


def test_a_window_longer_than_a_part_is_refused() -> None:
    with pytest.raises(AssertionError, match="17 frames at once: expected 16 at most, those of a part"):
        window_frames(320, 240, at_least=17)

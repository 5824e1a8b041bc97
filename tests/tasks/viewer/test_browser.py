"""The page in a real browser: what it says about a frame is true of the frame that the browser shows."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.browser import BROWSER, NO_BROWSER, Page, open_browser
from support.clips import spoil
from support.viewed_store import view_store

from data.schema import Status
from data.testing.numbered import numbered_clip
from tasks.viewer.view import write_view

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)]

FRAMES = 120
UNEVEN_MS = [480 + sum([20, 40, 1, 90, 250, 33][index % 6] for index in range(number)) for number in range(FRAMES)]
SEEKS = 20
NUMBER = """(() => {
  const sheet = new OffscreenCanvas(160, 160).getContext("2d");
  sheet.drawImage(video, 0, 0, video.videoWidth, video.videoHeight);
  const levels = [...Array(8).keys()].map((bit) => %s);
  return levels.reduce((sum, level, bit) => sum + (level > 127 ? 1 << bit : 0), 0);
})()"""
UPRIGHT = NUMBER % "sheet.getImageData(16 * bit + 8, 8, 1, 1).data[1]"
TURNED = NUMBER % "sheet.getImageData(8, video.videoHeight - 16 * bit - 9, 1, 1).data[1]"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        opened.size(1280, 720)
        yield opened


def with_sound(path: Path, target: Path, *, late_s: float) -> Path:
    """The video with a second of sound that starts before its first frame."""
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        sound = container.add_stream("aac", rate=48000, layout="stereo")
        for number in range(94):
            wave = np.sin(np.arange(1024) / 20).astype(np.float32) * 0.1
            frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
            frame.rate, frame.pts = 48000, number * 1024
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts += round(late_s / packet.time_base)
                packet.dts += round(late_s / packet.time_base)
                packet.stream = stream
                container.mux(packet)
    return target


def clip(name: str, folder: Path) -> Path:
    """A clip of 120 frames that show their numbers."""
    match name:
        case "constant rate":
            return numbered_clip(folder / "clip.mp4", FRAMES)
        case "late start, uneven":
            return numbered_clip(folder / "clip.mp4", FRAMES, ticks=UNEVEN_MS)
        case "another container":
            return numbered_clip(folder / "clip.mkv", FRAMES, ticks=UNEVEN_MS)
        case "VP9":
            return numbered_clip(folder / "clip.webm", FRAMES, codec="libvpx-vp9")
        case "HEVC":
            return numbered_clip(folder / "clip.mp4", FRAMES, codec="libx265")
        case "turned":
            return numbered_clip(folder / "clip.mp4", FRAMES, rotation_deg=90)
        case "sound first":
            return with_sound(numbered_clip(folder / "mute.mp4", FRAMES), folder / "clip.mp4", late_s=0.7)
        case "sound first, another container":
            return with_sound(numbered_clip(folder / "mute.mp4", FRAMES), folder / "clip.mkv", late_s=0.7)
    raise AssertionError(name)


def opened(page: Page, index: Path, link: str = "") -> Page:
    page.open("about:blank")
    page.requests.clear()
    page.errors.clear()
    page.open(index.resolve().as_uri() + link)
    page.wait("player.shown >= 0 && player.wanted === null")
    return page


def shows(page: Page, frame: int) -> None:
    page.wait(f"player.shown === {frame} && player.wanted === null && !video.seeking")


def clean(page: Page, index: Path) -> None:
    """No errors, and no request that leaves the folder."""
    assert page.errors == []
    folder = index.parent.resolve().as_uri()
    assert {address for address in page.requests if not address.startswith("data:")} >= {f"{folder}/data.js"}
    assert all(address.startswith((folder, "data:")) for address in page.requests), page.requests


@pytest.mark.parametrize(
    "name",
    [
        "constant rate",
        "late start, uneven",
        "another container",
        "VP9",
        "HEVC",
        "turned",
        "sound first",
        "sound first, another container",
    ],
)
def test_the_frame_that_is_named_is_the_frame_that_is_shown(name: str, page: Page, tmp_path: Path) -> None:
    index = write_view(view_store(tmp_path / "store", clip(name, tmp_path)), "clip").page
    opened(page, index)
    number = TURNED if name == "turned" else UPRIGHT
    wrong = []
    draws = random.Random(name)
    for frame in [FRAMES - 1, 0, *(draws.randrange(FRAMES) for _ in range(SEEKS))]:
        page.value(f"seekTo({frame})")
        shows(page, frame)
        found = page.value(number)
        assert page.value("document.getElementById('now').textContent").startswith(f"frame {frame} of {FRAMES} ")
        if found != frame:
            wrong.append((frame, found))
    assert wrong == []
    clean(page, index)


def test_while_it_plays_the_named_frame_is_the_one_drawn_or_its_neighbour_for_a_moment(
    page: Page, tmp_path: Path
) -> None:
    """A browser may show the next frame between the moment it tells of one and the moment it is drawn."""
    index = write_view(view_store(tmp_path / "store", clip("constant rate", tmp_path)), "clip").page
    opened(page, index)
    page.value(f"window.seen = []; player.onShown.push((frame) => seen.push([frame, {UPRIGHT}]))")
    page.press(" ")
    page.wait("seen.length > 50")
    page.press(" ")
    page.wait("video.paused")
    seen = page.value("seen")
    assert len({frame for frame, _ in seen}) > 30
    assert max(abs(named - drawn) for named, drawn in seen) <= 1
    assert sum(named == drawn for named, drawn in seen) > 0.9 * len(seen)
    clean(page, index)


def test_keys_step_play_jump_and_choose(page: Page, tmp_path: Path) -> None:
    statuses = {40: Status.NO_FACE, 41: Status.NO_FACE, 70: Status.INTERPOLATED, 90: Status.DECODE_ERROR}
    store = view_store(
        tmp_path / "store", clip("constant rate", tmp_path), tracks=("one", "two"), statuses=statuses, labelled=False,
        doubts=["two: person 3 in frames 55 to 60 may be the same as person 2 in frames 1 to 9 (margin 0.010)"],
    )  # fmt: skip
    index = write_view(store, "clip").page
    opened(page, index)
    for _ in range(3):
        page.press("ArrowRight")
    shows(page, 3)
    page.press("ArrowLeft")
    shows(page, 2)
    page.press("End")
    shows(page, FRAMES - 1)
    page.press("Home")
    shows(page, 0)
    page.press("ArrowRight", shift=True)
    shows(page, 25)
    visited = []
    for expected in (40, 42, 70, 71, 90):
        if expected not in (42, 71):
            page.press("n")
            shows(page, expected)
            visited.append(page.value("document.getElementById('message').textContent"))
    assert ["no face" in visited[0], "interpolated" in visited[1], "damaged" in visited[2]] == [True] * 3
    assert "damaged" in page.value("document.getElementById('now').textContent")
    page.press("p")
    assert page.value("chosen().track_id") == "two"
    assert "doubtful" in page.value("document.getElementById('message').textContent")
    page.press("N", shift=True)
    shows(page, 70)
    page.press("N", shift=True)
    shows(page, 55)
    assert "doubtful" in page.value("document.getElementById('now').textContent")
    page.press(" ")
    page.wait("!video.paused && player.shown > 58")
    page.press(" ")
    page.wait("video.paused")
    sql = page.value("document.getElementById('sql').textContent")
    shown = page.value("player.shown")
    assert sql == f"SELECT * FROM predictions WHERE model_version = 1 AND track_id = 'two' AND frame_index = {shown}"
    clean(page, index)


def test_a_link_opens_its_frame_and_person_and_follows_both(page: Page, tmp_path: Path) -> None:
    store = view_store(tmp_path / "store", clip("constant rate", tmp_path), tracks=("one", "two"))
    index = write_view(store, "clip").page
    opened(page, index, "#frame=77&track=two")
    shows(page, 77)
    assert page.value(UPRIGHT) == 77
    assert page.value("chosen().track_id") == "two"
    page.press("ArrowRight")
    shows(page, 78)
    assert page.value("location.hash") == "#frame=78&track=two"
    page.value("location.hash = '#frame=5&track=one'")
    shows(page, 5)
    assert page.value("chosen().track_id") == "one"
    clean(page, index)


def test_the_track_that_was_asked_for_is_chosen(page: Page, tmp_path: Path) -> None:
    store = view_store(tmp_path / "store", clip("constant rate", tmp_path), tracks=("one", "two"))
    assert opened(page, write_view(store, "two").page).value("chosen().track_id") == "two"


def test_the_mouse_seeks_and_zooms(page: Page, tmp_path: Path) -> None:
    index = write_view(view_store(tmp_path / "store", clip("constant rate", tmp_path)), "clip").page
    opened(page, index)
    box = page.value("JSON.stringify(cursor.getBoundingClientRect())")
    place = json.loads(box)
    middle = place["x"] + 132 + (place["width"] - 142) / 2
    y = place["y"] + 40
    page.mouse("mousePressed", middle, y, button="left", buttons=1, clickCount=1)
    shows(page, 60)
    page.mouse("mouseMoved", middle + 100, y, button="left", buttons=1)
    page.wait("player.shown > 60 && player.wanted === null")
    page.mouse("mouseReleased", middle + 100, y, button="left", clickCount=1)
    page.mouse("mouseWheel", middle, y, deltaX=0, deltaY=-100)
    length = page.wait("span.to - span.from < 4 && span.to - span.from")
    assert length == pytest.approx(4.8 * 0.8)
    assert page.value("(span.from + span.to) / 2") == pytest.approx(2.4, abs=0.05)
    page.press("0")
    assert page.value("span.to") == pytest.approx(4.8)
    clean(page, index)


def test_two_models_are_shown_and_their_largest_disagreements_are_jumped_to(page: Page, tmp_path: Path) -> None:
    systems = dict.fromkeys((1, 2), ("va", "expr", "au"))
    store = view_store(tmp_path / "store", clip("constant rate", tmp_path), systems=systems, labelled=False)
    index = write_view(store, "clip", "1", "2").page
    opened(page, index)
    titles = page.value("rows.map((row) => row.title.trim())")
    assert titles[:5] == ["face", "valence", "arousal", "expression", "second model"]
    assert [series[2] for series in page.value("rows[1].series")] == ["second model", "raw", "smoothed"]
    apart = page.value(
        "[...Array(numFrames).keys()].map((f) => Math.max(Math.abs(chosen().get('smoothed_valence')[f]"
        " - chosen().get('other_smoothed_valence')[f]), 0) + 0.5)"
    )
    found = page.value("jumps(chosen())")
    most = max(range(FRAMES), key=apart.__getitem__)
    assert min(abs(jump["frame"] - most) for jump in found) <= 1  # numbers are kept to 1/32000
    assert "second model" in found[0]["reason"]
    assert "model_version IN (1, 2)" in page.value("document.getElementById('sql').textContent")
    clean(page, index)


def test_a_task_that_no_one_answers_is_absent(page: Page, tmp_path: Path) -> None:
    store = view_store(tmp_path / "store", clip("constant rate", tmp_path), systems={1: ("expr",)}, labelled=False)
    index = write_view(store, "clip").page
    opened(page, index)
    assert page.value("rows.map((row) => row.title)") == ["face", "expression"]
    assert page.value("document.getElementById('plane').hidden") is True
    assert page.value("barRows(chosen(), 0).rows.length") == 7
    clean(page, index)


def test_a_name_is_never_taken_for_a_script(page: Page, tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "a'b<script>window.hacked=1<_script>.mp4", FRAMES)
    track = "<img src=x onerror=hacked=1>'; --"
    index = write_view(view_store(tmp_path / "store", path, tracks=(track,)), path.stem).page
    opened(page, index, "#frame=4")
    shows(page, 4)
    page.press("ArrowRight")
    shows(page, 5)
    assert page.value("typeof window.hacked") == "undefined"
    assert page.value("document.querySelector('h1').textContent") == path.stem
    assert page.value("document.querySelector('#person option').textContent") == track
    assert page.value("document.getElementById('sql').textContent").endswith(
        "track_id = '<img src=x onerror=hacked=1>''; --' AND frame_index = 5"
    )
    clean(page, index)


def test_a_damaged_frame_is_marked_and_the_frames_after_it_keep_their_numbers(page: Page, tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "clip.mp4", FRAMES)
    spoil(path, 30)
    statuses: dict[int, Any] = {30: Status.DECODE_ERROR}
    index = write_view(view_store(tmp_path / "store", path, statuses=statuses), "clip").page
    opened(page, index, "#frame=30")
    shows(page, 30)
    assert "damaged" in page.value("document.getElementById('now').textContent")
    page.value("seekTo(110)")
    shows(page, 110)
    clean(page, index)


def test_it_is_used_by_keyboard_alone_and_fits_a_small_screen(page: Page, tmp_path: Path) -> None:
    index = write_view(view_store(tmp_path / "store", clip("constant rate", tmp_path)), "clip").page
    opened(page, index)
    assert page.value("document.documentElement.scrollHeight <= innerHeight && document.body.scrollWidth <= innerWidth")
    focused = []
    for _ in range(10):
        page.press("Tab")
        focused.append(page.value("document.activeElement.id"))
    assert focused == ["person", "play", "back", "forward", "jump", "keys", "cursor", "sql", "copy", "link"]
    unnamed = (
        "[...document.querySelectorAll('button, select, canvas[role], [tabindex=\"0\"]')].filter((e) => !("
        "e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.length"
        ")).map((e) => e.id)"
    )
    assert page.value(unnamed) == []
    page.value("seekTo(9)")
    shows(page, 9)
    assert page.value("cursor.getAttribute('aria-valuetext')").startswith("frame 9, 0:00.360")


def test_the_scripts_are_valid_by_themselves() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node; the browser reads the scripts anyway")
    for script in (Path(__file__).parents[3] / "tasks" / "viewer").glob("*.js"):
        subprocess.run([node, "--check", str(script)], check=True)

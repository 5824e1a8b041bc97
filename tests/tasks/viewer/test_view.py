"""The folder of a view: complete, replaced as a whole, with data that a page can read back."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.viewed_store import times_of, view_store

from data.labels import ACTION_UNIT_NAMES, ALL_ACTION_UNITS
from data.testing.numbered import number_in, numbered_clip
from data.video.pyav import probe, read_with_pyav
from flows.command.cli import run_command
from tasks.viewer.burnt_in import answers
from tasks.viewer.drawing import outline, write
from tasks.viewer.encoding import CHOICE, PIXELS, SHARE, SIGNED, code_of, encoded
from tasks.viewer.page import FOLDER, SCRIPTS
from tasks.viewer.view import gather, write_video, write_view


@pytest.fixture
def store(tmp_path: Path) -> Path:
    systems = {1: ("va", "expr", "au"), 2: ("va",)}
    return view_store(tmp_path / "store", numbered_clip(tmp_path / "clip.mp4", 30), systems=systems)


def data_of(page: Path) -> dict[str, Any]:
    text = (page.parent / "data.js").read_text()
    content: dict[str, Any] = json.loads(text.removeprefix("window.VIEW = ").removesuffix(";\n"))
    return content


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("x", PIXELS),
        ("landmark_3", PIXELS),
        ("other_smoothed_arousal", SIGNED),
        ("decided_expression", CHOICE),
        ("label_au12", CHOICE),
        ("other_decided_au1", CHOICE),
        ("other_au12", SHARE),
        ("p_fear", SHARE),
    ],
)
def test_a_column_has_the_code_of_its_kind(name: str, code: object) -> None:
    assert code_of(name) == code


@pytest.mark.parametrize("code", [PIXELS, SIGNED, SHARE, CHOICE])
def test_a_number_survives_to_half_a_step_and_a_missing_one_stays_missing(code: Any) -> None:
    values_F = np.array([0.0, np.nan, 1.0, 0.4321 if code.step < 1 else 3.0])
    column = encoded(values_F, code)
    whole_F = np.frombuffer(base64.b64decode(column["data"]), f"<{column['kind']}")
    back_F = np.where(whole_F == code.missing, np.nan, whole_F * code.step)
    assert back_F == pytest.approx(values_F, abs=code.step / 2, nan_ok=True)


def test_the_page_stands_alone_and_has_the_video_beside_it(store: Path) -> None:
    view = write_view(store, "clip")
    assert view.page == store / "views" / "clip" / "index.html"
    assert sorted(path.name for path in view.page.parent.iterdir()) == [
        "data.js", "index.html", "manifest.json", "video.mp4"
    ]  # fmt: skip
    text = view.page.read_text()
    assert "://" not in text
    assert text.count("<script") == 2
    assert view.summary == "30 frames, 1 person, v2 (mtanet)"
    data = data_of(view.page)
    times = np.frombuffer(base64.b64decode(data["times"]["data"]), "<f8")
    assert times.tolist() == times_of(store.parent / "clip.mp4").tolist()
    assert data["model"] == {"version": 2, "system": "mtanet", "title": "v2 (mtanet)"}
    assert "p_anger" not in data["tracks"][0]["columns"]


def test_a_model_is_chosen_and_compared(store: Path) -> None:
    data = data_of(write_view(store, "clip", "1", "2").page)
    assert (data["model"]["version"], data["other"]["version"]) == (1, 2)
    assert {"p_anger", "au12", "other_valence"} <= data["tracks"][0]["columns"].keys()
    with pytest.raises(ValueError, match=r"model version 7 has not predicted video clip; versions that have: 1, 2\."):
        write_view(store, "clip", "7")
    with pytest.raises(ValueError, match="cannot be compared with itself"):
        write_view(store, "clip", "2", "2")


def test_an_earlier_view_is_replaced_but_nothing_else(store: Path, tmp_path: Path) -> None:
    write_view(store, "clip", "1", out=tmp_path / "out")
    page = write_view(store, "clip", "2", out=tmp_path / "out").page
    assert data_of(page)["model"]["version"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out", "store"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match="mine: holds something else than a view; give an empty or a new folder"):
        write_view(store, "clip", out=mine)
    assert (mine / "thesis.txt").read_text() == "years"


def test_a_view_that_fails_leaves_the_earlier_one(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_view(store, "clip", "1").page
    monkeypatch.setattr("tasks.viewer.page.FOLDER", tmp_path)  # its files are not there
    with pytest.raises(FileNotFoundError):
        write_view(store, "clip", "2")
    assert data_of(page)["model"]["version"] == 1


def test_a_video_without_predictions_is_shown_with_its_labels(tmp_path: Path) -> None:
    store = view_store(tmp_path / "store", numbered_clip(tmp_path / "clip.mp4", 12), systems={9: ()})
    for file in (store / "predictions").rglob("*"):
        if file.is_file():
            file.unlink()
    from data.warehouse.views import publish

    publish(store)
    view = write_view(store, "clip")
    assert view.summary == "12 frames, 1 person, not predicted yet"
    assert data_of(view.page)["model"] is None


def test_every_script_is_in_the_page() -> None:
    assert {path.name for path in FOLDER.glob("*.js")} == set(SCRIPTS)


def test_every_unit_has_its_name_in_facs() -> None:
    assert sorted(ACTION_UNIT_NAMES) == list(ALL_ACTION_UNITS)


def test_the_command_writes_the_page_and_names_it(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    command = ["mtanet", "view", "one", "--model", "1", "--compare", "2", "--open", "--store", str(store)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        run_command()
    assert not ended.value.code
    page = store / "views" / "clip" / "index.html"
    assert f"page: {page}" in capsys.readouterr().out
    assert opened == [page.resolve().as_uri()]
    assert data_of(page)["track_id"] == "one"


def test_a_video_with_everything_drawn_in_has_the_same_frames_and_times(store: Path, tmp_path: Path) -> None:
    film = write_video(store, "clip", tmp_path / "film.mp4", "1")
    assert times_of(film) == pytest.approx(times_of(tmp_path / "clip.mp4"), abs=1e-6)
    chunks = list(read_with_pyav(film, probe(film), "cpu", 30, 0))
    frames = [frame_HWC[:].numpy() for chunk in chunks for frame_HWC in chunk.frames_HWC]
    assert [number_in(frame_HWC) for frame_HWC in frames[:8]] == list(range(8))  # later ones are covered
    sky_blue = (86, 180, 233)
    for index in range(8):  # the left edge of the box, which moves by a pixel a frame
        edge = frames[index][50:60, 20 + index % 20 + 1].astype(int).mean(0)
        assert np.abs(edge - sky_blue).max() < 70
    for bad, message in [("film.avi", "expected the name of an .mp4 file"), ("no/film.mp4", "no folder")]:
        with pytest.raises(ValueError, match=message):
            write_video(store, "clip", tmp_path / bad)
    with pytest.raises(ValueError, match="is the video itself"):
        write_video(store, "clip", tmp_path / "clip.mp4")


def test_the_answers_drawn_in_are_those_of_the_frame(store: Path) -> None:
    gathered = gather(store, "clip", "1")
    track = gathered.columns.tracks[0]
    lines = answers(track, 4)
    assert (
        lines[0] == f"V {track.columns_F['smoothed_valence'][4]:+.2f} A {track.columns_F['smoothed_arousal'][4]:+.2f}"
    )
    assert lines[1] == "anger 0.70"
    assert lines[2].startswith("AU")
    assert len(lines) == 5


def test_text_outside_the_picture_and_outside_ascii_is_harmless() -> None:
    pixels_HWC = np.zeros((20, 30, 3), np.uint8)
    write(pixels_HWC, 24, 16, "Ärger", (255, 255, 255), 2)
    outline(pixels_HWC, -5, -5, 100, 100, (255, 0, 0))
    assert pixels_HWC[0, 0].tolist() == [0, 0, 0]
    write(pixels_HWC, 0, 0, "!", (0, 255, 0))
    assert [int(row) for row in np.flatnonzero(pixels_HWC[:8, 2, 1])] == [0, 1, 2, 3, 4, 6]

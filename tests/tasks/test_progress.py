from __future__ import annotations

import logging

import pytest

from data.text import counted, lasting
from tasks.progress import LOG_EVERY_S, Stage


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in s, which a test sets."""
    now_s = [100.0]
    monkeypatch.setattr("tasks.progress.time.monotonic", lambda: now_s[0])
    return now_s


def test_a_line_says_how_far_a_stage_is_and_how_long_it_will_take(
    clock: list[float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("mtanet"), "propagate", True)
    caplog.set_level(logging.INFO)
    stage = Stage("faces", 17, "videos")
    stage.skip(5)
    clock[0] += LOG_EVERY_S
    stage.count(300)
    clock[0] += LOG_EVERY_S
    stage.advance(3)
    clock[0] += 10 * LOG_EVERY_S
    stage.set(17)
    assert [record.getMessage() for record in caplog.records] == [
        "faces: 5 of 17 videos, 300 frames, 20/s",
        "faces: 8 of 17 videos, 300 frames, 20/s, about 2 min left",
        "faces: 17 of 17 videos, 300 frames, 20/s",
    ]


def test_the_page_of_a_run_gets_the_same_facts(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[float, str]] = []
    monkeypatch.setattr("tasks.progress._create_artifact", lambda *_: "an artifact")
    monkeypatch.setattr(
        "tasks.progress.update_progress_artifact",
        lambda _, *, progress, description: sent.append((progress, description)),
    )
    stage = Stage("training", 1, "epochs")
    clock[0] += 60
    stage.set(0, note="batch 3 of 80")
    stage.set(1, note="")
    stage.close()
    assert sent == [(0, "0 of 1 epoch, batch 3 of 80"), (100, "1 of 1 epoch")]


@pytest.mark.parametrize(("number", "said"), [(0, "0 videos"), (1, "1 video"), (2, "2 videos")])
def test_one_is_singular(number: int, said: str) -> None:
    assert counted(number, "videos") == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (11130, "3 h 6 min")]
)
def test_a_duration_is_said_as_people_do(seconds: float, said: str) -> None:
    assert lasting(seconds) == said

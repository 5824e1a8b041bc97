from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from flows.command.again import FINISHED, unless_finished
from flows.command.terminal import out
from tasks.config import TrainConfig


class Command:
    """A command that reads a folder, writes to the store, and counts how often it worked."""

    def __init__(self, folder: Path) -> None:
        self.store, self.root, self.num_runs = folder / "store", folder / "root", 0
        (self.store / "faces").mkdir(parents=True)
        (self.root / "deep").mkdir(parents=True)
        (self.root / "deep" / "107.mp4").write_bytes(b"frames")
        self.epochs = 3

    def __call__(self) -> int:
        """Runs the command; the number of times it has worked."""
        settings = {"train": TrainConfig(epochs=self.epochs), "model": "champion"}
        unless_finished(self.store, "predict", settings, [self.root, None], self.work)
        return self.num_runs

    def work(self) -> None:
        self.num_runs += 1
        (self.store / "faces" / "manifest.json").write_text(str(self.num_runs))
        logging.getLogger("mtanet.test").warning("doubtful: 107")
        out.print(f"done [bold]{self.num_runs}[/bold] time \\[x] in {self.store}")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Command(tmp_path)


def test_with_nothing_new_a_command_gives_its_answer_and_warnings_again(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command() == 1
    first = capsys.readouterr()
    assert command() == 1
    again = capsys.readouterr()
    assert again.out == first.out == f"done 1 time [x] in {command.store}\n"
    assert "nothing new: neither the inputs nor the store have changed since 20" in again.err
    assert "doubtful: 107" in again.err


def test_anything_new_makes_a_command_work(command: Command) -> None:
    command()
    (command.root / "deep" / "107.mp4").write_bytes(b"other frames")
    assert command() == 2
    (command.root / "108.mp4").write_bytes(b"frames")
    assert command() == 3
    shutil.rmtree(command.root / "deep")
    assert command() == 4
    (command.store / "faces" / "manifest.json").unlink()
    assert command() == 5
    (command.store / "mlflow.db").write_bytes(b"a rollback")
    assert command() == 6
    command.epochs = 4
    assert command() == 7
    command.epochs = 3
    assert command() == 8, "the store has changed since then"
    assert command() == 8


def test_logs_and_locks_are_no_news(command: Command) -> None:
    command()
    for name in ("logs/prefect.log", "prefect/prefect.db", "locks/a.lock"):
        (command.store / name).parent.mkdir(exist_ok=True)
        (command.store / name).write_text("?")
    assert command() == 1


def test_a_store_that_was_moved_gives_its_answer_with_its_new_place(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command()
    assert str(command.store) in capsys.readouterr().out
    assert not any(str(command.store) in note.read_text() for note in (command.store / FINISHED).iterdir())
    command.store = command.store.rename(tmp_path / "moved")
    assert command() == 1
    assert f"in {command.store}\n" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\x00"])
def test_a_damaged_note_is_no_answer(command: Command, content: str) -> None:
    command()
    (note,) = (command.store / FINISHED).iterdir()
    note.write_text(content)
    assert command() == 2
    assert command() == 2


def test_a_command_that_failed_leaves_no_note(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("no video")

    with monkeypatch.context() as patch:
        patch.setattr(command, "work", fail)
        with pytest.raises(ValueError, match="no video"):
            command()
    assert command() == 1


@pytest.mark.parametrize(("name", "value"), [("MLFLOW_TRACKING_URI", "http://127.0.0.1:1"), ("WORLD_SIZE", "2")])
def test_with_a_tracking_server_or_in_a_team_every_command_works(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert (command(), command()) == (1, 2)

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.store.shards import read_table
from data.warehouse.views import publish
from flows.command import terminal
from flows.command.cli import app, run_command
from flows.command.terminal import VERBOSE, out

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a warehouse and nothing in it."""
    publish(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command as it is installed."""
    monkeypatch.setattr(sys, "argv", ["mtanet", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        run_command()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, " ".join(said.err.split())


def test_help_names_every_command() -> None:
    said = CliRunner().invoke(app, ["--help"]).output
    makes = ("demo", "sample", "ingest", "train", "ablate", "evaluate", "predict")
    for command in (*makes, "compare", "register", "sql", "report", "view", "people", "rollback", "up", "doctor"):
        assert re.search(rf"^│ {command} ", said, re.MULTILINE), command


def test_help_and_sql_are_quick_and_import_nothing_heavy(store: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from flows.command.cli import app\n"
        f"answer = CliRunner().invoke(app, ['sql', 'SELECT 42 AS n', '--format', 'csv', '--store', {str(store)!r}])\n"
        "assert answer.output.split() == ['n', '42'], answer.output\n"
        "heavy = {'torch', 'prefect', 'mlflow', 'nvidia.dali', 'matplotlib', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    start_s = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    assert time.monotonic() - start_s < 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--experiment", "smaple"],
            "error: no experiment 'smaple': expected one of ablation, dense_detection, ",
        ),
        (["train", "--set", "train.epohcs=3"], "error: train.epohcs: no such setting; did you mean train.epochs"),
        (["train", "--set", "train.epochs"], "error: train.epochs: expected <setting>=<value>, such as train.epochs=3"),
        (["train", "--root", "x"], "both [sample] and ingest.root are given"),
        (["evaluate", "--split", "dev"], "error: no split 'dev': expected one of train, validation"),
        (["sql"], 'error: give a query, such as "SELECT * FROM runs", or --list to see the tables'),
        (["rollback", "--store", "nowhere"], "error: nowhere: no such store; give its folder with --store"),
        (["sql", "SELECT 1", "--store", "nowhere"], "error: nowhere/warehouse.duckdb: no warehouse yet"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_1(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(monkeypatch, capsys, *arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err


def test_a_wrong_query_is_refused(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(monkeypatch, capsys, "sql", "SELECT nothing FROM runs", "--store", str(store))
    assert code == 1
    assert "error: the query is wrong" in err


def test_a_traceback_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mtanet", "--verbose", "train", "--experiment", "smaple"])
    monkeypatch.setenv(VERBOSE, "")
    with pytest.raises(ValueError, match="no experiment 'smaple'"):
        run_command()


def test_answers_in_every_format(store: Path, tmp_path: Path) -> None:
    def ask(*arguments: str) -> str:
        answer = CliRunner().invoke(
            app, ["sql", "SELECT 1 AS n, NULL AS x, 'a' AS name", "--store", str(store), *arguments]
        )
        assert answer.exit_code == 0, answer.output
        return answer.output

    assert [line.split() for line in ask().splitlines()] == [["n", "x", "name"], ["1", "NULL", "a"]]
    assert ask("--format", "csv").split() == ["n,x,name", "1,,a"]
    assert json.loads(ask("--format", "json")) == [{"n": 1, "x": None, "name": "a"}]
    for suffix in ("csv", "json", "parquet", "table"):
        ask("--format", suffix, "--out", str(tmp_path / f"answer.{suffix}"))
    assert read_table([tmp_path / "answer.parquet"])["n"].to_pylist() == [1]
    assert json.loads((tmp_path / "answer.json").read_text())[0]["name"] == "a"
    assert "predictions" in CliRunner().invoke(app, ["sql", "--list", "--store", str(store)]).output


def test_parquet_goes_to_a_pipe_but_not_to_a_terminal(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [
        sys.executable,
        "-m",
        "flows.command",
        "sql",
        "SELECT 7 AS n",
        "--format",
        "parquet",
        "--store",
        str(store),
    ]
    piped = subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout
    assert piped[:4] == piped[-4:] == b"PAR1"
    from flows.command.show import write_answer

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(ValueError, match="a terminal cannot show Parquet"):
        write_answer(store, "SELECT 7 AS n", "parquet", None, out)


def test_a_long_answer_is_cut_and_its_rows_counted(store: Path) -> None:
    answer = CliRunner().invoke(app, ["sql", "SELECT range AS n FROM range(100)", "--store", str(store)])
    assert answer.output.splitlines()[-1].startswith("... 100 rows in all")
    assert len(answer.output.splitlines()) == 42


def test_the_doctor_says_what_there_is(store: Path) -> None:
    said = CliRunner().invoke(app, ["doctor", "--store", str(store)]).output
    for word in ("Python 3.", "prefect 3.", "device", "cores", "frames", "GiB free", "mlflow"):
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "nope.mp4"], "error: nope.mp4: no such file or folder; give video files, or folders"),
        (["predict", ".", "--name", "a/b"], "error: 'a/b' cannot name a data set: expected letters"),
        (["ingest", ".", "--name", "a/b"], "error: 'a/b' cannot name a data set: expected letters"),
        (["evaluate", "--dataset", "sampel"], "error: no data set 'sampel' in"),
        (["sql", "SELECT 1", "--format", "csv", "--out", "no/a.csv"], "error: no/a.csv: no folder no; make it"),
        (["sql", "SELECT 1", "--out", "/tmp"], "error: /tmp: is a folder; give the name of a file with --out"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr("flows.command.terminal.prefect_server", None)
    code, _, err = run(monkeypatch, capsys, *arguments, "--store", str(store))
    assert (code, err[: len(message)]) == (1, message)


@pytest.mark.parametrize("command", [["evaluate"], ["predict", "."], ["report"], ["rollback"]])
def test_a_store_that_is_missing_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    missing = tmp_path / "nope"
    code, _, err = run(monkeypatch, capsys, *command, "--store", str(missing))
    assert code == 1
    assert f"{missing}: no such store" in err
    assert not missing.exists()


def test_the_ending_of_a_file_is_its_format(store: Path, tmp_path: Path) -> None:
    for ending, start in (("parquet", b"PAR1"), ("csv", b"n\n1"), ("json", b"["), ("txt", b"n\n1")):
        path = tmp_path / f"answer.{ending}"
        CliRunner().invoke(app, ["sql", "SELECT 1 AS n", "--out", str(path), "--store", str(store)])
        assert path.read_bytes().startswith(start)


def test_what_would_only_fail_is_refused_before_the_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ValueError("no model 'nobody'")

    @contextmanager
    def server(_store: Path) -> Iterator[None]:
        yield
        pytest.fail("waited for the server")

    monkeypatch.setattr(terminal, "prefect_server", server)
    monkeypatch.setattr(terminal, "set_environment", lambda *_, **__: None)
    monkeypatch.setattr(terminal, "_show_logs", lambda: None)
    monkeypatch.setenv("MTANET_STORE", "")
    with pytest.raises(ValueError, match="no model 'nobody'"), terminal.prefect(tmp_path, refuse):
        pytest.fail("the flows have begun")

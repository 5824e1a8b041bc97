"""Printed output: scores, answers to queries, the end of the demo."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from data.store.catalogue import only_name, read_catalogue
from data.store.shards import read_manifest
from data.text import counted
from data.warehouse.answers import query, save_answer, set_store, warehouse_path
from data.warehouse.views import carry_over
from flows.command.table import print_table

if TYPE_CHECKING:
    from flows.train import Trained
    from tasks.scoring.result import Evaluation

Style = Literal["table", "csv", "json", "parquet"]
VIEWS = (
    "SELECT table_name AS view, string_agg(column_name, ', ' ORDER BY ordinal_position) AS columns "
    "FROM information_schema.columns GROUP BY 1 ORDER BY 1"
)
_SHOWN_PAIRS = 40
"""Of pairs that are perhaps the same person."""
DEMO_QUERY = """\
SELECT p.track_id, count(*) AS frames, ccc(p.valence, l.valence) AS ccc_valence,
       ccc(p.arousal, l.arousal) AS ccc_arousal, f1_binary(l.au12, p.au12 > 0.5) AS f1_au12
FROM predictions p JOIN labels l USING (track_id, frame_index)
WHERE p.model_version = {version} AND l.split_va = 'validation' GROUP BY 1 ORDER BY 1"""


def write_answer(store: Path, sql: str, style: Style, to: Path | None, console: Console) -> None:
    """Answers a query as `table`, `csv`, `json` or `parquet`, in a file or on standard output.

    Raises:
        ValueError: The query is wrong, or Parquet would go to a terminal.
    """
    if to is not None:
        _check_place(to)
    carry_over(store)
    if style == "table":
        table = query(store, sql)
        if to is None:
            print_table(table, console)
        else:
            with to.open("w") as file:
                print_table(table, Console(file=file, width=200))
    elif to is not None:
        save_answer(store, sql, style, to)
    else:
        if style == "parquet" and sys.stdout.isatty():
            raise ValueError("a terminal cannot show Parquet: name a file with --out, or pipe the output")
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer"
            save_answer(store, sql, style, answer)
            sys.stdout.flush()
            with answer.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; give the name of a file with --out")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: no folder {path.parent}; make it, or give another file with --out")


def print_comparison(store: Path, name: str, console: Console) -> None:
    """Prints a kept comparison: a table for each level, and what can be told apart.

    Raises:
        ValueError: There is none of that name.
    """
    from tasks.comparison.page import HEADINGS, by_level, cells, verdicts
    from tasks.comparison.result import read_comparison

    comparison = read_comparison(store, name)
    for level, rows in by_level(comparison).items():
        title = f"{comparison.name}: {comparison.dataset}, {counted(len(comparison.seeds), 'seeds')}"
        table = Table(title=f"{title}, {level}" if level else title, title_justify="left", box=None, pad_edge=False)
        for heading in HEADINGS:
            table.add_column(escape(heading), overflow="fold")
        for row in rows:
            table.add_row(*map(escape, cells(row)))
        console.print(table)
    for verdict in verdicts(comparison):
        console.print(verdict, markup=False)


def print_views(store: Path, console: Console) -> None:
    """Prints each view with all its columns."""
    carry_over(store)
    for row in query(store, VIEWS).to_pylist():
        console.print(f"[bold]{escape(row['view'])}[/bold]")
        console.print(Padding(escape(row["columns"]), (0, 0, 0, 2)), soft_wrap=False)


def store_option(store: Path) -> str:
    """The option that names the store, or nothing if it is the default."""
    return "" if store == Path("store") else f" --store {shlex.quote(str(store))}"


def open_shell(store: Path) -> NoReturn:
    """Becomes DuckDB's own shell on the warehouse, read-only.

    Raises:
        ValueError: There is no warehouse, or the shell is not installed.
    """
    warehouse = warehouse_path(store)
    if not warehouse.is_file():
        raise ValueError(f"{warehouse}: no warehouse yet; run `mtanet ingest` or `mtanet train` first")
    shell = shutil.which("duckdb") or shutil.which("duckdb", path=str(Path(sys.executable).parent))
    if shell is None:
        raise ValueError(
            'give a query, such as "SELECT * FROM runs", or --list to see the tables; to type queries one after '
            "another, install DuckDB's shell: `pip install duckdb-cli`"
        )
    carry_over(store)
    os.execv(shell, [shell, "-readonly", "-cmd", set_store(store), str(warehouse)])


def print_scores(evaluation: Evaluation, console: Console) -> None:
    """Prints the pooled scores with their intervals, and those of a constant guess."""
    from tasks.scoring.reports import HEADLINES

    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column(f"{evaluation.dataset}, {evaluation.split}: {counted(evaluation.num_frames, 'frames')}")
    shown.add_column(str(evaluation.model), justify="right")
    shown.add_column("95 % interval", justify="right")
    shown.add_column("constant guess", justify="right")
    for name, title in HEADLINES.items():
        if name in evaluation.scores:
            guess = evaluation.constant_guess.get(name, float("nan"))
            interval = evaluation.intervals.get(name)
            ends = f"{interval.low:.3f} to {interval.high:.3f}" if interval else "-"
            shown.add_row(title, f"{evaluation.scores[name]:.3f}", ends, f"{guess:z.3f}")
    console.print(shown)
    if evaluation.corruption:
        console.print(f"The training labels were corrupted: {evaluation.corruption}")


def print_people(store: Path, name: str | None, console: Console) -> None:
    """Prints the tracks of different videos that show the same person, or perhaps do."""
    from data.warehouse.subjects import find_pairs, people_rows, track_embeddings

    dataset = read_catalogue(store, only_name(store, name))
    if dataset.is_synthetic(store):
        console.print(f"{dataset.name}: rendered heads are too alike to tell people apart over several videos")
        return
    seen = {row["track_id"] for row in people_rows(store, [dataset]) if row["num_faces"]}
    embeddings = track_embeddings(dataset.faces_folders(store), store)
    left_out = seen - embeddings.keys()
    if left_out:
        console.print(
            f"{len(left_out)} of {counted(len(seen), 'tracks')} cannot be compared: they were made with "
            "identity = false, none of their faces was looked at, or what recognises people was deleted; to make that "
            "again, run `mtanet people --again`, then the same ingest or predict"
        )
    pairs = find_pairs(dataset, embeddings, store)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("track", "split", "other track", "split", "distance", "same person?", "leak?"):
        shown.add_column(column, justify="right" if column == "distance" else "left")
    shown_pairs = [pair for pair in pairs if pair.is_same] + [pair for pair in pairs if not pair.is_same][:_SHOWN_PAIRS]
    for pair in shown_pairs:
        answer, leak = "yes" if pair.is_same else "perhaps", "LEAK" if pair.is_leak else ""
        (one, split), (other, other_split) = zip((pair.track_id, pair.other_track_id), pair.splits, strict=True)
        shown.add_row(one, split, other, other_split, f"{pair.distance:.2f}", answer, leak)
    num_same, num_leaks = sum(pair.is_same for pair in pairs), sum(pair.is_same_leak for pair in pairs)
    if pairs:
        console.print(shown)
    console.print(
        f"{dataset.name}: {counted(num_same, 'pairs')} of tracks of different videos show the same person, "
        f"{counted(num_leaks, 'pairs')} of them across training and validation or test; "
        f"{counted(len(pairs) - num_same, 'pairs')} perhaps do"
        + (f", of which the nearest {_SHOWN_PAIRS} are shown" if len(pairs) - num_same > _SHOWN_PAIRS else "")
    )


def recognise_again(store: Path, name: str | None, console: Console) -> None:
    """Makes the embeddings of a data set again from what its detections keep."""
    from data.extraction.assembly import embed_again

    dataset = read_catalogue(store, only_name(store, name))
    manifests = [read_manifest(folder) for folder in dataset.faces_folders(store)]
    made = [embed_again(store / "detections" / of["detections"]) for of in manifests if of.get("identity")]
    console.print(f"{dataset.name}: {counted(sum(made), 'videos')} of {len(dataset.videos)} can be compared")


def forget_people(store: Path, console: Console) -> None:
    """Deletes all embeddings."""
    from data.store.embeddings import delete_embeddings

    console.print(f"deleted what recognises people in {counted(delete_embeddings(store), 'videos')}")


def print_trained(trained: Trained, console: Console) -> None:
    """Prints the scores, and whether the model became champion."""
    print_scores(trained.evaluation, console)
    console.print(f"\n{escape(trained.verdict)}")


def _first_video(store: Path, version: int) -> str:
    sql = f"SELECT min(video_id) AS video_id FROM predictions WHERE model_version = {version}"
    return shlex.quote(str(query(store, sql)["video_id"][0]))


def print_demo(trained: Trained, store: Path, console: Console) -> None:
    """Prints the end of the demo: scores, version, an SQL answer and next steps."""
    model = trained.model
    sql = DEMO_QUERY.format(version=model.number)
    console.print("\n[bold]Scores on synthetic people that the model has never seen[/bold]")
    print_trained(trained, console)
    aliases = ", ".join(model.aliases) or "no alias"
    console.print(f"registered as {model} ({aliases}), MLflow run {model.run_id}")
    console.print(f"\n[bold]SQL over its predictions[/bold]\n{escape(sql)}\n")
    print_table(query(store, sql), console)
    console.print("\n[bold]Next steps[/bold]")
    where = store_option(store)
    steps = {
        f"mtanet up{where}": "Prefect, MLflow and a worker, with their pages",
        f'mtanet sql{where} "SELECT * FROM runs"': "query anything; `mtanet sql --list` shows the tables",
        f"mtanet view{where} {_first_video(store, model.number)} --open": "a video with its predictions",
        f"mtanet compare{where}": "six systems side by side: an hour on two cores",
        "prefect deployment run train-mtanet/nightly --watch": "the same flow as a deployment; needs `mtanet up`",
    }
    width = max(map(len, steps))
    for command, what in steps.items():
        console.print(f"  {command:{width}}   {what}")
    console.print(f"Everything is in {store}/: shards, models, MLflow's records and {store}/warehouse.duckdb.")

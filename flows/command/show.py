"""What the command prints: scores, answers to queries, the end of the demo."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data.store.shards import write_parquet
from data.warehouse import views

if TYPE_CHECKING:
    from flows.train import Trained
    from tasks.scoring.result import Evaluation

SHOWN_ROWS = 40
VIEWS = (
    "SELECT table_name AS view, string_agg(column_name, ', ' ORDER BY ordinal_position) AS columns "
    "FROM information_schema.columns GROUP BY 1 ORDER BY 1"
)
DEMO_QUERY = """\
SELECT p.track_id, count(*) AS frames, ccc(p.valence, l.valence) AS ccc_valence,
       ccc(p.arousal, l.arousal) AS ccc_arousal, f1_binary(l.au12, p.au12 > 0.5) AS f1_au12
FROM predictions p JOIN labels l USING (track_id, frame_index)
WHERE p.model_version = {version} AND l.split_va = 'validation' GROUP BY 1 ORDER BY 1"""


def write_answer(table: Any, style: str, to: Path | None, console: Console) -> None:
    """Writes an Arrow table as `table`, `csv`, `json` or `parquet`, to a file or to standard output.

    Raises:
        ValueError: Parquet would go to a terminal.
    """
    if style == "parquet":
        _write_parquet(table, to)
    elif to is not None:
        with to.open("w", newline="") as file:
            _write_text(table, style, file, Console(file=file, width=200))
    else:
        _write_text(table, style, sys.stdout, console)


def _write_text(table: Any, style: str, file: TextIO, console: Console) -> None:
    if style == "table":
        print_table(table, console)
    elif style == "json":
        json.dump(table.to_pylist(), file, indent=2, default=str)
        file.write("\n")
    else:
        writer = csv.writer(file)
        writer.writerow(table.column_names)
        writer.writerows(row.values() for row in table.to_pylist())


def _write_parquet(table: Any, to: Path | None) -> None:
    if to is not None:
        write_parquet(table, to)
        return
    if sys.stdout.isatty():
        raise ValueError("Parquet is no text for a terminal: give a file with --out, or pipe it on")
    with tempfile.TemporaryDirectory() as folder:
        write_parquet(table, Path(folder) / "answer.parquet")
        sys.stdout.buffer.write((Path(folder) / "answer.parquet").read_bytes())


def store_option(store: Path) -> str:
    """What a command needs to find the store: nothing if it is where it always is."""
    return "" if store == Path("store") else f" --store {store}"


def print_table(table: Any, console: Console) -> None:
    """The first rows of an Arrow table, and how many there are."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for field in table.schema:
        is_number = str(field.type).startswith(("int", "uint", "float", "double", "decimal"))
        shown.add_column(field.name, justify="right" if is_number else "left", overflow="fold")
    for row in table.slice(0, SHOWN_ROWS).to_pylist():
        shown.add_row(*(escape(_cell(value)) for value in row.values()))
    console.print(shown)
    if len(table) > SHOWN_ROWS:
        console.print(f"... {len(table)} rows in all; --format csv or parquet gives every one")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


def print_scores(evaluation: Evaluation, console: Console) -> None:
    """The pooled scores with their intervals, beside those of a constant guess."""
    from tasks.scoring.reports import HEADLINES

    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column(f"{evaluation.dataset}, {evaluation.split}: {evaluation.num_frames} frames")
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


def print_trained(trained: Trained, console: Console) -> None:
    """The scores, and what became of the model."""
    print_scores(trained.evaluation, console)
    console.print(f"\n{escape(trained.verdict)}")


def print_demo(trained: Trained, store: Path, console: Console) -> None:
    """The end of the demo: scores, version, an SQL answer, and how to go on."""
    model = trained.model
    query = DEMO_QUERY.format(version=model.number)
    console.print("\n[bold]Scores on synthetic people that the model never saw[/bold]")
    print_trained(trained, console)
    aliases = ", ".join(model.aliases) or "no alias"
    console.print(f"registered as {model} ({aliases}), MLflow run {model.run_id}")
    console.print(f"\n[bold]SQL over its predictions[/bold]\n{escape(query)}\n")
    print_table(views.query(store, query), console)
    console.print("\n[bold]Go on with[/bold]")
    where = store_option(store)
    steps = {
        f"mtanet up{where}": "Prefect, MLflow and a worker, with their pages",
        f'mtanet sql{where} "SELECT * FROM runs"': "any question; `mtanet sql --list` says of what",
        "prefect deployment run train-mtanet/nightly --watch": "the same flow by its deployment, once `up` is",
    }
    width = max(map(len, steps))
    for command, what in steps.items():
        console.print(f"  {command:{width}}   {what}")
    console.print(f"Everything lies in {store}/: shards, models, MLflow's records, and {store}/warehouse.duckdb.")

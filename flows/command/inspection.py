"""The subcommands that show or maintain results; `flows.command.cli` has the ones that produce results."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from data.store.access import check_store
from flows.command import interrupt
from flows.command.options import STORE, Store, refuse_missing
from flows.command.terminal import err, is_verbose, out
from flows.servers.environment import MLFLOW_PORT, PREFECT_PORT, set_environment

app = typer.Typer()


class Format(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="A SELECT over the views and macros of the warehouse.")] = None,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="Format of the answer.", show_default="table, or the ending of --out"),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Write the answer to this file, not to the terminal.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the views and their columns.")] = False,
    store: Store = STORE,
) -> None:
    """Query the warehouse with SQL: frames, labels, predictions, videos, runs. Without a query, open DuckDB's shell."""
    from flows.command.show import VIEWS, open_shell, print_views, write_answer

    interrupt.say_instead("Interrupted: the query was stopped")
    if format_ is None:
        ending = to.suffix[1:] if to is not None else ""
        format_ = Format(ending) if ending in list(Format) else Format.TABLE
    if list_ and format_ is Format.TABLE and to is None:
        print_views(store, out)
        return
    if query is None and not list_:
        if not sys.stdin.isatty():
            raise ValueError('give a query, such as "SELECT * FROM runs", or --list to see the tables')
        open_shell(store)
    write_answer(store, query or VIEWS, format_.value, to, out)


@app.command()
def report(
    dataset: Annotated[str | None, typer.Option(help="A data set in the store.", show_default="the only one")] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="File to write.", show_default="STORE/reports/DATASET.html")
    ] = None,
    store: Store = STORE,
) -> None:
    """Write the quality report of a data set: one page with counts, SQL, pictures and faces."""
    refuse_missing(store)
    check_store(store)
    with err.status("writing the report"):
        from tasks.quality.report import report_on

        page = report_on(store, dataset, to)
    out.print(f"quality report: {page}")


@app.command()
def view(
    video: Annotated[str, typer.Argument(help="A video in the store, a track, or a file that was predicted.")],
    model: Annotated[
        str | None, typer.Option(help="Version number or alias.", show_default="the newest that predicted it")
    ] = None,
    compare: Annotated[str | None, typer.Option(help="A second model, to compare with.")] = None,
    to: Annotated[Path | None, typer.Option("--out", help="Folder to write.", show_default="STORE/views/VIDEO")] = None,
    film: Annotated[
        Path | None, typer.Option("--video", help="Instead, write an .mp4 file with everything drawn in.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    store: Store = STORE,
) -> None:
    """Write a page that shows a video with its faces, labels and predictions, frame by frame. It needs no server."""
    refuse_missing(store)
    check_store(store)
    if film is not None:
        if compare is not None or to is not None or open_:
            raise ValueError("--video writes no page; leave out --compare, --out and --open")
        with err.status("drawing"):
            from tasks.viewer.view import write_video

            written_film = write_video(store, video, film, model)
        out.print(f"video: {written_film}", markup=False, highlight=False, soft_wrap=True)
        return
    with err.status("writing the page"):
        from tasks.viewer.view import write_view

        written = write_view(store, video, model, compare, to)
    out.print(f"{written.summary}\npage: {written.page}", markup=False, highlight=False, soft_wrap=True)
    if open_:
        import webbrowser

        webbrowser.open(written.page.resolve().as_uri())


@app.command()
def people(
    dataset: Annotated[str | None, typer.Option(help="A data set in the store.", show_default="the only one")] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Instead, delete what recognises people in all data sets.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="First make again, without decoding, what --forget deleted.")
    ] = False,
    store: Store = STORE,
) -> None:
    """List people who are seen in several videos of a data set, above all in training and validation videos."""
    from flows.command.show import forget_people, print_people, recognise_again

    refuse_missing(store)
    if forget:
        if dataset is not None:
            raise ValueError("--forget deletes what recognises people in all data sets; leave out --dataset")
        check_store(store)
        forget_people(store, out)
        return
    if again:
        check_store(store)
        recognise_again(store, dataset, out)
    print_people(store, dataset, out)


@app.command()
def register(
    onnx: Annotated[Path, typer.Option(help="An ONNX file of a network that reads faces.")],
    spec: Annotated[
        str, typer.Option(help="What it expects and answers: a name in flows/specs/, or path of a .toml file.")
    ],
    synthetic: Annotated[bool, typer.Option("--synthetic", help="It was trained on rendered people.")] = False,
    store: Store = STORE,
) -> None:
    """Register a network that was trained elsewhere, to predict and to be scored like the others."""
    check_store(store)
    set_environment(store, verbose=is_verbose())
    with err.status("trying the network"):
        from tasks.training.elsewhere import register_onnx

        version = register_onnx(onnx, spec, store, is_synthetic=synthetic)
    out.print(f"{version}: {onnx.name}. To use it, for example:")
    out.print(f"  mtanet predict VIDEOS --model {version.number}")
    out.print(f"  mtanet evaluate --model {version.number} --dataset DATASET")


@app.command()
def rollback(store: Store = STORE) -> None:
    """Make the previous champion the champion again."""
    refuse_missing(store)
    check_store(store)
    set_environment(store, verbose=is_verbose())
    with err.status("reading MLflow's records"):
        from tasks.scoring.champion import roll_back

        verdict = roll_back(store)
    out.print(verdict)


@app.command()
def up(
    store: Store = STORE,
    prefect_port: Annotated[int, typer.Option(help="Port of the Prefect server.")] = PREFECT_PORT,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow server.")] = MLFLOW_PORT,
) -> None:
    """Run Prefect, MLflow and a worker for the deployments, until Ctrl-C."""
    from flows.servers.up import up as serve

    interrupt.say_instead("Stopped: the servers and their runs end now. Run the same command again to resume")
    serve(store, prefect_port=prefect_port, mlflow_port=mlflow_port)


@app.command()
def doctor(
    context: typer.Context,
    store: Store = STORE,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Instead, check the GPU against the CPU and print a verdict.")
    ] = False,
) -> None:
    """Describe this machine: versions, device, decoders, store, servers. With --store, check all its files."""
    from flows.command.doctor import print_facts, print_gpu_verdict, print_store_verdict

    if gpu:
        print_gpu_verdict(out)
        return
    print_facts(store, out)
    source = context.get_parameter_source("store")
    if source is not None and source.name == "COMMANDLINE":
        print_store_verdict(store, out, err)

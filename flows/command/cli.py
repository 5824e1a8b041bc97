"""The `mtanet` command, and its subcommands that produce results.

Heavy imports are inside the subcommands that need them, so that `--help` and `mtanet sql` start quickly.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.store.catalogue import check_name, read_catalogue
from flows.command import comparing, inspection, interrupt
from flows.command.again import unless_finished
from flows.command.options import CORES, STORE, OnDevice, Store, Workers, machine_of, refuse_missing
from flows.command.terminal import VERBOSE, as_team, err, is_verbose, out, prefect

if TYPE_CHECKING:
    from flows.train import Trained
    from tasks.config import AnyExperiment, MachineConfig

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train multi-task affect models on raw Aff-Wild2 videos, and query their predictions with SQL.",
)
EXPECTED = (ValueError, RuntimeError, OSError, ModuleNotFoundError, FloatingPointError)
"""Errors that the user can fix; shown as one sentence, without a traceback."""


@app.callback()
def _verbosity(
    verbose: Annotated[bool, typer.Option("--verbose", help="Show all logs and tracebacks.")] = False,
) -> None:
    if verbose:
        os.environ[VERBOSE] = "1"


@app.command()
def demo(store: Store = STORE, device: OnDevice = "auto", workers: Workers = CORES) -> None:
    """Run the whole pipeline on a synthetic sample: videos, faces, labels, training, scores, predictions in SQL."""
    from flows.command.show import print_demo

    def work() -> None:
        out.print(
            "The demo renders a [bold]synthetic[/bold] sample: heads with exact labels, and no real person's face."
        )
        print_demo(_train("sample", machine_of(store, device, workers)), store, out)

    unless_finished(store, "demo", {"device": device}, [], work)


@app.command()
def train(
    experiment: Annotated[str, typer.Option(help="Name in flows/experiments, or path of a .toml file.")] = "sample",
    root: Annotated[Path | None, typer.Option(help="Folder of Aff-Wild2; overrides the experiment's.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, such as train.epochs=3.")] = None,
    store: Store = STORE,
    device: OnDevice = "auto",
    workers: Workers = CORES,
) -> None:
    """Run an experiment from its videos to a registered, scored model and its predictions."""
    from flows.command.show import print_trained
    from tasks.experiments import load_experiment, with_settings

    given = [*(set_ or []), *([f'ingest.root="{root}"'] if root else [])]
    config = with_settings(load_experiment(experiment), given)
    machine = machine_of(store, device, workers)

    def work() -> None:
        as_team(machine, lambda: print_trained(_train(config, machine), out))

    inputs = [config.ingest.root, config.ingest.track_hints, getattr(config.train, "pretrained", None)]
    unless_finished(store, "train", {"config": config, "device": device}, inputs, work)


@app.command()
def sample(
    clips: Annotated[int, typer.Option(min=3, help="Number of videos.")] = 30,
    seconds: Annotated[float, typer.Option(help="Length of each video, in seconds.")] = 6.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same sample.")] = 7,
    store: Store = STORE,
    workers: Workers = CORES,
) -> None:
    """Render a synthetic sample in Aff-Wild2's layout."""
    from tasks.config import SampleConfig

    config = SampleConfig(clips=clips, seconds=seconds, seed=seed)

    def work() -> None:
        with prefect(store):
            from tasks.ingest.sample import make_sample

            folder = make_sample(config, machine_of(store, "auto", workers))
        out.print(f"synthetic sample: {folder}")

    unless_finished(store, "sample", {"config": config}, [], work)


@app.command()
def ingest(
    root: Annotated[Path, typer.Argument(help="Folder with the videos and annotations of Aff-Wild2, at any depth.")],
    name: Annotated[str | None, typer.Option(help="Name of the data set.", show_default="name of the folder")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, such as min_score=0.8.")] = None,
    track_hints: Annotated[
        Path | None, typer.Option(help="TOML file that corrects identities: see docs/people.md.")
    ] = None,
    store: Store = STORE,
    device: OnDevice = "auto",
    workers: Workers = CORES,
) -> None:
    """Turn videos and annotations into face shards, aligned labels and a quality report."""
    from tasks.config import IngestConfig
    from tasks.experiments import with_settings

    named = name if name is None else check_name(name)
    config = with_settings(IngestConfig(root=root, name=named, track_hints=track_hints), set_ or [])

    def work() -> None:
        with prefect(store):
            from data.text import counted
            from flows.ingest import ingest_aff_wild2

            dataset = ingest_aff_wild2(config, machine_of(store, device, workers))
            videos = counted(len(dataset.videos), "videos")
        out.print(f"data set {dataset.name}: {videos}, edition {dataset.edition}")

    unless_finished(store, "ingest", {"config": config, "device": device}, [root, track_hints], work)


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="Version number or alias.")] = "champion",
    dataset: Annotated[str, typer.Option(help="A data set in the store.")] = "sample",
    split: Annotated[str, typer.Option(help="One of train, validation, test and held_out.")] = "validation",
    store: Store = STORE,
    device: OnDevice = "auto",
) -> None:
    """Score a registered model on a split of a data set."""
    from data.labels import Split
    from flows.command.show import print_scores

    if split not in list(Split):
        raise ValueError(f"no split '{split}': expected one of {', '.join(Split)}")
    refuse_missing(store)
    read_catalogue(store, dataset)

    def work() -> None:
        with prefect(store, partial(_check_model, store, model)):
            from flows.evaluate import evaluate_mtanet

            print_scores(evaluate_mtanet(model, dataset, Split(split), machine_of(store, device, CORES)), out)

    settings = {"model": model, "dataset": dataset, "split": split, "device": device}
    unless_finished(store, "evaluate", settings, [], work)


@app.command()
def predict(
    videos: Annotated[list[Path], typer.Argument(help="Video files, and folders of videos, at any depth.")],
    model: Annotated[str, typer.Option(help="Version number or alias.")] = "champion",
    name: Annotated[str | None, typer.Option(help="Name of the data set.", show_default="name of the folder")] = None,
    store: Store = STORE,
    device: OnDevice = "auto",
    workers: Workers = CORES,
) -> None:
    """Predict every frame of every person in your own videos, for queries with SQL."""
    from data.annotations.videos import check_paths
    from flows.command.show import store_option

    refuse_missing(store)
    if name is not None:
        check_name(name)
    check_paths(videos)

    def work() -> None:
        with prefect(store, partial(_check_model, store, model)):
            from data.text import counted
            from flows.predict import predict_videos

            dataset = predict_videos(videos, model, machine_of(store, device, workers), name)
            predicted = counted(len(dataset.videos), "videos")
        out.print(f"data set {dataset.name}: {predicted} predicted. To query the predictions, run for example")
        out.print(f'  mtanet sql{store_option(store)} "{EXAMPLE.format(dataset=dataset.name)}"')

    settings = {"videos": [str(path.absolute()) for path in videos], "model": model, "name": name, "device": device}
    unless_finished(store, "predict", settings, videos, work)


EXAMPLE = (
    "SELECT track_id, avg(valence) AS valence, avg(arousal) AS arousal FROM predictions "
    "JOIN videos USING (video_id) WHERE dataset = '{dataset}' GROUP BY 1 ORDER BY 1"
)


app.add_typer(comparing.app)
app.add_typer(inspection.app)


def run_command() -> None:
    """Runs the command. For an error that the user can fix, prints one sentence and exits with code 1."""
    try:
        app()
    except EXPECTED as error:
        if is_verbose() or interrupt.is_interrupted():
            raise
        from rich.markup import escape

        err.print(f"[red]error:[/red] {escape(str(error) or type(error).__name__)}")
        sys.exit(1)


def _check_model(store: Path, model: str) -> None:
    from tasks.tracking.registry import find_version

    find_version(store, model)


def _train(experiment: str | AnyExperiment, machine: MachineConfig) -> Trained:
    with prefect(machine.store):
        from flows.train import train_mtanet

        return train_mtanet(experiment, machine)  # type: ignore[arg-type]

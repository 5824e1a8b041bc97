"""The subcommands that compare: experiments with one another, and a recipe with its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data.store.catalogue import check_name
from flows.command.again import unless_finished
from flows.command.options import CORES, STORE, OnDevice, Store, Workers, machine_of, refuse_missing
from flows.command.terminal import out, prefect

app = typer.Typer()


@app.command()
def compare(
    experiments: Annotated[
        str | None,
        typer.Option(
            help="Names or files of experiments, the baseline first; settings of one follow its name after colons.",
            show_default="the six systems on the synthetic sample",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Number of trainings of each experiment.")] = 3,
    vary: Annotated[str, typer.Option(help="A setting and its values, at each of which to compare: NAME=V1,V2.")] = "",
    name: Annotated[str, typer.Option(help="Name of the comparison.")] = "systems",
    show: Annotated[
        bool, typer.Option("--show", help="Show the table of a finished comparison, and train nothing.")
    ] = False,
    root: Annotated[Path | None, typer.Option(help="Folder of Aff-Wild2; overrides the experiments'.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting for all, such as train.epochs=3.")] = None,
    store: Store = STORE,
    device: OnDevice = "auto",
    workers: Workers = CORES,
) -> None:
    """Train several experiments from several seeds, and show which is better beyond chance."""
    check_name(name)
    if show:
        from flows.command.show import print_comparison

        refuse_missing(store)
        print_comparison(store, name, out)
        return
    from tasks.comparison.entries import SAMPLES, entries_of

    names = SAMPLES if experiments is None else [part.strip() for part in experiments.split(",") if part.strip()]
    settings = [*(set_ or []), *([f'ingest.root="{root}"'] if root else [])]
    entries = entries_of(names, vary, settings)

    def work() -> None:
        with prefect(store):
            from flows.command.show import print_comparison
            from flows.compare import compare_systems

            page = compare_systems(names, seeds, name, vary, settings, machine_of(store, device, workers))
        print_comparison(store, name, out)
        out.print(f"page: {page}")

    configs = {f"{entry.level} {entry.name}": entry.experiment.model_dump(mode="json") for entry in entries}
    ingest = entries[0].experiment.ingest
    pretrained = [getattr(entry.experiment.train, "pretrained", None) for entry in entries]
    given = {"experiments": configs, "seeds": seeds, "name": name, "device": device}
    unless_finished(store, "compare", given, [ingest.root, ingest.track_hints, *pretrained], work)


@app.command()
def ablate(
    experiment: Annotated[str, typer.Option(help="Name in flows/experiments, or path of a .toml file.")] = "ablation",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Number of trainings of each variant.")] = 3,
    only: Annotated[
        str, typer.Option(help="Train only the whole recipe and variants with this text in their names.")
    ] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, such as train.epochs=3.")] = None,
    store: Store = STORE,
    device: OnDevice = "auto",
    workers: Workers = CORES,
) -> None:
    """Compare a recipe with variants that lack one part each, and with the paper's recipe, over several seeds."""
    from tasks.experiments import load_experiment, mtanet_experiment, with_settings

    config = with_settings(mtanet_experiment(load_experiment(experiment)), set_ or [])

    def work() -> None:
        with prefect(store):
            from flows.ablate import ablate_mtanet
            from flows.command.show import print_comparison

            table = ablate_mtanet(config, seeds, machine_of(store, device, workers), only)
        print_comparison(store, table.stem.removeprefix("comparison-"), out)
        out.print(f"page: {table}")

    settings = {"config": config, "seeds": seeds, "only": only, "device": device}
    inputs = [config.ingest.root, config.ingest.track_hints, getattr(config.train, "pretrained", None)]
    unless_finished(store, "ablate", settings, inputs, work)

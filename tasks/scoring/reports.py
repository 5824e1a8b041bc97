"""Tables and texts for the page of a flow run, as Prefect artifacts."""

from __future__ import annotations

from pathlib import Path

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from data.store.catalogue import Dataset
from data.text import counted
from data.warehouse.quality_rows import quality_rows
from model.scores.tallies import OFFICIAL
from tasks.config import MachineConfig
from tasks.ingest.annotations import quality_summary, quality_table
from tasks.progress import log
from tasks.quality.page import ANSWERS_OF_SYNTHETIC, totals_markdown
from tasks.quality.report import write_report
from tasks.scoring.result import Evaluation, Scores
from tasks.tracking import registry
from tasks.tracking.registry import Version

HEADLINES = {
    "ccc_valence": "CCC valence",
    "ccc_arousal": "CCC arousal",
    "ccc": "CCC, mean",
    "expression_macro_f1": "expression, macro F1",
    "expression_accuracy": "expression, accuracy",
    "expression": "expression, official",
    "action_units_mean_f1": "action units, mean F1",
    "action_units_accuracy": "action units, accuracy",
    "action_units": "action units, official",
    "total": "total of the three",
}
"""The headings of the scores in the main table, in their order."""


def report_quality(dataset: Dataset, machine: MachineConfig) -> None:
    """Shows the findings for each track and their totals, and writes the quality report."""
    rows = quality_rows(dataset, machine.store)
    table = quality_table(dataset, rows)
    summary = quality_summary(table)
    create_table_artifact(table, key="quality", description=f"{dataset.name}: {summary}")
    log.info("%s: %s", dataset.name, summary)
    page = write_report(dataset, rows, machine.store)
    markdown = totals_markdown(dataset.name, page, rows)
    create_markdown_artifact(markdown, key="quality-report", description=dataset.name)
    log.info("quality report: %s", page)


def warn_of_synthetic(model: Version, dataset: Dataset, store: Path) -> None:
    """Warns where a model that has seen only rendered heads answers for real faces."""
    if registry.is_synthetic(store, model) and not dataset.is_synthetic(store):
        warning = f"{model} was trained on rendered heads only: {ANSWERS_OF_SYNTHETIC}"
        log.warning("%s", warning)
        create_markdown_artifact(f"**{warning}.**", key="trained-on-synthetic", description=str(model))


def report_scores(evaluation: Evaluation, verdict: str) -> None:
    """Shows the scores with their intervals, the scores of a constant guess, and the scores of each video."""
    create_markdown_artifact(scores_markdown(evaluation, verdict), key="scores", description=str(evaluation.model))


def scores_markdown(evaluation: Evaluation, verdict: str) -> str:
    """The page of an evaluation; docs/sql.md shows how to query each number with SQL."""
    parts = [name for name in evaluation.scores if name not in HEADLINES]
    averaged = [
        f"{name.removeprefix('batch_averaged_')} {value:.3f}" for name, value in evaluation.batch_averaged.items()
    ]
    frames = counted(evaluation.num_frames, "frames")
    return "\n".join(
        [
            f"## {evaluation.model} on {evaluation.dataset}, {evaluation.split} ({frames})",
            "",
            verdict,
            "",
            *_warning(evaluation),
            (
                "Pooled over all frames, as in the challenge, with 95 % intervals by bootstrap over "
                f"{counted(len(evaluation.videos.groups), 'videos')}:"
            ),
            "",
            *_scores_table(evaluation, [name for name in HEADLINES if name in evaluation.scores]),
            "",
            f"Averaged over batches, as in the paper (too high): {', '.join(averaged)}.",
            "",
            "### Each expression and action unit",
            "",
            *_scores_table(evaluation, parts),
            "",
            "### Each video",
            "",
            *_groups_table(evaluation.by_video),
            "",
            "SQL also has scores by recording, which may span several videos: `scope = 'subject'` in `scores`.",
        ]
    )


def _warning(evaluation: Evaluation) -> list[str]:
    lines = []
    if evaluation.leaking_videos:
        videos = counted(evaluation.leaking_videos, "videos")
        lines += [f"**These scores are too high:** a task was trained on {videos} that another task holds out.", ""]
    if evaluation.corruption:
        lines += [f"The training labels were corrupted: {evaluation.corruption}.", ""]
    return lines


def _scores_table(evaluation: Evaluation, names: list[str]) -> list[str]:
    rows = []
    for name in names:
        interval = evaluation.intervals.get(name)
        ends = f"{interval.low:.3f} to {interval.high:.3f}" if interval else "-"
        guess = evaluation.constant_guess.get(name, float("nan"))
        rows.append(f"| {HEADLINES.get(name, name)} | {evaluation.scores[name]:.3f} | {ends} | {guess:z.3f} |")
    return [f"| score | {evaluation.model} | 95 % interval | constant guess |", "|---|---|---|---|", *rows]


def _groups_table(groups: dict[str, Scores]) -> list[str]:
    """The official scores of each group, with a dash where it has no labels."""
    names = [name for name in (*OFFICIAL.values(), "total") if any(name in found for found in groups.values())]
    rows = [
        f"| {group} | {' | '.join(f'{found[name]:.3f}' if name in found else '-' for name in names)} |"
        for group, found in groups.items()
    ]
    return [f"| | {' | '.join(HEADLINES[name] for name in names)} |", "|---" * (len(names) + 1) + "|", *rows]

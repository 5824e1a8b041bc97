"""What a flow run shows on its page: tables and texts as Prefect artifacts."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from tasks.annotations import quality_summary, quality_table
from tasks.catalogue import Dataset
from tasks.config import MachineConfig
from tasks.progress import log
from tasks.quality_page import totals_markdown
from tasks.quality_report import quality_rows, write_report
from tasks.scoring import Evaluation

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
}
"""The scores that are shown, in their order, as a reader calls them."""


def report_quality(dataset: Dataset, machine: MachineConfig) -> None:
    """Shows what was found in each track, says the totals, and writes the page of the quality report."""
    rows = quality_table(dataset, machine.store)
    summary = quality_summary(rows)
    create_table_artifact(rows, key="quality", description=f"{dataset.name}: {summary}")
    log.info("%s: %s", dataset.name, summary)
    page = write_report(dataset, machine.store)
    markdown = totals_markdown(dataset.name, page, quality_rows(dataset, machine.store))
    create_markdown_artifact(markdown, key="quality-report", description=dataset.name)
    log.info("quality report: %s", page)


def report_scores(evaluation: Evaluation, verdict: str) -> None:
    """Shows the scores beside those of a constant guess."""
    create_markdown_artifact(scores_markdown(evaluation, verdict), key="scores", description=str(evaluation.model))


def scores_markdown(evaluation: Evaluation, verdict: str) -> str:
    rows = [
        f"| {title} | {evaluation.scores[name]:.3f} | {evaluation.constant_guess.get(name, float('nan')):.3f} |"
        for name, title in HEADLINES.items()
        if name in evaluation.scores
    ]
    heading = f"## {evaluation.model} on {evaluation.dataset}, {evaluation.split} ({evaluation.num_frames} frames)"
    averaged = ", ".join(f"{name} {value:.3f}" for name, value in evaluation.batch_averaged.items())
    return "\n".join(
        [
            heading,
            "",
            f"| score | {evaluation.model} | constant guess |",
            "|---|---|---|",
            *rows,
            "",
            verdict,
            "",
            f"Averaged over batches, as the paper's own figures are (they flatter): {averaged}.",
        ]
    )

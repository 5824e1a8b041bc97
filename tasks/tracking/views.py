"""Default content of MLflow's experiment pages: a description and a view of the runs.

A view is what a user saves with *Views > Save*: columns, order and charts, as a tag of the experiment. MLflow's pages
read it, and ignore views that they cannot parse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

AS_TRAINING = "workflowType=machine_learning"
"""Part of a page's address, without which MLflow shows its pages for language models."""
VIEW = "scores"
"""Key in the address of a page: `viewStateShareKey=scores`."""
PAGES = "MTANET_MLFLOW_PAGES"
"""Environment variable with the address of MLflow's pages, set by `mtanet up` for the runs that it starts."""
SERVER_ENDS = "MTANET_SERVER_ENDS"
"""Environment variable that is set where Prefect's server ends with the command, and its pages with it."""
VIEW_NAME = "Settings and scores"
SCORES = ("final/ccc", "final/expression", "final/action_units", "final/total")
SETTINGS = (
    "train.learning_rate",
    "train.batch_size",
    "train.epochs",
    "train.optimiser",
    "train.width",
    "train.dropout",
    "train.crop",
    "train.colour",
    "train.blur",
    "train.erase",
    "train.balance",
    "train.expression_balance",
    "train.label_smoothing",
    "train.ema_decay",
    "train.seed",
)
HOW_TO_READ = """\
A run is a training, named by the settings that differ from its file; *Views > Settings and scores* compares them.

- `train/`, `validation/`: each epoch.
- `final/`: the official scores, pooled over all frames of the validation split, with the ends of their 95 % intervals
  in `final_low/` and `final_high/`.
- `batch_averaged/`: averaged over batches, as in the paper's own figures; compare them with nothing else.
- `constant_guess/`: what one guess for every frame would score.
- `system/`: the machine.
"""


def experiment_tags(now_ms: int) -> dict[str, str]:
    """The tags of a new experiment; `now_ms` is the time, in ms since 1970."""
    view = {"name": VIEW_NAME, "createdAt": now_ms, "updatedAt": now_ms, "state": json.dumps(_state())}
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": HOW_TO_READ,
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
    }


def _state() -> dict[str, object]:
    columns = (*(f"metrics.`{name}`" for name in SCORES), *(f"params.`{name}`" for name in SETTINGS))
    return {
        "searchFilter": "",
        "orderByKey": f"metrics.`{SCORES[-1]}`",
        "orderByAsc": False,
        "selectedColumns": columns,
        "isAccordionReordered": True,
        "compareRunSections": [
            {**_section(VIEW_NAME), "columns": 1, "cardHeight": 420},
            *(_section(name) for name in ("validation", "train", "final")),
            *(
                _section(name, is_open=False)
                for name in ("final_low", "final_high", "batch_averaged", "constant_guess")
            ),
        ],
        "compareRunCharts": [
            _chart("PARALLEL", selectedParams=SETTINGS, selectedMetrics=SCORES, showAllRuns=False),
            _chart("BAR", metricKey=SCORES[-1]),
            _chart(
                "DIFFERENCE",
                chartName="What differs",
                compareGroups=("Model Metrics", "Parameters"),
                showChangeFromBaseline=True,
                showDifferencesOnly=True,
                baselineColumnUuid="",
            ),
        ],
    }


def _section(name: str, *, is_open: bool = True) -> dict[str, object]:
    shown = {"display": is_open, "isReordered": False, "deleted": False, "isGenerated": False}
    return {"uuid": _uuid(name), "name": name, **shown}


def _chart(kind: str, **settings: object) -> Mapping[str, object]:
    where = {"uuid": _uuid(kind), "metricSectionId": _uuid(VIEW_NAME), "deleted": False, "isGenerated": False}
    return {"type": kind, "runsCountToCompare": 10, **where, **settings}


def _uuid(name: str) -> str:
    return f"mtanet-{name}"

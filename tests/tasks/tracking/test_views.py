"""MLflow's real page, in a real browser: its format of views is not documented, so a release may change it."""

from __future__ import annotations

import html
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tasks.config import Experiment
from tasks.tracking import runs
from tasks.tracking.views import AS_TRAINING, SCORES, SETTINGS, VIEW, VIEW_NAME

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PARAMS = {**Experiment(name="tiny").model_dump(), "name": "tiny"}


@pytest.fixture
def server(mlflow_store: Path, tmp_path: Path) -> Iterator[str]:
    """MLflow's server over a store with one run."""
    with runs.open_run(
        mlflow_store, experiment="synthetic-2020", training_digest="d1", run_name="tiny", params=PARAMS, tags={}
    ) as run_id:
        pass
    for number, name in enumerate(SCORES, start=1):
        runs.connect(mlflow_store).log_metric(run_id, name, number / 8)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    kept_in = ["--backend-store-uri", f"sqlite:///{mlflow_store}/mlflow.db", "--artifacts-destination", str(tmp_path)]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen([*command, *kept_in], stdout=log, stderr=subprocess.STDOUT)
    try:
        yield _when_up(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)


def _when_up(address: str) -> str:
    for _ in range(240):
        try:
            if httpx.get(f"{address}/health", timeout=5).is_success:
                return address
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"MLflow does not answer at {address}")


def text_of_page(address: str, folder: Path) -> str:
    """The text of a page after its scripts have run."""
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", "--window-size=6000,1200"]
    page = subprocess.run(
        [BROWSER, *options, "--virtual-time-budget=30000", "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    ).stdout
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium; `make test` installs it where apt-get may")
def test_the_page_of_an_experiment_shows_the_view_with_all_its_columns(
    server: str, mlflow_store: Path, tmp_path: Path
) -> None:
    experiment = runs.connect(mlflow_store).get_experiment_by_name("synthetic-2020")
    assert experiment is not None
    address = f"{server}/#/experiments/{experiment.experiment_id}/runs?{AS_TRAINING}&viewStateShareKey={VIEW}"
    text = text_of_page(address, tmp_path / "browser")
    assert f"Runs {VIEW_NAME}" in text
    assert f"Sort: {SCORES[-1]}" in text
    header = text[text.index("Run Name") : text.index("Hide run")]
    assert sorted(set(header.split()) & {*SCORES, *SETTINGS}) == sorted({*SCORES, *SETTINGS})
    row = text[text.index("Hide run") :].split()
    assert "tiny" in row
    assert {"0.125", "0.25", "0.375", "0.5"} <= set(row)

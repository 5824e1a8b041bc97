from __future__ import annotations

import pytest

from data.labels import Edition
from data.store.catalogue import Dataset
from tasks.experiments import load_experiment
from tasks.tracking.views import SERVER_ENDS
from tasks.training.train import tags_of


def test_a_run_links_to_its_prefect_page_only_where_the_server_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    of = load_experiment("sample"), Dataset("made-up", "/data", (), Edition.ABAW_2020, "labels1")
    monkeypatch.delenv(SERVER_ENDS, raising=False)
    assert "prefect.flow_run_page" in tags_of(*of)
    monkeypatch.setenv(SERVER_ENDS, "1")
    assert "prefect.flow_run_page" not in tags_of(*of)
    assert "prefect.flow_run" in tags_of(*of)

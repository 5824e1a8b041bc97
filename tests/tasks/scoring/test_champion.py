"""The gate between challenger and champion, and the way back."""

from __future__ import annotations

import resource
import shutil
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
import torch
from mlflow.exceptions import MlflowException
from prefect import flow
from support.scored_store import TRAINING, VALIDATION, add_version, make_store
from typer.testing import CliRunner

from data.labels import Edition, Split
from data.store.access import NoRoomError
from data.store.catalogue import Dataset
from data.store.damage import DamagedError
from data.store.shards import parquet_files, read_table, write_parquet
from data.video.frames import resolve_device
from flows.command.cli import app
from flows.servers.environment import free_port
from model.scores.metrics import scores
from model.scores.tallies import Expressions, tally
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network
from model.training.checkpoint import MODEL, Checkpoint, save_checkpoint
from tasks.config import MachineConfig
from tasks.scoring import champion, evaluate
from tasks.scoring.champion import PREVIOUS, roll_back
from tasks.scoring.gate import ROLLED_BACK, Decision, decide, decide_unscored, decision_markdown, decision_tags
from tasks.scoring.result import Evaluation
from tasks.tracking import registry, runs
from tasks.tracking.registry import Version
from tasks.training.leaks import note_training_videos, videos_seen

# MLflow 3.17 warns about its own annotations while `mlflow.pyfunc` is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")


def version(number: int, tags: dict[str, str] | None = None) -> Version:
    return Version(number, "r", (), tags or {})


def evaluation(of: Version, noise: float, num_videos: int = 12, seed: int = 0) -> Evaluation:
    """Of a model whose valence and arousal are off by so much noise."""
    generator = np.random.default_rng(1)
    video_N = np.repeat(np.arange(num_videos), 30)
    truth = {name: generator.uniform(-1, 1, len(video_N)) for name in ("valence", "arousal")}
    error = np.random.default_rng(seed).normal(0, noise, len(video_N))
    predicted = {name: column + error for name, column in truth.items()}
    names = ("expression", *(f"au{unit}" for unit in (1, 2, 4, 6, 12, 15, 20, 25)))
    missing = {name: np.full(len(video_N), np.nan) for name in names}
    sides = ({**predicted, **missing}, {**truth, **missing}, Edition.ABAW_2020)
    videos = tally(*sides, group_N=video_N, groups=tuple(map(str, range(num_videos))))
    return Evaluation(of, "set-a", "d", Split.VALIDATION, len(video_N), scores(*sides), {}, {}, videos)


def test_the_first_is_champion() -> None:
    decision = decide_unscored(evaluation(version(1), 0.1), None, synthetic=[])
    assert decision is not None
    assert decision.promotes
    assert decision.reason.startswith("mtanet v1 is the champion: it is the first, with a total of 0.9")


def test_a_clearly_better_one_is_promoted_with_its_interval() -> None:
    decision = decide(evaluation(version(2), 0.1), version(1), evaluation(version(1), 0.6))
    assert decision.promotes
    assert decision.official is not None
    assert decision.official.low > 0
    better = f"mtanet v2 is the champion: better than mtanet v1 by {decision.official} in total, on 12 videos"
    assert decision.reason == f"{better} of the validation split of set-a (360 frames)"


def test_better_by_chance_is_not_better() -> None:
    """Two draws of the same noise: one is ahead, but the interval holds zero."""
    ours, theirs = (evaluation(version(number), 0.6, seed=seed) for number, seed in ((2, 4), (1, 3)))
    assert ours.total > theirs.total
    decision = decide(ours, version(1), theirs)
    assert not decision.promotes
    assert decision.official is not None
    assert decision.official.low < 0 < decision.official.value
    assert decision.reason.startswith(
        "mtanet v1 stays champion: mtanet v2 is not better beyond chance; it differs by 0.0"
    )


def test_a_worse_one_and_the_very_same_are_not_promoted() -> None:
    champions = evaluation(version(1), 0.1)
    assert not decide(evaluation(version(2), 0.6), version(1), champions).promotes
    assert not decide(evaluation(version(2), 0.1), version(1), champions).promotes


@pytest.mark.parametrize("num_videos", [1, 5])
def test_a_few_videos_tell_nobody_apart(num_videos: int) -> None:
    ours, theirs = (evaluation(version(number), noise, num_videos) for number, noise in ((2, 0.1), (1, 0.9)))
    decision = decide(ours, version(1), theirs)
    assert not decision.promotes
    assert decision.reason.startswith(
        "mtanet v1 stays champion: comparing ccc needs at least 6 labelled videos, found "
    )


def test_the_task_with_the_fewest_videos_says_whether_there_are_enough() -> None:
    """Twelve videos of valence and arousal, and five of expressions; action units have no label at all and no say."""
    ours, theirs = evaluation(version(2), 0.1), evaluation(version(1), 0.9)
    few = [
        replace(of, videos=replace(of.videos, expressions=Expressions(*(counts_GE for _ in range(3)))))
        for of in (ours, theirs)
        for counts_GE in [np.outer(np.arange(12) < 5, np.ones(7))]
    ]
    decision = decide(few[0], version(1), few[1])
    assert not decision.promotes
    assert "comparing expression needs at least 6 labelled videos, found 5; " in decision.reason
    assert decide(ours, version(1), theirs).promotes


def test_a_champion_that_fails_is_followed() -> None:
    decision = decide(evaluation(version(2), 0.9), version(1), "its weights are gone")
    assert decision.promotes
    assert "its predecessor mtanet v1 fails on the validation split" in decision.reason
    assert decision.reason.endswith("its weights are gone")


def test_a_champion_is_followed_only_by_what_answers_all_that_it_answers() -> None:
    expressions, first, second = version(2, {"system": "expr_cnn"}), version(1), version(3)
    stays = "mtanet v1 stays champion: mtanet v2 does not answer va and au, as it does"
    for synthetic in ([], [first], [expressions]):
        found = decide_unscored(evaluation(expressions, 0.1), first, synthetic=synthetic)
        assert found == Decision(False, stays, {})
    follows = "mtanet v3 is the champion: it answers va and au, which its predecessor mtanet v2 does not"
    assert decide_unscored(evaluation(second, 0.1), expressions, synthetic=[]) == Decision(True, follows, {})
    rendered = decide_unscored(evaluation(second, 0.1), expressions, synthetic=[second])
    assert rendered is not None
    assert not rendered.promotes


def test_what_was_rolled_back_stays_so() -> None:
    taken_back = version(2, {ROLLED_BACK: "2026-01-02"})
    stays = Decision(False, "mtanet v2 was rolled back on 2026-01-02 and is not promoted again", {})
    for synthetic in ([], [version(1)], [taken_back]):
        assert decide_unscored(evaluation(taken_back, 0.1), version(1), synthetic=synthetic) == stays
    assert decide_unscored(evaluation(taken_back, 0.1), None, synthetic=[]) == stays


def test_rendered_people_never_follow_real_ones_and_real_ones_always_rendered_ones() -> None:
    first, second = version(1), version(2)
    ours = evaluation(second, 0.1)
    stays = "mtanet v1 stays champion: mtanet v2 was trained on rendered people, mtanet v1 on real ones"
    assert decide_unscored(ours, first, synthetic=[second]) == Decision(False, stays, {})
    follows = (
        "mtanet v2 is the champion: its predecessor mtanet v1 was trained on rendered people, mtanet v2 on real ones"
    )
    assert decide_unscored(ours, first, synthetic=[first]) == Decision(True, follows, {})
    for synthetic in ([], [first, second]):
        assert decide_unscored(ours, first, synthetic=synthetic) is None, "their scores decide"


def leaking(of: Version, noise: float, num_videos: int) -> Evaluation:
    return replace(evaluation(of, noise), leaking_videos=num_videos)


def test_who_leaks_more_is_not_promoted_on_flattered_scores() -> None:
    ours, theirs = leaking(version(2), 0.1, 57), evaluation(version(1), 0.6)
    decision = decide(ours, version(1), theirs)
    assert not decision.promotes
    assert decision.official is not None
    assert decision.official.low > 0
    leak = "a task of mtanet v2 was trained on 57 videos that another task holds out (mtanet v1: 0 videos)"
    assert decision.reason == f"mtanet v1 stays champion: {leak}, so the scores of mtanet v2 are too high"
    for as_many in (57, 58):
        assert decide(ours, version(1), leaking(version(1), 0.6, as_many)).promotes
    assert decide(evaluation(version(2), 0.1), version(1), leaking(version(1), 0.6, 57)).promotes


def test_who_follows_nobody_says_that_its_scores_flatter() -> None:
    flatter = "; its scores are too high: a task was trained on 57 videos that another task holds out"
    ours = leaking(version(2), 0.1, 57)
    for decision in (
        decide_unscored(ours, None, synthetic=[]),
        decide_unscored(ours, version(1), synthetic=[version(1)]),
        decide(ours, version(1), "its weights are gone"),
        decide(ours, version(1), leaking(version(1), 0.6, 57)),
    ):
        assert decision is not None
        assert decision.promotes
        assert decision.reason.endswith(flatter)


def test_a_champion_that_was_trained_on_these_videos_is_said_to_flatter_itself() -> None:
    ours, theirs = evaluation(version(2), 0.1), evaluation(version(1), 0.6)
    seen = "; mtanet v1 was trained on 3 of these videos, so its scores are too high"
    assert decide(ours, version(1), theirs, num_seen=3).reason.endswith(f"(360 frames){seen}")
    assert decide(theirs, version(1), ours, num_seen=3).reason.endswith(f"(360 frames){seen}")
    assert not decide(theirs, version(1), ours, num_seen=3).promotes


def test_the_verdict_is_in_tags_and_on_a_page() -> None:
    ours = evaluation(version(2), 0.1)
    decision = decide(ours, version(1), evaluation(version(1), 0.6))
    assert decision.official is not None
    tags = decision_tags(decision, version(1), ours)
    assert tags["gate.decision"] == "promoted"
    assert (tags["gate.against"], tags["gate.videos"], tags["gate.data"]) == ("1", "12", "set-a validation d")
    assert float(tags["gate.low"]) == pytest.approx(decision.official.low, abs=1e-6)
    page = decision_markdown(decision, ours)
    assert page.startswith("## mtanet v2: promoted")
    assert f"| official | {decision.official} |" in page
    later = decision_tags(decide(ours, version(1), "its weights are gone"), version(1), ours)
    assert later.keys() == tags.keys(), "a decision without an interval leaves none of an earlier one"
    assert {later[f"gate.{end}"] for end in ("difference", "low", "high")} == {""}


def test_what_is_not_a_number_does_not_win() -> None:
    """Whoever has it: the total of one without it says nothing beside that of one with it."""
    ours, theirs = evaluation(version(2), 0.1), evaluation(version(1), 0.6)
    nameless = decide(spoilt(ours), version(1), theirs)
    assert nameless.reason.startswith("mtanet v1 stays champion: one of the totals is undefined; ")
    assert not nameless.promotes
    assert not decide(ours, version(1), spoilt(theirs)).promotes
    assert decide(ours, version(1), theirs).promotes


def spoilt(of: Evaluation) -> Evaluation:
    """With valences whose spread is not a number."""
    nothing = np.full(len(of.videos.groups), np.nan)
    valence = replace(of.videos.moments["valence"], predicted_squares_G=nothing)
    videos = replace(of.videos, moments={**of.videos.moments, "valence": valence})
    return replace(of, videos=videos, scores={**of.scores, "ccc_valence": float("nan"), "ccc": float("nan")})


@pytest.fixture
def machine(mlflow_store: Path) -> MachineConfig:
    return MachineConfig(store=mlflow_store, device="cpu")


@flow
def choose(dataset: Dataset, of: Version, machine: MachineConfig) -> str:
    evaluate.predict_dataset(of, dataset, machine)
    return champion.choose_champion(evaluate.evaluate(of, dataset, Split.VALIDATION, machine), dataset, machine)


def champion_of(machine: MachineConfig) -> Version:
    found = registry.champion(machine.store)
    assert found is not None
    return found


def test_nights_of_challengers_and_the_way_back(machine: MachineConfig, prefect_api: str) -> None:
    store = machine.store
    dataset = make_store(store)
    with pytest.raises(ValueError, match="there is no champion to roll back; `mtanet train` creates the first one"):
        roll_back(store)
    first = add_version(store, dataset, noise=0.5)
    choose(dataset, first, machine)
    assert champion_of(machine).number == 1
    with pytest.raises(ValueError, match="mtanet v1 is the first champion"):
        roll_back(store)

    better = choose(dataset, add_version(store, dataset, noise=0.1), machine)
    assert champion_of(machine).number == 2
    tags = champion_of(machine).tags
    assert (tags["verdict"], tags["gate.decision"], tags[PREVIOUS]) == (better, "promoted", "1")
    assert 0 < float(tags["gate.low"]) < float(tags["gate.difference"]) < float(tags["gate.high"])
    shown = httpx.get(f"{prefect_api}/artifacts/champion/latest").json()
    assert shown["data"].startswith("## mtanet v2: promoted")
    assert choose(dataset, champion_of(machine), machine) == better

    said = CliRunner().invoke(app, ["rollback", "--store", str(store)], catch_exceptions=False).output
    assert said == "mtanet v1 is the champion again, after mtanet v2, which will not be promoted again\n"
    assert champion_of(machine).number == 1
    assert "after mtanet v2" in champion_of(machine).tags["champion.again"]
    refused = choose(dataset, registry.find_version(store, "2"), machine)
    assert "mtanet v2 was rolled back on 20" in refused
    assert champion_of(machine).number == 1
    assert registry.find_version(store, "2").tags["gate.decision"] == "not promoted"


@pytest.mark.usefixtures("prefect_api")
def test_the_sample_does_not_dethrone_a_champion_of_real_people(machine: MachineConfig) -> None:
    """And gives way to it unheard: the first two have nothing to say of the third's data, and need not."""
    store = machine.store
    sample = make_store(store, VALIDATION[:3])
    rendered = [add_version(store, sample, noise=noise, synthetic=True) for noise in (0.5, 0.1)]
    registry.promote(store, rendered[0])
    dataset = ingest_again(store)
    reason = choose(dataset, add_version(store, dataset, noise=0.9), machine)
    assert "its predecessor mtanet v1 was trained on rendered people, mtanet v3 on real ones" in reason
    assert champion_of(machine).tags[PREVIOUS] == "1"

    for folder in (store / "faces", store / "labels"):
        shutil.rmtree(folder)
    reason = choose(make_store(store, VALIDATION[:3]), rendered[1], machine)
    assert reason == "mtanet v3 stays champion: mtanet v2 was trained on rendered people, mtanet v3 on real ones"
    assert champion_of(machine).number == 3
    assert registry.find_version(store, "2").tags["gate.decision"] == "not promoted"


@pytest.mark.usefixtures("prefect_api")
def test_a_model_is_compared_with_the_champion_of_rendered_and_real_people(machine: MachineConfig) -> None:
    dataset = make_store(machine.store)
    first = add_version(machine.store, dataset, noise=0.5)
    other = add_version(machine.store, dataset, noise=0.1, synthetic=True)

    @flow
    def compare() -> str:
        found = evaluate.evaluate(other, dataset, Split.VALIDATION, machine)
        return champion.compare_with_champion(found, dataset, machine)

    assert compare().endswith("; there is no champion to compare it with")
    registry.promote(machine.store, first)
    assert compare().startswith("mtanet v2 minus the champion mtanet v1: ")
    assert champion_of(machine).number == 1
    registry.annotate_version(machine.store, other, {"system": "expr_cnn"})
    other = registry.find_version(machine.store, str(other.number))
    assert compare().endswith("; not compared with mtanet v1, which answers va, expr, au; this one answers expr")
    registry.annotate_version(machine.store, other, {"system": "mtanet"})
    other = registry.find_version(machine.store, str(other.number))
    path = predictions_of(machine, dataset, first, "107")
    table = read_table([path])
    silent = pa.nulls(len(table), table.schema.field("arousal").type)
    write_parquet(table.set_column(table.column_names.index("arousal"), "arousal", silent), path)
    assert "; not compared with mtanet v1: no prediction by mtanet v1 for track 107" in compare()


@pytest.mark.usefixtures("prefect_api")
def test_which_videos_a_champion_was_trained_on_is_known_by_their_content(machine: MachineConfig) -> None:
    store = machine.store
    before = make_store(store, tuple(name for name in VALIDATION if name != "107"), training=(*TRAINING, "107"))
    first = add_version(store, before, noise=0.5)
    note_training_videos(before, store, first.run_id)
    registry.promote(store, first)
    dataset = ingest_again(store)
    second = add_version(store, dataset, noise=0.1)
    assert videos_seen(second, dataset, VALIDATION, store) == [], "nothing is known of its training"
    assert videos_seen(first, dataset, VALIDATION, store) == ["107"]
    assert videos_seen(first, dataset, ["108"], store) == []
    other = replace(dataset, videos=tuple(replace(video, sha256="another") for video in dataset.videos))
    assert videos_seen(first, other, VALIDATION, store) == []
    assert choose(dataset, second, machine).endswith(
        "; mtanet v1 was trained on 1 of these videos, so its scores are too high"
    )


@pytest.mark.usefixtures("prefect_api")
def test_a_leak_is_known_from_the_run(machine: MachineConfig) -> None:
    dataset = make_store(machine.store)
    registry.promote(machine.store, add_version(machine.store, dataset, noise=0.5))
    leaky = add_version(machine.store, dataset, noise=0.1)
    runs.connect(machine.store).set_tag(leaky.run_id, "leaking_videos", "2")
    reason = choose(dataset, leaky, machine)
    assert "a task of mtanet v2 was trained on 2 videos that another task holds out" in reason
    assert champion_of(machine).number == 1


def chain(machine: MachineConfig, previous: list[str]) -> list[Version]:
    """Versions of which each says who was champion before it; the last is champion."""
    dataset = make_store(machine.store)
    made = [add_version(machine.store, dataset, noise=0.5, seed=seed) for seed in range(len(previous))]
    for version, before in zip(made, previous, strict=True):
        registry.annotate_version(machine.store, version, {PREVIOUS: before})
    registry.promote(machine.store, made[-1])
    return made


def test_the_way_back_leads_past_what_was_rolled_back(machine: MachineConfig) -> None:
    made = chain(machine, ["", "1", "2"])
    registry.annotate_version(machine.store, made[1], {ROLLED_BACK: "2026-01-02"})
    assert roll_back(machine.store).startswith("mtanet v1 is the champion again, after mtanet v3")
    assert champion_of(machine).number == 1


def test_the_way_back_ends_where_it_leads_in_a_circle(machine: MachineConfig) -> None:
    made = chain(machine, ["2", "1", "2"])
    for version in made[:2]:
        registry.annotate_version(machine.store, version, {ROLLED_BACK: "2026-01-02"})
    gone = "all earlier champions were rolled back: there is no version left to roll back to"
    with pytest.raises(ValueError, match=f"mtanet v3 is the champion, and {gone}"):
        roll_back(machine.store)
    assert champion_of(machine).number == 3
    assert ROLLED_BACK not in champion_of(machine).tags


def test_the_champion_is_not_rolled_back_to_a_version_without_weights(machine: MachineConfig) -> None:
    first, _ = chain(machine, ["", "1"])
    shutil.rmtree(registry.checkpoint_folder(machine.store, first))
    with pytest.raises(
        ValueError, match="mtanet v2 stays champion: MLflow has no weights of its predecessor mtanet v1"
    ):
        roll_back(machine.store)
    assert champion_of(machine).number == 2
    assert ROLLED_BACK not in champion_of(machine).tags


def ingest_again(store: Path) -> Dataset:
    """All videos anew, of which no version has predictions."""
    for folder in (store / "faces", store / "labels"):
        folder.rename(folder.with_name(f"{folder.name}-before"))
    return make_store(store)


@pytest.mark.usefixtures("prefect_api")
def test_a_champion_without_weights_or_of_another_edition_fails(machine: MachineConfig) -> None:
    store = machine.store
    first = add_version(store, make_store(store, VALIDATION[:3]), noise=0.1)
    registry.promote(store, first)
    weights = registry.checkpoint_folder(store, first)
    dataset = ingest_again(store)
    second = add_version(store, dataset, noise=0.9)
    reason = choose(dataset, second, machine)
    assert "its predecessor mtanet v1 fails on" in reason
    assert "the weights of mtanet v1 cannot be used: " in reason
    assert "incomplete (no model.json beside it); delete it and train again" in reason
    assert champion_of(machine).number == 2

    registry.promote(store, first)
    shutil.rmtree(weights)
    reason = choose(dataset, second, machine)
    assert "mtanet v1 has no weights in MLflow" in reason
    assert champion_of(machine).number == 2

    other = add_version(store, dataset, noise=0.1, seed=1, edition=Edition.ABAW_2022)
    registry.promote(store, other)
    reason = choose(dataset, second, machine)
    assert "mtanet v3 was trained on labels of edition 2022" in reason
    assert champion_of(machine).number == 2


def predictions_of(machine: MachineConfig, dataset: Dataset, of: Version, video_id: str) -> Path:
    (video,) = (video for video in dataset.videos if video.video_id == video_id)
    (file,) = parquet_files(evaluate.predictions_folder(machine.store, of, video))
    return file


@pytest.mark.usefixtures("prefect_api")
def test_a_champion_that_says_nothing_of_a_labelled_face_fails(machine: MachineConfig) -> None:
    dataset = make_store(machine.store)
    first = add_version(machine.store, dataset, noise=0.1)
    registry.promote(machine.store, first)
    path = predictions_of(machine, dataset, first, "107")
    table = read_table([path])
    silent = pa.nulls(len(table), table.schema.field("valence").type)
    write_parquet(table.set_column(table.column_names.index("valence"), "valence", silent), path)
    reason = choose(dataset, add_version(machine.store, dataset, noise=0.9), machine)
    assert "its predecessor mtanet v1 fails on" in reason
    assert "no prediction by mtanet v1 for track 107, frame " in reason
    assert champion_of(machine).number == 2


@pytest.mark.usefixtures("prefect_api")
def test_what_is_not_the_champions_own_fault_ends_the_run_and_moves_nothing(machine: MachineConfig) -> None:
    """A damaged shard of predictions is an error, too, but says nothing about the model."""
    dataset = make_store(machine.store)
    first = add_version(machine.store, dataset, noise=0.5)
    registry.promote(machine.store, first)
    predictions_of(machine, dataset, first, "107").write_bytes(b"damaged")
    better = add_version(machine.store, dataset, noise=0.1)
    with pytest.raises(DamagedError, match=r"107\.parquet: damaged \(Could not open Parquet"):
        choose(dataset, better, machine)
    assert champion_of(machine).number == 1
    assert "verdict" not in registry.find_version(machine.store, "2").tags


def test_a_server_that_does_not_answer_is_not_the_champions_fault(
    machine: MachineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = add_version(machine.store, make_store(machine.store, VALIDATION[:3]), noise=0.5)
    dataset = ingest_again(machine.store)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(runs, "SERVER", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(MlflowException, match="Connection refused"):
        champion.score_champion(first, dataset, evaluation(version(2), 0.1), machine)


def test_a_machine_without_a_gpu_is_not_the_champions_fault(machine: MachineConfig) -> None:
    if resolve_device("auto") == "gpu":
        pytest.skip("there is a GPU")
    first = add_version(machine.store, make_store(machine.store, VALIDATION[:3]), noise=0.5)
    dataset = ingest_again(machine.store)
    with pytest.raises(ValueError, match="GPU"):
        champion.score_champion(
            first, dataset, evaluation(version(2), 0.1), machine.model_copy(update={"device": "gpu"})
        )


@pytest.mark.usefixtures("prefect_api")
def test_a_full_disk_is_not_the_champions_fault(machine: MachineConfig) -> None:
    first = add_version(machine.store, make_store(machine.store, VALIDATION[:3]), noise=0.5)
    architecture = Architecture(layers=(1, 1, 1, 1), width=8, neck=8)
    with torch.random.fork_rng(devices=[]):
        network = build_network(Edition.ABAW_2020, architecture)
    tiny = Checkpoint(network=network, edition=Edition.ABAW_2020, system="mtanet", architecture=architecture)
    save_checkpoint(registry.checkpoint_folder(machine.store, first) / MODEL, tiny)
    dataset = ingest_again(machine.store)
    for folder in machine.store.glob("predictions/*"):
        shutil.rmtree(folder)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, before[1]))
    try:
        with pytest.raises(NoRoomError, match="make room"):
            champion.score_champion(first, dataset, evaluation(version(2), 0.1), machine)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

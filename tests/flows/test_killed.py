"""A run that is killed again and again ends where an undisturbed one does."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.clips import two_people
from support.waiting import wait_until
from support.zygote import PART_FRAMES, Zygote

from data.store.shards import PARTIAL, file_sha256
from data.testing.numbered import write_clip

pytestmark = pytest.mark.slow

EXPERIMENT = """
[sample]
clips = 3
seconds = 1.0

[train]
layers = [1, 1, 1, 1]
width = 8
neck = 16
epochs = 3
batch_size = 16
"""
STAGES = ("sample", "detections", "faces", "labels", "datasets", "models", "predictions")


def start(store: Path) -> subprocess.Popen[str]:
    experiment = store / "tiny.toml"
    experiment.parent.mkdir(parents=True, exist_ok=True)
    experiment.write_text(EXPERIMENT)
    command = [sys.executable, "-m", "flows.command", "train", "--experiment", str(experiment), "--store", str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(store: Path) -> None:
    run = start(store)
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output


def kill_when(store: Path, reached: Callable[[], bool]) -> None:
    run = start(store)
    wait_until(reached, run, lambda: run.communicate()[0])
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)


def contents(store: Path) -> dict[str, str]:
    """Every file of every stage by its hash; those that note times, run ids or the root's place only by their names."""
    by_name = ("models/*/*.json", "predictions/*/manifest.json", "datasets/*.json")
    return {
        path.relative_to(store).as_posix(): "" if any(map(path.match, by_name)) else file_sha256(path)
        for stage in STAGES
        for path in sorted((store / stage).rglob("*"))
        if path.is_file()
    }


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("prefect_api")
def test_killed_in_extraction_training_and_prediction_the_shards_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it where it was used in this process
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    finish(undisturbed)
    shutil.copytree(undisturbed / "sample", disturbed / "sample")

    kill_when(disturbed, lambda: any(disturbed.glob("detections/*")))
    assert not (disturbed / "datasets").exists()

    kill_when(disturbed, lambda: any(disturbed.glob("models/*/epoch-*.safetensors")))
    assert not any(disturbed.glob("models/*/model.safetensors"))

    kill_when(disturbed, lambda: any(disturbed.glob("predictions/*")))
    assert len(list(disturbed.glob("predictions/*/manifest.json"))) < 3

    trained = {path: path.stat().st_mtime_ns for path in disturbed.glob("models/*/model.safetensors")}
    finish(disturbed)
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert contents(disturbed) == contents(undisturbed)
    assert [path for path in disturbed.rglob("*") if path.name.endswith((".partial", ".tmp"))] == []


NUM_KILLS = 50


def shards(store: Path) -> dict[str, bytes]:
    """Every file of detections and faces by its place in the store, in the folders that are in the making too."""
    files = [path for stage in ("detections", "faces") for path in (store / stage).rglob("*") if path.is_file()]
    files = [path for path in files if path.suffix != ".thumbnails"]  # there only until the cuts are known
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


def check_what_is_left(store: Path, unbroken: dict[str, bytes]) -> None:
    """A folder that looks whole is so, and in one that does not each file that looks whole is so."""
    for place, content in shards(store).items():
        if not place.endswith(PARTIAL):
            assert content == unbroken[place.replace(PARTIAL, "")], place
    for folder in store.glob("*/*"):
        if folder.parent.name in ("detections", "faces") and folder.suffix != PARTIAL:
            place = folder.relative_to(store).as_posix() + "/"
            expected = {name.removeprefix(place) for name in unbroken if name.startswith(place)}
            assert {path.name for path in folder.iterdir() if path.suffix != ".thumbnails"} == expected


def parts(store: Path) -> set[tuple[str, int]]:
    """The parts that are done, with their inodes: one that is made again has another."""
    return {(path.name, path.stat().st_ino) for path in store.glob("detections/*/part-?????.parquet")}


def wait_for_a_file(store: Path, at_most_s: float) -> None:
    there, end_s = list(store.glob("*/*/*")), time.monotonic() + at_most_s
    while list(store.glob("*/*/*")) == there and time.monotonic() < end_s:
        time.sleep(0.0005)


@pytest.mark.timeout(600)
def test_killed_at_50_random_moments_an_extraction_ends_in_the_same_bytes(tmp_path: Path) -> None:
    picture = two_people()[0][:180, :320]
    frames = [np.roll(picture, number, axis=1) for number in range(2 * PART_FRAMES + 4)]
    video = write_clip(tmp_path / "107.mp4", frames)
    draw = random.Random(7)
    num_kills, num_amid, num_ends = 0, 0, 0
    with Zygote() as zygote:
        child, start_s = zygote.start(video, store=tmp_path / "unbroken"), time.monotonic()
        assert zygote.wait(child) == 0
        longest_s = time.monotonic() - start_s
        unbroken = shards(tmp_path / "unbroken")
        while num_kills < NUM_KILLS:
            store = tmp_path / f"killed-{num_ends}"
            done = parts(store)
            child = zygote.start(video, store=store)
            time.sleep(draw.uniform(0, longest_s))
            if num_kills % 2:  # moments amid the writing of a file are short, so the next one is waited for
                wait_for_a_file(store, longest_s)
            os.kill(child.pid, signal.SIGKILL)
            was_killed = zygote.wait(child) == -signal.SIGKILL
            assert len(done - parts(store)) <= 1, "a run makes one part again at most"
            if was_killed:
                num_kills, num_amid = num_kills + 1, num_amid + any(store.glob(f"*/*{PARTIAL}"))
                check_what_is_left(store, unbroken)
            else:
                num_ends += 1
                assert shards(store) == unbroken
        assert zygote.wait(zygote.start(video, store=store)) == 0
    assert shards(store) == unbroken
    assert num_amid > NUM_KILLS // 5, "too few kills came amid the work to say anything"

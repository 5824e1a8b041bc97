"""The cost of a rerun: the stage `faces` of many tiny videos, first and again, as a flow with a Prefect server.

    python benchmarks/rerun.py --videos 564

The server has the limit `decode`, as `mtanet up` makes it. Prints the seconds of each run and the task runs it made.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from flows.servers.environment import prefect_server, set_environment

FRAMES = 4
SIDE_PX = 64


def make_videos(folder: Path, number: int) -> dict[str, Path]:
    """Videos of a few frames, no two of the same content."""
    from data.testing.numbered import write_clip

    folder.mkdir()
    for index in range(number):
        frames = np.full((FRAMES, SIDE_PX, SIDE_PX, 3), index % 256, dtype=np.uint8)
        frames[:, : 1 + index // 256] = 255 - index % 256
        write_clip(folder / f"{index}.mp4", list(frames))
    return {path.stem: path for path in folder.iterdir()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=564, help="number of videos")
    number: int = parser.parse_args().videos
    with TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        set_environment(store)
        with prefect_server(store):
            videos = make_videos(Path(folder) / "videos", number)
        _measure(videos, store)


def _measure(videos: dict[str, Path], store: Path) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client

    from data.machine import num_cores
    from tasks.config import DECODE_LIMIT, SPARE_SLOTS, IngestConfig, MachineConfig
    from tasks.ingest.videos import extract_videos

    faces = flow(name="faces")(lambda: extract_videos(videos, None, IngestConfig(), MachineConfig(store=store)))
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(DECODE_LIMIT, num_cores() + SPARE_SLOTS)
        for run in ("first", "nothing new"):
            before, start_s = len(_task_runs(client)), time.perf_counter()
            faces()
            seconds = time.perf_counter() - start_s
            print(f"{run}: {len(videos)} videos in {seconds:.1f} s, {len(_task_runs(client)) - before} task runs")  # noqa: T201


def _task_runs(client: object) -> list[object]:
    found: list[object] = []
    while True:
        page = client.read_task_runs(offset=len(found), limit=200)  # type: ignore[attr-defined]
        if not page:
            return found
        found += page


if __name__ == "__main__":
    main()

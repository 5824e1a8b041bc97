from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from data.machine import free_memory_bytes, num_cores


def test_cores_are_those_that_the_process_may_use() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert num_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert num_cores() == len(before)


def write(system: Path, name: str, content: str) -> None:
    (system / name).parent.mkdir(parents=True, exist_ok=True)
    (system / name).write_text(content)


def test_free_memory_is_the_machines() -> None:
    assert 10**7 < free_memory_bytes() < 10**14


def test_free_memory_is_plenty_where_nobody_says_and_else_what_linux_says(tmp_path: Path) -> None:
    assert free_memory_bytes(tmp_path) == sys.maxsize
    write(tmp_path, "proc/meminfo", "MemTotal:  8000 kB\nMemAvailable:  3000 kB\nHugePages_Total: 0\n")
    assert free_memory_bytes(tmp_path) == 3000 * 1024


STAT = "anon 700000\nfile 900000\nactive_file 300000\ninactive_file 500000\nshmem 100000\nslab 50000\n"


@pytest.mark.parametrize(
    ("most", "current", "expected"),
    [
        ("max\n", "1500000\n", 3000 * 1024),
        ("2000000\n", "1500000\n", 2_000_000 - 700_000),
        ("9000000\n", "1500000\n", 3000 * 1024),
        ("500000\n", "1500000\n", 0),
        ("2000000\n", None, 2_000_000),
    ],
)
def test_of_a_containers_memory_what_is_in_use_and_no_file_is_gone(
    most: str, current: str | None, expected: int, tmp_path: Path
) -> None:
    write(tmp_path, "proc/meminfo", "MemAvailable:  3000 kB\n")
    write(tmp_path, "sys/fs/cgroup/memory.max", most)
    if current is not None:
        write(tmp_path, "sys/fs/cgroup/memory.current", current)
        write(tmp_path, "sys/fs/cgroup/memory.stat", STAT)
    assert free_memory_bytes(tmp_path) == expected

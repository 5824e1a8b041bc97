from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from data.pipelining import ahead, in_order


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class Source:
    """Counts up, notes how far it got and whether it was closed, and fails at a number."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at
        self.made = 0
        self.closed = False

    def items(self) -> Generator[int]:
        try:
            for number in range(100):
                if number == self.fails_at:
                    raise OSError("the disk is gone")
                self.made += 1
                yield number
        finally:
            self.closed = True


def test_items_come_in_order_made_in_a_thread_of_their_own() -> None:
    def names() -> Generator[tuple[int, str]]:
        for number in range(20):
            yield number, threading.current_thread().name

    assert list(ahead(names(), num=2, name="maker")) == [(number, "maker") for number in range(20)]


def test_the_maker_is_ahead_by_no_more_than_asked_for() -> None:
    source = Source()
    with closing(ahead(source.items(), num=2, name="maker")) as items:
        assert next(items) == 0
        end_s = time.monotonic() + 5
        while source.made < 4 and time.monotonic() < end_s:
            time.sleep(0.01)
        time.sleep(0.1)
        assert source.made == 4  # the one taken, two that wait and one in the maker's hands


def test_an_error_in_the_making_comes_after_the_items_before_it() -> None:
    source = Source(fails_at=3)
    got: list[int] = []
    with pytest.raises(OSError, match="the disk is gone"):
        got.extend(ahead(source.items(), num=1, name="maker"))
    assert got == [0, 1, 2]
    assert source.closed


def test_who_stops_early_closes_every_step_behind() -> None:
    source = Source()
    with closing(ahead(ahead(source.items(), num=1, name="first"), num=1, name="second")) as items:
        assert [next(items), next(items)] == [0, 1]
    assert source.closed
    assert source.made < 10


def test_work_is_done_together_and_handed_over_in_order() -> None:
    meeting = threading.Barrier(2, timeout=5)

    def work(number: int) -> int:
        meeting.wait()  # two items at once, or an error
        time.sleep(0.02 * (number % 2 == 0))
        return number * number

    with ThreadPoolExecutor(2) as pool:
        assert list(in_order(pool, work, range(6), num=1)) == [0, 1, 4, 9, 16, 25]


def test_an_error_in_the_work_comes_in_its_turn_and_nothing_goes_on_after_it() -> None:
    source = Source()

    def work(number: int) -> int:
        if number == 2:
            raise ValueError(f"frame {number} cannot be cut")
        return number

    got: list[int] = []
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="frame 2 cannot be cut"):
        got.extend(in_order(pool, work, source.items(), num=1))
    assert got == [0, 1]
    assert source.made <= 4

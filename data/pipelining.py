"""Steps of work on a stream that run in parallel, each a little ahead of the next, with results in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from contextlib import closing, suppress
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(items: Generator[Item], *, num: int, name: str) -> Generator[Item]:
    """Yields the same items, computed in a named thread while the caller works on earlier ones; at most `num` wait.

    An error in the thread is raised to the caller in its turn. When the caller stops early or finishes, the generator
    is closed and the thread ends.
    """
    waiting: queue.Queue[Item | _End] = queue.Queue(num)
    stopped = threading.Event()

    def put(item: Item | _End) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def work() -> None:
        error = None
        try:
            with closing(items):
                for item in items:
                    put(item)
                    if stopped.is_set():
                        break
        except BaseException as raised:  # whatever it is, it is the caller's
            error = raised
        put(_End(error))

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join()


class _End:
    """After the last item."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def in_order(pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], *, num: int) -> Generator[Result]:
    """`work` of every item, done in the pool while the caller takes the next `num` items, in the order of the items."""
    under_way: deque[Future[Result]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(work, item))
            if len(under_way) > num:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()

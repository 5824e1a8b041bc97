"""Runs the detection passes that several threads request in one thread, and frames of the same size together.

On a GPU, a pass over one frame takes as long as over dozens, and cuDNN plans every convolution again in every thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, eq=False)
class _Request(Generic[Item, Result, Key]):
    items: Sequence[Item]
    key: Key
    answer: Future[list[Result]]


class LookQueue(Generic[Item, Result, Key]):
    """Calls `work(items, key)` in its own thread, each time for all waiting callers with the same key.

    A call has at most `most` items, unless a single caller brings more.
    """

    def __init__(self, work: Callable[[Sequence[Item], Key], list[Result]], *, most: int) -> None:
        self._work, self._most = work, most
        self._requests: queue.SimpleQueue[_Request[Item, Result, Key]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="detector", daemon=True).start()

    def __call__(self, items: Sequence[Item], key: Key) -> list[Result]:
        """Waits for the result of each item; an error of `work` is raised to every caller that it was done for."""
        request = _Request[Item, Result, Key](items, key, Future())
        self._requests.put(request)
        return request.answer.result()

    def _serve(self) -> None:
        waiting: list[_Request[Item, Result, Key]] = []
        while True:
            if not waiting:
                waiting.append(self._requests.get())
            while not self._requests.empty():
                waiting.append(self._requests.get())
            together = self._together(waiting)
            waiting = [request for request in waiting if request not in together]
            try:
                results = iter(self._work([item for request in together for item in request.items], together[0].key))
            except Exception as error:  # of any kind: the callers handle it
                for request in together:
                    request.answer.set_exception(error)
            else:
                for request in together:
                    request.answer.set_result(list(islice(results, len(request.items))))

    def _together(self, waiting: Sequence[_Request[Item, Result, Key]]) -> list[_Request[Item, Result, Key]]:
        """The first request, and those with the same key that fit into the same call."""
        together, num_items = [waiting[0]], len(waiting[0].items)
        for request in waiting[1:]:
            if request.key == waiting[0].key and num_items + len(request.items) <= self._most:
                together.append(request)
                num_items += len(request.items)
        return together

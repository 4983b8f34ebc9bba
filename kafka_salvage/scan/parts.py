"""Parts: numbered pieces of one file, done beforehand by idle threads.

Strategy: a thread that is idle goes on taking the next part until it is as far ahead as it may be; nobody hands out parts one
by one, so that no thread waits for another to come round. Who needs a part that is under way does later ones meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from kafka_salvage import engine

R = TypeVar("R")


class Parts(Generic[R]):
    """What idle threads make of parts; `close` it before what they work on.

    Args:
        work: makes the result of a part, by its number; runs in any thread.
        count: parts there are.
        most: parts done, or under way, that were not yet asked for.
    """

    def __init__(self, work: Callable[[int], R], count: int, most: int) -> None:
        self._work = work
        self._count = count
        self._most = most
        self._lock = threading.Lock()
        self._next = 0
        self._until = 0
        self._futures: dict[int, Future[R]] = {}
        self._helpers: list[Future[None]] = []

    def begin(self, number: int) -> bool:
        """Everything before ``number`` is no longer wanted; idle threads begin there. Whether there are any, or some at work."""
        with self._lock:
            for old in [n for n in self._futures if n < number]:
                del self._futures[old]
            self._next = max(self._next, number)
            self._until = max(self._until, min(number + self._most, self._count))
            open_parts = self._until - self._next
        self._helpers = [helper for helper in self._helpers if not helper.done()]
        for _ in range(open_parts):
            helper = engine.aside(Parts._help, self)
            if helper is None:
                break
            self._helpers.append(helper)
        return bool(self._helpers)

    def result(self, number: int) -> R | None:
        """What was made of a part; None when nobody has taken it, and nobody will from now on."""
        with self._lock:
            future = self._futures.pop(number, None)
        self.begin(number + 1)
        if future is None:
            return None
        while not future.done() and self._one():  # rather than wait
            pass
        return future.result()

    def close(self) -> None:
        """Waits for what is under way."""
        with self._lock:
            self._until = 0
        engine.settle(self._helpers)
        self._helpers.clear()
        self._futures.clear()

    def _help(self) -> None:
        while self._one():
            pass

    def _one(self) -> bool:
        """Does the next part that nobody has taken, if there is one."""
        with self._lock:
            if self._next >= self._until:
                return False
            number, future = self._next, Future[R]()
            self._futures[number] = future
            self._next += 1
        try:
            future.set_result(self._work(number))
        except Exception as error:  # noqa: BLE001 # raised again where the result is asked for
            future.set_exception(error)
        return True

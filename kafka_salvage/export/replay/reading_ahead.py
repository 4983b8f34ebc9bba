"""Reading ahead: an iterator that is gone through in a thread of its own, a bounded number of items before it is asked."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")
_WAIT = 0.1


class Ahead(Generic[T]):
    """Goes through an iterator in a thread.

    Args:
        items: only this thread uses it from now on.
        depth: how many items may wait.
    """

    def __init__(self, items: Iterator[T], depth: int = 3) -> None:
        self._items = items
        self._waiting: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replay-ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put((item, None, False)):
                    return
            self._put((None, None, True))
        except BaseException as error:  # noqa: BLE001 - told to whoever asks for the next item
            self._put((None, error, True))
        finally:
            if isinstance(self._items, Generator):
                self._items.close()  # files are closed now, and not when it is collected

    def _put(self, item: tuple[T | None, BaseException | None, bool]) -> bool:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._waiting.put(item, timeout=_WAIT)
                return True
        return False

    def __iter__(self) -> Iterator[T]:
        while True:
            item, error, last = self._waiting.get()
            if error is not None:
                raise error
            if last or item is None:
                return
            yield item

    def close(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self._thread.join()

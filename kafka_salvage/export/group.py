"""Group: finished files that are brought to the disk together.

A file system that keeps a journal writes it once for all that was changed since the last time: a thousand small files that are synced
one by one are a thousand waits for the disk, and the same files together are a handful.

Strategy:

1. Finished files wait, and between them whatever is to be done once all before it are on the disk (a line for the journal).
2. When enough are there, when somebody waits for them, or after a moment, their pages are all sent; then all are waited for; then
   each is synced, in the order in which they came. What waits behind a file is done only after that file's sync came back.
3. The first failure is kept: nothing behind it is done, no more files are taken, and whoever waits is told.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from kafka_salvage.errors import DestinationError

FILES = 128
"""Files that are enough for a group."""
BYTES = 8 << 20
"""Bytes that are enough for a group."""
MOST = 256
"""Most files that wait or are being synced: each is open. A quarter of what the process may open, where that is less."""
LINGER = 0.1
"""Seconds that a group waits for more files."""

_Then = Callable[[], None]


class Finished(Protocol):
    """A file that is whole."""

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    def send(self) -> None:
        """Begins to write its pages to the disk; waits for nothing. Raises: DestinationError."""
        ...

    def sent(self) -> None:
        """Comes back when what was begun has been written. Raises: DestinationError."""
        ...

    def sync(self) -> None:
        """Sees to it that it is on the disk, and closes it. Raises: DestinationError."""
        ...


class Group:
    """Files that wait to be synced, in order.

    Args:
        beside: they are synced by a thread of their own; otherwise by whoever brings the last of a group.
    """

    def __init__(self, *, beside: bool) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sync") if beside else None
        self._most = _most()
        self._enough = min(FILES, self._most // 2)
        self._changed = threading.Condition()
        self._waiting: list[tuple[Finished | None, _Then | None]] = []
        self._files = self._bytes = self._open = self._asked = 0
        self._since = 0.0
        self._running = False
        self._failure: DestinationError | None = None

    @property
    def failure(self) -> DestinationError | None:
        """What went wrong first."""
        return self._failure

    def add(self, file: Finished | None, then: _Then | None) -> None:
        """Takes a whole file, and what is to be done once it and all before it are on the disk.

        Args:
            file: open; it is closed when it is synced. None: there is only something to be done.
            then: is called by another thread, perhaps.

        Raises:
            DestinationError: nothing is taken any more, since an earlier file is not on the disk.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._pool is None or self._open < self._most)
            if self._failure is not None:
                raise self._failure
            self._since = self._since if self._waiting else time.monotonic()
            self._waiting.append((file, then))
            if file is not None:
                self._files, self._bytes, self._open = self._files + 1, self._bytes + file.size, self._open + 1
            start, self._running = not self._running, True
            self._changed.notify_all()
        if self._pool is not None:
            if start:
                self._pool.submit(self._work)
        elif self._is_enough() or time.monotonic() - self._since >= LINGER:
            self.settled()

    def settled(self) -> None:
        """Comes back when every file is on the disk and what was to be done then is done.

        Raises:
            DestinationError: one is not.
        """
        if self._pool is None:
            self._sync(self._taken())
        else:
            with self._changed:
                self._asked += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._running)
                self._asked -= 1
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Gives the thread back; nothing may wait any more."""
        if self._pool is not None:
            self._pool.shutdown()

    def _is_enough(self) -> bool:
        return bool(self._asked) or self._files >= self._enough or self._bytes >= BYTES

    def _taken(self) -> list[tuple[Finished | None, _Then | None]]:
        taken, self._waiting = self._waiting, []
        self._files = self._bytes = 0
        return taken

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_enough, LINGER)
                taken = self._taken()
                if not taken:
                    self._running = False
                    self._changed.notify_all()
                    return
            self._sync(taken)
            with self._changed:
                self._open -= sum(file is not None for file, _ in taken)
                self._changed.notify_all()

    def _sync(self, taken: list[tuple[Finished | None, _Then | None]]) -> None:
        try:
            files = [file for file, _ in taken if file is not None]
            if len(files) > 1:
                for file in files:
                    file.send()
                for file in files:
                    file.sent()
            for each, then in taken:
                if self._failure is not None:
                    return
                if each is not None:
                    each.sync()
                if then is not None:
                    then()
        except DestinationError as error:
            self._failure = self._failure or error


def _most() -> int:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if allowed == resource.RLIM_INFINITY else max(2, min(MOST, allowed // 4))

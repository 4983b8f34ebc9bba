"""Behind: one piece of work at a time in a thread of its own, while the next one is made ready."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Behind:
    """Does what it is given in order, each piece after the one before; at most one waits or runs.

    An error of a piece is raised by whoever waits for it next; nothing is done after it.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Waits for the piece before, then starts this one."""
        self.wait()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._running = self._pool.submit(work)

    def wait(self) -> None:
        """Comes back when nothing is being done; raises what the last piece raised."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def end(self) -> None:
        """Waits, and gives the thread back."""
        try:
            self.wait()
        finally:
            if self._pool is not None:
                self._pool.shutdown()
                self._pool = None

"""The engine: runs independent tasks and gives the results back in order. Knows no Kafka.

Strategy: one crew of threads per outermost `ordered_map`. A task may itself map, or put work aside, and then shares the crew:
what no thread is idle for is done by the thread that asked. So nothing waits for a thread that waits, and no more threads run
than were asked for, however deep the tasks are nested.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

LIGHT = 256 << 10
"""Bytes of a file or partition below which what is done for it is mostly Python, which one thread at a time can run."""
_COMPILER = "libllvmlite"
_DONTNEED = 4

T = TypeVar("T")
R = TypeVar("R")


class _Here(threading.local):
    """What the current thread works for."""

    crew: _Crew | None = None


_HERE = _Here()


def default_jobs() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


class _Crew:
    """Threads, and how much they have to do."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool = ThreadPoolExecutor(max(jobs, 1), thread_name_prefix="salvage")  # begins none until it is asked
        self._lock = threading.Lock()
        self._load = 0

    def submit(self, work: Callable[[T], R], item: T) -> Future[R]:
        """Queues a task."""
        with self._lock:
            self._load += 1
        return self._pool.submit(self._run, work, item)

    def aside(self, work: Callable[[T], R], item: T) -> Future[R] | None:
        """Starts a task if a thread is idle."""
        with self._lock:
            if self._load >= self.jobs:
                return None
            self._load += 1
        return self._pool.submit(self._run, work, item)

    def _run(self, work: Callable[[T], R], item: T) -> R:
        _HERE.crew = self
        try:
            return work(item)
        finally:
            with self._lock:
                self._load -= 1

    def shutdown(self, wait: bool) -> None:
        """No more tasks; those that wait are dropped."""
        self._pool.shutdown(wait=wait, cancel_futures=True)


_NOBODY = _Crew(0)
"""The crew of a task that has no helpers."""


def ordered_map(
    work: Callable[[T], R], items: Iterable[T], jobs: int, light: Callable[[T], bool] | None = None
) -> Iterator[R]:
    """Results of ``work`` over ``items``, in the order of the items, at most ``jobs`` under way and few waiting.

    Args:
        work: must release the GIL where it matters; an exception is raised at its item's place.
        items: consumed lazily.
        jobs: 1 runs inline, in this thread; inside a task the crew of that task is shared, whatever is said here.
        light: tells items that are so little work that threads would take turns at Python and nothing else: those are done by
            this thread, one after another, while the crew has the others.
    """
    if _HERE.crew is not None:
        yield from _shared(work, items, _HERE.crew)
        return
    if jobs <= 1:
        for item in items:
            yield work(item)
        return
    crew = _Crew(jobs)
    waiting: deque[tuple[T, Future[R] | None]] = deque()
    patient = True
    try:
        for item in items:
            waiting.append((item, None if light is not None and light(item) else crew.submit(work, item)))
            if len(waiting) >= 2 * jobs:
                yield _result(work, *waiting.popleft())
        while waiting:
            yield _result(work, *waiting.popleft())
    except KeyboardInterrupt:
        patient = False  # a large file may take long; the person wants out now
        raise
    finally:
        crew.shutdown(patient)


def _result(work: Callable[[T], R], item: T, future: Future[R] | None) -> R:
    """What came of an item: of another thread, or of this one, which then does without helpers."""
    if future is not None:
        return future.result()
    before, _HERE.crew = _HERE.crew, _NOBODY
    try:
        return work(item)
    finally:
        _HERE.crew = before


def aside(work: Callable[[T], R], item: T) -> Future[R] | None:
    """Starts ``work(item)`` beside the current task, if its engine has an idle thread; the caller must wait for it.

    Returns:
        None when there is none: then the caller does it, or does without.
    """
    crew = _HERE.crew
    return None if crew is None else crew.aside(work, item)


def done_here(work: Callable[[T], R], item: T) -> Future[R]:
    """Does the work in this thread, now."""
    future: Future[R] = Future()
    try:
        future.set_result(work(item))
    except Exception as error:  # noqa: BLE001 # raised again where the result is asked for
        future.set_exception(error)
    return future


def release() -> None:
    """Gives memory back to the system, between two stages of which the second needs other memory than the first.

    What is freed; and the code of the compiler, 50 MiB of it, which is needed only where another kernel is loaded: the system
    reads it again from its file when it is.
    """
    gc.collect()
    with suppress(OSError, AttributeError, ValueError):
        library = ctypes.CDLL(None)
        library.malloc_trim(0)
        forget = library.madvise
        forget.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for start, stop in _code_of(_COMPILER):
            forget(start, stop - start, _DONTNEED)


def _code_of(library: str) -> Iterator[tuple[int, int]]:
    """Addresses at which the code of a library lies: parts of its file that nobody has ever written to."""
    with Path("/proc/self/maps").open() as told:
        for line in told:
            place, access, _, _, _, *name = line.split(maxsplit=5)
            if access == "r-xp" and name and library in name[0]:
                start, _, stop = place.partition("-")
                yield int(start, 16), int(stop, 16)


def settle(futures: Iterable[Future[Any]]) -> None:
    """Waits for tasks whose results nobody wants, since they use what the caller is about to close."""
    for future in futures:
        if not future.cancel():
            future.exception()


def _shared(work: Callable[[T], R], items: Iterable[T], crew: _Crew) -> Iterator[R]:
    """The map of a task: items ahead go to idle threads, the rest is done here."""
    rest = iter(items)
    ahead: deque[tuple[T, Future[R] | None]] = deque()
    try:
        while True:
            while len(ahead) < max(2 * crew.jobs, 1):
                try:
                    ahead.append((next(rest), None))
                except StopIteration:
                    break
            if not ahead:
                return
            for place in range(1, len(ahead)):
                item, future = ahead[place]
                if future is None:
                    ahead[place] = item, (started := crew.aside(work, item))
                    if started is None:
                        break
            item, future = ahead[0]
            open_place = next((place for place, (_, other) in enumerate(ahead) if other is None), None)
            if future is None:
                ahead[0] = item, done_here(work, item)
            elif not future.done() and open_place is not None:
                other_item = ahead[open_place][0]
                ahead[open_place] = other_item, done_here(work, other_item)
            else:
                ahead.popleft()
                yield future.result()
    finally:
        settle(future for _, future in ahead if future is not None)

"""The engine: runs independent tasks and gives the results back in order. Knows no Kafka."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def default_jobs() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def ordered_map(work: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R]:
    """Results of ``work`` over ``items``, in the order of the items, at most ``jobs`` under way and few waiting.

    Args:
        work: must release the GIL where it matters; an exception is raised at its item's place.
        items: consumed lazily.
        jobs: 1 runs inline, in this thread.
    """
    if jobs <= 1:
        for item in items:
            yield work(item)
        return
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="salvage")
    waiting: list[Future[R]] = []
    patient = True
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 2 * jobs:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    except KeyboardInterrupt:
        patient = False  # a large file may take long; the person wants out now
        raise
    finally:
        pool.shutdown(wait=patient, cancel_futures=True)

"""Behind: order, and errors that arrive."""

from __future__ import annotations

import threading
import time

import pytest

from kafka_salvage.export.behind import Behind


def test_pieces_are_done_in_order_and_one_at_a_time() -> None:
    behind, done, running = Behind(), list[int](), threading.Semaphore(1)

    def work(number: int) -> None:
        assert running.acquire(blocking=False)
        time.sleep(0.001)
        done.append(number)
        running.release()

    for number in range(50):
        behind.do(lambda number=number: work(number))  # type: ignore[misc] # the default binds the number
    behind.end()
    assert done == list(range(50))


def test_an_error_arrives_at_whoever_waits_next_and_only_there() -> None:
    behind = Behind()

    def fail() -> None:
        raise OSError(28, "full")

    behind.do(fail)
    with pytest.raises(OSError, match="full"):
        behind.do(lambda: None)
    behind.wait()
    behind.do(fail)
    with pytest.raises(OSError, match="full"):
        behind.end()
    behind.end()


def test_without_work_there_is_no_thread() -> None:
    before = threading.active_count()
    behind = Behind()
    behind.wait()
    behind.end()
    assert threading.active_count() == before

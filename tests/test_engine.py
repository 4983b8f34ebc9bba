"""Tasks may map and put work aside: one crew does it all, in order, and nothing waits for a thread that waits."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import pytest

from kafka_salvage import engine


@pytest.mark.parametrize("jobs", [1, 2, 3, 8])
def test_nested_maps_give_the_same_in_any_crew(jobs: int) -> None:
    def inner(number: int) -> int:
        return number * number

    def outer(number: int) -> list[int]:
        return list(engine.ordered_map(inner, range(number), jobs))

    assert list(engine.ordered_map(outer, range(12), jobs)) == [[n * n for n in range(m)] for m in range(12)]


def test_no_more_threads_than_were_asked_for() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def inner(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1

    def outer(_: int) -> None:
        list(engine.ordered_map(inner, range(10), 99))

    list(engine.ordered_map(outer, range(5), 3))
    assert most <= 3


def test_a_single_task_is_helped() -> None:
    """Two inner tasks that meet need two threads at once."""
    meeting = threading.Barrier(2, timeout=20)

    def outer(_: int) -> list[int]:
        return list(engine.ordered_map(lambda _: meeting.wait(), range(2), 1))

    assert sorted(next(engine.ordered_map(outer, [0], 2))) == [0, 1]


def test_an_exception_is_raised_at_its_place() -> None:
    def inner(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        return number

    def outer(_: int) -> list[int]:
        mapped = engine.ordered_map(inner, range(9), 2)
        seen = [next(mapped) for _ in range(3)]
        with pytest.raises(KeyError):
            next(mapped)
        return seen

    assert list(engine.ordered_map(outer, [0, 1], 2)) == [[0, 1, 2]] * 2


def test_nothing_is_put_aside_without_an_idle_thread() -> None:
    assert engine.aside(abs, -1) is None

    def alone(_: int) -> bool:
        return engine.aside(abs, -1) is None

    def helped(_: int) -> int:
        future = engine.aside(abs, -1)
        assert isinstance(future, Future)
        return future.result(timeout=20)

    assert list(engine.ordered_map(alone, [0], 1)) == [True]
    assert list(engine.ordered_map(helped, [0], 2)) == [1]


def test_what_is_under_way_is_waited_for() -> None:
    finished = threading.Event()

    def slow(number: int) -> int:
        if number:
            time.sleep(0.05)
            finished.set()
        return number

    def outer(_: int) -> bool:
        mapped = engine.ordered_map(slow, range(3), 2)
        next(mapped)
        mapped.close()  # type: ignore[attr-defined] # it is a generator
        return finished.is_set()

    assert list(engine.ordered_map(outer, [0], 2)) == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what lies in memory")
def test_the_code_of_the_compiler_leaves_memory_and_is_there_when_it_is_needed() -> None:
    program = """
import numba, sys
from kafka_salvage import engine
def resident():
    told = open("/proc/self/status").read()
    return int(told.partition("RssFile:")[2].split()[0])
def added(number):
    return number + 1
assert numba.njit(added)(1) == 2
before = resident()
engine.release()
after = resident()
assert numba.njit(lambda number: number * 3)(2) == 6
sys.exit(0 if before - after > 20_000 else f"{before} KiB, then {after}")
"""
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("jobs", [2, 8])
def test_light_items_are_done_in_this_thread_without_helpers(jobs: int) -> None:
    here = threading.get_ident()

    def inner(_: int) -> int:
        return threading.get_ident()

    def work(number: int) -> tuple[int, int, set[int]]:
        return number, threading.get_ident(), set(engine.ordered_map(inner, range(5), 4))

    made = list(engine.ordered_map(work, range(40), jobs, light=lambda number: number % 3 != 0))
    assert [number for number, _, _ in made] == list(range(40))
    for number, thread, inside in made:
        if number % 3:
            assert thread == here
            assert inside == {here}
        else:
            assert thread != here


def test_an_exception_of_a_light_item_is_raised_at_its_place() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        return number

    found: list[int] = []
    with pytest.raises(KeyError):
        found.extend(engine.ordered_map(work, range(9), 2, light=lambda _: True))
    assert found == [0, 1, 2]
    assert list(engine.ordered_map(work, range(3), 2)) == [0, 1, 2]  # the thread has a crew of its own again

"""Tests of leased memory: it comes back when the last view is gone, and not before."""

from __future__ import annotations

import gc
import threading

import numpy as np

from kafka_salvage.vector import arena
from kafka_salvage.vector.pointers import address_of


def test_memory_comes_back_when_the_last_view_is_gone() -> None:
    leased, address = arena.lease(3 << 16)
    assert address == address_of(leased)
    assert address % 4096 == 0
    assert len(leased) == 3 << 16
    view = leased[10:90].view(np.int64)[1:]
    exported = view.data
    del leased, view
    gc.collect()
    other, elsewhere = arena.lease(3 << 16)
    assert elsewhere != address
    exported.release()
    del exported
    again, where = arena.lease(200_000)  # the same size class
    assert where == address
    assert len(again) == 200_000
    del other, again


def test_what_waits_is_bounded_and_large_memory_is_not_kept() -> None:
    many = [arena.lease(1 << 20)[0] for _ in range(20)]
    del many
    assert sum(len(memory) for stack in arena._waiting.values() for memory, _ in stack) <= 45 << 20
    size = (1 << arena.LARGEST) + 1
    large, _ = arena.lease(size)
    assert len(large) == size
    assert large.base is not None
    del large
    assert all(len(memory) <= (1 << arena.LARGEST) + 8192 for stack in arena._waiting.values() for memory, _ in stack)


def test_threads_never_share_memory() -> None:
    wrong: list[int] = []

    def work(mark: int) -> None:
        for _ in range(300):
            mine, _ = arena.lease(1 << 16)
            mine[:64] = mark
            gc.collect(0)
            wrong.extend(int(v) for v in mine[:64] if v != mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_matrix_is_one() -> None:
    matrix, address = arena.lease_matrix(5, 3)
    matrix[:] = np.arange(15).reshape(5, 3)
    assert address_of(matrix) == address
    assert matrix.sum() == 105
    assert arena.lease_matrix(0, 3)[0].shape == (0, 3)

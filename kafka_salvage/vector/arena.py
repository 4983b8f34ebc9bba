"""Arena: memory that is used again as soon as nobody looks at it any more.

Strategy: fresh memory costs page faults, about as much as decoding records into it. A lease is an array of bytes over memory
of one of a few sizes; when the last view of it is gone, the memory goes to a short stack of its size, from which the next
lease takes it, still warm in the cache. Stacks are bounded, larger memory is never kept. Taking and giving back are single
atomic operations on a deque, so threads need no lock and a collection at any moment does no harm.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.vector.pointers import address_of

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
SLACK = 64
"""Bytes behind every lease that kernels may read, and write garbage to."""
SMALLEST, LARGEST = 16, 23
"""Kept sizes are powers of two between these, bytes; together at most 44 MiB wait."""
_ALIGNMENT = 4096
_Memory = tuple[U8, int]
_waiting: dict[int, deque[_Memory]] = {n: deque(maxlen=8 if n <= 20 else 2) for n in range(SMALLEST, LARGEST + 1)}


class _Lease:
    """Owns memory on behalf of the arrays that look at it."""

    __slots__ = ("__array_interface__", "_memory", "_stack")

    def __init__(self, memory: _Memory, size: int, stack: deque[_Memory]) -> None:
        self._memory = memory
        self._stack = stack
        self.__array_interface__: dict[str, Any] = {
            "data": (memory[1], False),
            "shape": (size,),
            "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        self._stack.append(self._memory)


def lease(size: int) -> tuple[U8, int]:
    """``size`` uninitialised bytes with `SLACK` behind; given back when the last view of them is gone.

    Returns:
        The bytes, and their address, a multiple of 4096.
    """
    bits = max((size - 1).bit_length(), SMALLEST)
    if bits > LARGEST:
        memory, address = _memory(size)
        return memory[:size], address
    stack = _waiting[bits]
    try:
        taken = stack.pop()
    except IndexError:
        taken = _memory(1 << bits)
    return np.asarray(_Lease(taken, size, stack)), taken[1]


def lease_matrix(rows: int, width: int) -> tuple[I64, int]:
    """An uninitialised int64 matrix in leased memory, and its address."""
    memory, address = lease(8 * rows * width)
    return memory.view(np.int64).reshape(rows, width), address


def _memory(size: int) -> _Memory:
    raw: U8 = np.empty(size + _ALIGNMENT + SLACK, np.uint8)
    skip = -address_of(raw) % _ALIGNMENT
    aligned = raw[skip:]
    return aligned, address_of(aligned)

"""MemorySource: bytes that are already here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kafka_salvage.ranges import ByteRange
from kafka_salvage.source.source import U8


class MemorySource:
    """Bytes in memory, not copied.

    Args:
        data: the bytes; must not be changed while this is used.
        name: display name.
    """

    def __init__(self, data: bytes | bytearray | memoryview | U8, name: str = "memory") -> None:
        self._data: U8 = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
        self._name = name

    def __repr__(self) -> str:
        return f"MemorySource({self._name!r}, {self.size} bytes)"

    @property
    def name(self) -> str:
        """Display name."""
        return self._name

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._data)

    @property
    def unreadable(self) -> tuple[ByteRange, ...]:
        """Always empty."""
        return ()

    def fileno(self) -> int:
        """There is no descriptor: -1."""
        return -1

    def data_ranges(self, start: int = 0, stop: int | None = None) -> Iterator[ByteRange]:
        """The whole of ``[start, stop)``: memory has no holes."""
        end = self.size if stop is None else min(stop, self.size)
        if start < end:
            yield ByteRange(start, end)

    def read_into(self, position: int, buffer: U8) -> int:
        """Fills ``buffer`` from ``position``; returns bytes filled (fewer than asked only at the end)."""
        got = max(0, min(len(buffer), self.size - position))
        buffer[:got] = self._data[position : position + got]
        return got

    def read(self, start: int, stop: int) -> U8:
        """Bytes ``[start, stop)`` (clipped to the end) in a new array."""
        return self._data[start : max(start, min(stop, self.size))].copy()

    def close(self) -> None:
        """Nothing to give back."""

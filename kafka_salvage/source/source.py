"""Source: named bytes that can be read at a position. Knows no Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from kafka_salvage.ranges import ByteRange

U8 = npt.NDArray[np.uint8]


class Source(Protocol):
    """Bytes of one file, read only.

    Strategy: reading never raises for a bad sector. What cannot be read after retries in smaller pieces is filled with
    zeros and remembered in `unreadable`. A file that shrank while it was read gives zeros there, remembered likewise.
    """

    @property
    def name(self) -> str:
        """Display name."""
        ...

    @property
    def size(self) -> int:
        """Bytes when it was opened."""
        ...

    @property
    def unreadable(self) -> tuple[ByteRange, ...]:
        """What could not be read so far, sorted, joined."""
        ...

    def fileno(self) -> int:
        """A descriptor that gives exactly these bytes to ``pread``; -1 when there is none."""
        ...

    def data_ranges(self, start: int = 0, stop: int | None = None) -> Iterator[ByteRange]:
        """The parts of ``[start, stop)`` that may hold anything but zeros, in order; the rest are holes."""
        ...

    def read_into(self, position: int, buffer: U8) -> int:
        """Fills ``buffer`` from ``position``; returns bytes filled (fewer than asked only at the end of the file)."""
        ...

    def read(self, start: int, stop: int) -> U8:
        """Bytes ``[start, stop)`` (clipped to the file) in a new array."""
        ...

    def close(self) -> None:
        """Gives back the descriptor."""
        ...

"""Gaps: the byte ranges of one file that could not be read."""

from __future__ import annotations

from bisect import bisect_right
from threading import Lock

from kafka_salvage.ranges import ByteRange


class Gaps:
    """A set of byte ranges, kept sorted and joined; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ranges: tuple[ByteRange, ...] = ()

    @property
    def ranges(self) -> tuple[ByteRange, ...]:
        """Sorted, joined, none empty."""
        return self._ranges

    def add(self, start: int, stop: int) -> None:
        """Adds ``[start, stop)``."""
        if start >= stop:
            return
        with self._lock:
            kept: list[ByteRange] = []
            for known in self._ranges:
                if known.stop < start or known.start > stop:
                    kept.append(known)
                else:
                    start, stop = min(start, known.start), max(stop, known.stop)
            kept.append(ByteRange(start, stop))
            self._ranges = tuple(sorted(kept))

    def first(self, start: int, stop: int) -> ByteRange | None:
        """The first known range that overlaps ``[start, stop)``."""
        ranges = self._ranges
        at = bisect_right(ranges, start, key=lambda r: r.stop)
        return ranges[at] if at < len(ranges) and ranges[at].start < stop else None

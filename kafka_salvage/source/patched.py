"""PatchedSource: another source, with a few bytes exchanged as they are read. The evidence stays as it is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from kafka_salvage.ranges import ByteRange
from kafka_salvage.source.gaps import Gaps
from kafka_salvage.source.source import U8, Source


class PatchedSource:
    """A view of ``source`` in which each patch lies over the bytes at its position.

    Args:
        source: what is patched; it is closed with this.
        patches: (position, bytes) pairs in any order, inside the source, none overlapping another.

    Raises:
        ValueError: a patch leaves the source, or two overlap.
    """

    def __init__(self, source: Source, patches: Sequence[tuple[int, bytes]]) -> None:
        self._source = source
        self._patches = tuple(sorted((position, bytes(after)) for position, after in patches if after))
        self._stops = [position + len(after) for position, after in self._patches]
        reached = 0
        for (position, _), stop in zip(self._patches, self._stops, strict=True):
            if position < reached or stop > source.size:
                raise ValueError(f"patch at {position}..{stop} overlaps another or leaves the {source.size} bytes")
            reached = stop

    def __repr__(self) -> str:
        return f"PatchedSource({self._source!r}, {len(self._patches)} patches)"

    @property
    def name(self) -> str:
        """Display name of the source below."""
        return self._source.name

    @property
    def size(self) -> int:
        """Bytes, as below."""
        return self._source.size

    @property
    def patches(self) -> tuple[tuple[int, bytes], ...]:
        """(position, bytes) pairs, sorted."""
        return self._patches

    @property
    def unreadable(self) -> tuple[ByteRange, ...]:
        """What could not be read below and is not covered by a patch."""
        gaps = Gaps()
        for gap in self._source.unreadable:
            start = gap.start
            for position, after in self._patches[bisect_right(self._stops, start) :]:
                if position >= gap.stop:
                    break
                gaps.add(start, max(start, position))
                start = position + len(after)
            gaps.add(start, max(start, gap.stop))
        return gaps.ranges

    def fileno(self) -> int:
        """No descriptor gives these bytes: -1."""
        return -1

    def data_ranges(self, start: int = 0, stop: int | None = None) -> Iterator[ByteRange]:
        """The parts of ``[start, stop)`` that may hold anything but zeros, patches included."""
        end = self.size if stop is None else min(stop, self.size)
        found = Gaps()
        for part in self._source.data_ranges(start, end):
            found.add(part.start, part.stop)
        for position, after in self._patches:
            found.add(max(position, start), min(position + len(after), end))
        yield from found.ranges

    def read_into(self, position: int, buffer: U8) -> int:
        """Fills ``buffer`` from ``position``; returns bytes filled (fewer than asked only at the end of the file)."""
        got = self._source.read_into(position, buffer)
        for at in range(bisect_right(self._stops, position), len(self._patches)):  # a slice would copy all that follow
            place, after = self._patches[at]
            if place >= position + got:
                break
            start, stop = max(place, position), min(place + len(after), position + got)
            buffer[start - position : stop - position] = np.frombuffer(after, np.uint8)[start - place : stop - place]
        return got

    def read(self, start: int, stop: int) -> U8:
        """Bytes ``[start, stop)`` (clipped to the file) in a new array."""
        buffer = np.empty(max(0, min(stop, self.size) - start), np.uint8)
        self.read_into(start, buffer)
        return buffer

    def close(self) -> None:
        """Closes the source below."""
        self._source.close()

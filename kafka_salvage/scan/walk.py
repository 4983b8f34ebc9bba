"""The walk: follow lengths from batch to batch until one lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from kafka_salvage.ranges import ByteRange
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.source.source import U8, Source


class StopReason(StrEnum):
    """Why a walk ended (a fact in its own words; verdicts are `regions`' business)."""

    END = "end"
    """The end of the range was met exactly."""
    SHORT = "short"
    """Fewer bytes are left than the smallest header needs."""
    LENGTH_TOO_SMALL = "length-too-small"
    LENGTH_PAST_END = "length-past-end"
    BAD_MAGIC = "bad-magic"
    CRC_MISMATCH = "crc-mismatch"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Stop:
    """Where and why a walk ended.

    Attributes:
        position: the first byte that is not part of a good batch.
        reason: why.
        stored, computed: CRCs where the reason is `CRC_MISMATCH`, else 0.
        size: what the length field claims there (whole batch, bytes), 0 when unknown.
    """

    position: int
    reason: StopReason
    stored: int = 0
    computed: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class WalkBlock:
    """One block of rows; the last one carries the stop."""

    batches: BatchTable
    stop: Stop | None


BLOCK_ROWS = 8192
WINDOW = 256 << 10


def walk(
    source: Source, start: int = 0, stop: int | None = None, *, window: int = WINDOW, rows: int = BLOCK_ROWS
) -> Iterator[WalkBlock]:
    """Yields blocks of batches whose CRC agrees, from ``start`` on, until one does not (never past ``stop``).

    Bounded memory: a window is read at a time; a batch larger than the window is summed in pieces. A row is accepted by its
    CRC alone: what its header says is for others to judge.

    Args:
        source: where bytes come from; read by the kernel itself when it has a descriptor.
        start: position of the first batch.
        stop: end of the range; None and anything beyond the file mean the end of the file.
        window: bytes per read, a multiple of 4096; has no influence on the result.
        rows: most rows per block, a multiple of 8; has no influence on the rows.
    """
    end = source.size if stop is None else min(stop, source.size)
    return _Walk(source, start, max(start, end), window, rows).blocks()


class _Walk:
    """One walk under way: the work area, the kernel's state, and what could not be read."""

    def __init__(self, source: Source, start: int, stop: int, window: int, rows: int) -> None:
        if window <= 0 or window % 4096:
            raise ValueError(f"window {window} is no multiple of 4096")
        self._source = source
        self._start = start
        self._stop = stop
        self._window = window
        self._rows = rows
        self._vanished: list[ByteRange] = []

    def blocks(self) -> Iterator[WalkBlock]:
        """Runs the kernel until the walk ends; looks at what was unreadable after each block."""
        from kafka_salvage.vector import framing, headers, pointers  # Numba is loaded by those who walk only

        place, outcomes = framing.State, framing.Outcome
        area = pointers.aligned_buffer(2 * self._window)
        state = np.zeros(framing.STATE_SIZE, np.int64)
        state[[place.POSITION, place.FROM, place.FILLED]] = self._start
        state[place.STOP] = self._stop
        where = pointers.address_of(area), self._window, pointers.address_of(state)
        descriptor = self._source.fileno()
        while True:
            memory = headers.new_block(self._rows)
            block = pointers.address_of(memory), self._rows
            state[place.ROWS] = 0
            while True:
                outcome = framing.follow(descriptor, *where, *block)
                if outcome != outcomes.WANTED:
                    break
                target = int(state[place.WANT_ADDRESS]) - where[0]
                size, position = int(state[place.WANT_SIZE]), int(state[place.FILLED])
                self._fetch(position, area[target : target + size])
                state[place.FILLED] += size
            table = _table(headers.columns_of(memory, self._rows, int(state[place.ROWS])), self._rows)
            end = None
            if outcome != outcomes.FULL:
                stored, computed, size = (int(state[p]) for p in (place.STORED, place.COMPUTED, place.SIZE))
                end = self._end(outcomes(outcome).name, int(state[place.POSITION]), stored, computed, size)
            table, end = self._readable(table, end)
            yield WalkBlock(table, end)
            if end is not None:
                return

    def _fetch(self, position: int, target: U8) -> None:
        """Lets the source read what the kernel could not; what the file no longer has is zeros, and remembered."""
        filled = self._source.read_into(position, target)
        if filled < len(target):
            target[filled:] = 0
            self._vanished.append(ByteRange(position + filled, position + len(target)))

    def _end(self, name: str, position: int, stored: int, computed: int, size: int) -> Stop:
        reason = StopReason[name]
        if reason is StopReason.CRC_MISMATCH:
            return Stop(position, reason, stored, computed, size)
        known = reason not in (StopReason.END, StopReason.SHORT)
        return Stop(position, reason, size=size if known else 0)

    def _readable(self, table: BatchTable, end: Stop | None) -> tuple[BatchTable, Stop | None]:
        """Ends the walk at the first batch that has an unreadable byte in it."""
        holes = [*self._source.unreadable, *self._vanished]
        if not holes:
            return table, end
        if end is not None and end.reason is not StopReason.END:
            extent = end.size if end.reason is StopReason.CRC_MISMATCH else _HEADER
            stop = min(end.position + max(extent, 1), self._stop)
            if any(hole.start < stop and end.position < hole.stop for hole in holes):
                end = Stop(end.position, StopReason.UNREADABLE, size=end.size)
        touched = np.zeros(len(table), np.bool_)
        for hole in holes:
            touched |= (table.position < hole.stop) & (hole.start < table.stop)
        if touched.any():
            first = int(np.argmax(touched))
            end = Stop(int(table.position[first]), StopReason.UNREADABLE, size=int(table.size[first]))
            table = table.take(slice(0, first))
        return table, end


_HEADER = 61


def _table(columns: dict[str, Any], capacity: int) -> BatchTable:
    """A table over a block's columns; a sparsely filled block is copied, so that it does not keep its memory."""
    table = BatchTable(**columns)
    return table if 2 * len(table) > capacity else table.take(np.arange(len(table)))

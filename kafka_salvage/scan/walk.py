"""The walk: follow lengths from batch to batch until one lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from kafka_salvage.errors import InvariantError
from kafka_salvage.ranges import ByteRange
from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.scan.passing import Passer
from kafka_salvage.scan.resync import Sanity
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


def stop_of(passed: I64) -> Stop:
    """Where a walk would have ended that does not go over a batch that this one went over (a row of `vector.passing.Over`)."""
    from kafka_salvage.vector.framing import Outcome  # Numba is loaded by those who walk only
    from kafka_salvage.vector.passing import Over

    row = passed.tolist()
    reason = StopReason[Outcome(row[Over.REASON]).name]
    return Stop(row[Over.POSITION], reason, row[Over.STORED], row[Over.COMPUTED], max(row[Over.CLAIM], 0))


@dataclass(frozen=True, slots=True)
class WalkBlock:
    """One block of rows; the last one carries the stop.

    Attributes:
        batches: rows.
        stop: why the walk ended, in its last block.
        counts: batches that each row stands for where the walk folds; None: one each.
        passed: damaged batches that the walk went over (see `scan.passing`), if it may; their bytes have no row.
    """

    batches: BatchTable
    stop: Stop | None
    counts: I64 | None = None
    passed: I64 | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """How a walk folds ordinary batches into the row of the one before them (see `vector.folding`).

    A folded row has the position and base offset of its first batch, the last offset of its last one, the sum of sizes and
    of records, the lowest and the highest timestamp; its codec reads as none, its CRC, sequence and (unless transactional)
    producer are those of the first batch.

    Attributes:
        marks: positions, ascending; a batch that begins there begins a row, unless there are notes.
        alone: the first batch of the walk is a row by itself.
        until: a multiple of 1 MiB; the walk ends, without a stop, at the first batch that begins there or behind.
        notes: for each mark that a stretch runs over or up to, where the first batch at or behind it begins, and the last
            offset before that batch; others are left as they are.
    """

    marks: I64
    alone: bool = True
    until: int | None = None
    notes: tuple[I64, I64] | None = None
    over: Sanity | None = None


BLOCK_ROWS = 8192
FOLDED_ROWS = 4096
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


def walk_folded(
    source: Source,
    start: int,
    fold: Fold,
    *,
    window: int = WINDOW,
    rows: int = FOLDED_ROWS,
) -> Iterator[WalkBlock]:
    """The same walk to the end of the file, with ordinary batches folded; windows and blocks have no influence on rows.

    Args:
        source: where bytes come from.
        start: position of the first batch.
        fold: how.
        window: bytes per read, a multiple of 4096, at least 64 KiB.
        rows: most rows per block, a multiple of 8.
    """
    if window < 64 << 10:
        raise ValueError(f"window {window} is too small to fold")
    return _Walk(source, start, max(start, source.size), window, rows, fold).blocks()


class _Walk:
    """One walk under way: the work area, the kernel's state, and what could not be read."""

    def __init__(self, source: Source, start: int, stop: int, window: int, rows: int, fold: Fold | None = None) -> None:
        if window <= 0 or window % 4096:
            raise ValueError(f"window {window} is no multiple of 4096")
        self._source = source
        self._start = start
        self._stop = stop
        self._window = window
        self._rows = rows
        self._fold = fold
        self._vanished: list[ByteRange] = []

    def blocks(self) -> Iterator[WalkBlock]:
        """Runs the kernel until the walk ends; looks at what was unreadable after each block."""
        from kafka_salvage.vector import framing, headers  # Numba is loaded by those who walk only
        from kafka_salvage.vector.arena import lease
        from kafka_salvage.vector.pointers import address_of

        place, outcomes = framing.State, framing.Outcome
        area, start = lease(2 * self._window)
        state = np.zeros(framing.STATE_SIZE, np.int64)
        state[[place.POSITION, place.FROM, place.FILLED]] = self._start
        state[[place.STOP, place.UNTIL]] = self._stop
        counts = self._prepare(state, place)
        where = start, self._window, address_of(state)
        descriptor = self._source.fileno()
        over = self._fold.over if self._fold is not None else None
        passer = None if over is None else Passer(self._source, over)
        follow, driven, reason = framing.follow_usual, False, int(outcomes.FULL)
        while True:
            memory, first = lease(self._rows * headers.ROW_BYTES)
            block = first, self._rows
            state[place.ROWS] = 0
            while True:
                if passer is not None and driven:
                    outcome = passer.follow(reason, *where, *block)
                else:
                    outcome = follow(descriptor, *where, *block)
                    if passer is not None:
                        passer.settle(int(state[place.POSITION]))
                        if outcome > outcomes.SHORT:
                            driven, reason = True, outcome
                            continue
                reason = int(outcomes.FULL)
                if outcome == outcomes.OTHER:
                    follow, driven = framing.follow, False
                    continue
                if outcome != outcomes.WANTED:
                    break
                target = int(state[place.WANT_ADDRESS]) - where[0]
                size, position = int(state[place.WANT_SIZE]), int(state[place.FILLED])
                self._advances(size, position)
                self._fetch(position, area[target : target + size])
                state[place.FILLED] += size
            rows = int(state[place.ROWS])
            table = _table(headers.columns_of(memory, self._rows, rows), self._rows)
            end = None
            if outcome == outcomes.FULL:
                self._advances(rows, int(state[place.POSITION]))
            else:
                stored, computed, size = (int(state[p]) for p in (place.STORED, place.COMPUTED, place.SIZE))
                end = self._end(outcomes(outcome).name, int(state[place.POSITION]), stored, computed, size)
                undone = None if passer is None else passer.undone()
                end = end if undone is None else stop_of(undone)
            passed = None if passer is None else passer.taken(int(table.last_offset[-1]) if rows else None)
            yield self._readable(WalkBlock(table, end, None if self._fold is None else counts[:rows].copy(), passed))
            if end is not None or state[place.POSITION] >= state[place.UNTIL]:
                return

    @staticmethod
    def _advances(count: int, position: int) -> None:
        """A walk that stands still would never end: better to stop and say so."""
        if count <= 0:
            raise InvariantError("the walk stands still", stage="scan.walk", where=(position, position))

    def _prepare(self, state: I64, place: Any) -> I64:
        """Tells the kernel how to fold; gives the memory for its counts."""
        from kafka_salvage.vector.pointers import address_of

        fold = self._fold
        if fold is None:
            return np.empty(0, np.int64)
        counts = np.empty(self._rows, np.int64)
        marks = np.ascontiguousarray(fold.marks, np.int64)
        self._kept = counts, marks  # the kernel knows only their addresses
        state[place.COUNTS] = address_of(counts)
        state[place.ALONE] = self._start if fold.alone else -1
        state[place.MARK] = address_of(marks)
        state[place.MARKS_END] = address_of(marks) + marks.nbytes
        if fold.notes is not None:
            places, offsets = fold.notes
            state[place.PLACES] = address_of(places) - address_of(marks)
            state[place.OFFSETS] = address_of(offsets) - address_of(marks)
        if fold.until is not None:
            state[place.UNTIL] = min(fold.until, self._stop)
        return counts

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

    def _readable(self, block: WalkBlock) -> WalkBlock:
        """Ends the walk at the first batch that has an unreadable byte in it."""
        holes = [*self._source.unreadable, *self._vanished]
        if not holes:
            return block
        if block.passed is not None and len(block.passed):  # near such bytes nothing is simple
            halt = stop_of(block.passed[0])
            rows = int(np.searchsorted(block.batches.position, halt.position))
            counts = None if block.counts is None else block.counts[:rows]
            block = WalkBlock(block.batches.take(slice(0, rows)), halt, counts)
        table, end = block.batches, block.stop
        if end is not None and end.reason is not StopReason.END:
            extent = end.size if end.reason is StopReason.CRC_MISMATCH else _HEADER
            stop = min(end.position + max(extent, 1), self._stop)
            if any(hole.start < stop and end.position < hole.stop for hole in holes):
                end = Stop(end.position, StopReason.UNREADABLE, size=end.size)
        touched = np.zeros(len(table), np.bool_)
        for hole in holes:
            touched |= (table.position < hole.stop) & (hole.start < table.stop)
        if not touched.any():
            return WalkBlock(table, end, block.counts)
        first = int(np.argmax(touched))
        kept = table.take(slice(0, first))
        if block.counts is None:
            end = Stop(int(table.position[first]), StopReason.UNREADABLE, size=int(table.size[first]))
            return WalkBlock(kept, end)
        # the batches of a stretch before the hole are good: they are rows by themselves
        inner = list(walk(self._source, int(table.position[first]), int(table.stop[first])))
        parts = [kept, *(one.batches for one in inner)]
        ones = np.ones(sum(len(part) for part in parts) - first, np.int64)
        return WalkBlock(BatchTable.concat(parts), inner[-1].stop, np.concatenate([block.counts[:first], ones]))


_HEADER = 61


def _table(columns: dict[str, Any], capacity: int) -> BatchTable:
    """A table over a block's columns; a sparsely filled block is copied, so that it does not keep its memory."""
    table = BatchTable(**columns)
    return table if 2 * len(table) > capacity else table.take(np.arange(len(table)))

"""Side: the batches of one line in offset order, as one of two sides that are compared; a block is held at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from kafka_salvage.plan.edges import open_patched
from kafka_salvage.plan.plan import PartitionPlan, Step
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import RecordTable, decode
from kafka_salvage.scan.walk import walk
from kafka_salvage.source.source import U8, Source

PIECE = 1 << 20
"""Bytes compared at a time."""

_EPOCH = range(12, 16)
"""Bytes of a v2 batch that its CRC does not cover and that may differ between copies: the leader epoch."""

_SAME = ("last_offset", "size", "magic", "crc", "record_count")

Decoded = tuple[RecordTable | None, int]
"""Records of some batches (None: they do not decode), and the last offset that they cover."""


class Side:
    """A cursor over a line.

    Attributes:
        floor: offsets below are done with, or lie below the log start.
        table: batches of the current block that are still to come, in offset order; empty at the end.
    """

    def __init__(self, plan: PartitionPlan | None, limits: Limits) -> None:
        self.floor = plan.log_start if plan is not None else 0
        self.table = BatchTable.empty()
        self._source: Source | None = None
        self._limits = limits
        self._blocks = self._walk(plan.line if plan is not None else ())
        self._pieces: Iterator[Decoded] = iter(())
        self._piece: Decoded | None = None
        self.fill()

    def _walk(self, steps: Sequence[Step]) -> Iterator[BatchTable]:
        for step in steps:
            if step.offsets.stop <= self.floor:
                continue
            with closing(open_patched(step.survey)) as source:
                self._source = source
                for block in walk(source, step.start, step.stop):
                    table = block.batches
                    if len(table) and bool(table.is_wrapper.any()):
                        table = BatchTable.concat(part.table.batches for part in decode(source, table, self._limits))
                    yield table

    def fill(self) -> None:
        """Goes to the next block while the current one is used up."""
        while True:
            self.table = self.table.take(slice(int(np.searchsorted(self.table.last_offset, self.floor)), None))
            if len(self.table):
                return
            table = next(self._blocks, None)
            if table is None:
                return
            self.table = table
            self._pieces, self._piece = iter(()), None  # they may read from a file that is closed now

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return not len(self.table)

    @property
    def first(self) -> int:
        """Lowest offset that is still to come."""
        return max(int(self.table.base_offset[0]), self.floor)

    @property
    def untouched(self) -> bool:
        """Whether the first batch is still whole."""
        return int(self.table.base_offset[0]) >= self.floor

    def advance(self, batches: int) -> None:
        """Leaves whole batches behind."""
        self.pass_by(int(self.table.last_offset[batches - 1]))

    def pass_by(self, last: int) -> None:
        """Leaves everything up to an offset behind."""
        self.floor = max(self.floor, last + 1)
        self.fill()

    def records(self, batches: int) -> Decoded:
        """Records from the floor on: of as many of the first batches as are decoded at once, at most ``batches``."""
        if self._piece is None or self._piece[1] < self.floor:
            self._piece = next(self._pieces, None)
        if self._piece is None or self._piece[1] < self.floor:
            self._pieces = self._decoded(self.table.take(slice(0, batches)))
            self._piece = next(self._pieces)
        return self._piece

    def _decoded(self, batches: BatchTable) -> Iterator[Decoded]:
        """Pieces of bounded size; a batch that does not decode is a piece by itself."""
        source = self._open
        for part in decode(source, batches, self._limits):
            rows = part.table.batches
            if not part.detail:
                yield part.table, int(rows.last_offset[-1])
                continue
            for row in range(len(rows)):
                (alone,) = decode(source, rows.take(slice(row, row + 1)), self._limits)
                yield None if alone.detail else alone.table, int(rows.last_offset[row])

    @property
    def _open(self) -> Source:
        if self._source is None:
            raise ValueError("no batch was read yet")
        return self._source

    def read(self, start: int, stop: int) -> U8:
        """Bytes of the current file."""
        return self._open.read(start, stop)


def same_batches(one: Side, other: Side) -> int:
    """How many batches at the head of both have the same offsets, sizes and checksums."""
    a, b = one.table, other.table
    count = min(len(a), len(b))
    equal = a.base_offset[:count] == b.base_offset[:count]
    for name in _SAME:
        equal &= getattr(a, name)[:count] == getattr(b, name)[:count]
    return count if equal.all() else int(np.argmin(equal))


def other_batches(one: BatchTable, other: BatchTable) -> int:
    """How many batches at the head of ``one`` (at least one) come before the first that ``other`` has too.

    Those beyond the end of ``other`` are not counted: its next block may have them.
    """
    at = np.minimum(np.searchsorted(other.base_offset, one.base_offset), len(other) - 1)
    known = one.base_offset == other.base_offset[at]
    for name in _SAME:
        known &= getattr(one, name) == getattr(other, name)[at]
    known |= one.base_offset > other.last_offset[-1]
    known[0] = False
    return int(np.argmax(known)) if known.any() else len(one)


def same_bytes(one: Side, other: Side, count: int) -> int:
    """How many of the first ``count`` batches of both have the same covered bytes, in one piece from the first on."""
    done = 0
    while done < count:
        group = _group(one.table, other.table, done, count)
        if group == 1 and int(one.table.size[done]) > PIECE:
            if not _same_large(one, other, done):
                return done
        else:
            same = _same_group(one, other, done, group)
            if same < group:
                return done + same
        done += group
    return count


def _group(a: BatchTable, b: BatchTable, first: int, count: int) -> int:
    """Batches from ``first`` on that touch in both files, of together a piece at most (one at least)."""
    room = np.cumsum(a.size[first:count]) <= PIECE
    touch = np.ones(count - first, np.bool_)
    for table in (a, b):
        touch[1:] &= table.position[first + 1 : count] == table.stop[first : count - 1]
    good = room & touch
    return max(1, count - first if good.all() else int(np.argmin(good)))


def _same_group(one: Side, other: Side, first: int, group: int) -> int:
    a, b = one.table, other.table
    last = first + group - 1
    start = int(a.position[first])
    left = one.read(start, int(a.stop[last]))
    right = other.read(int(b.position[first]), int(b.stop[last]))
    if len(left) != len(right):
        return 0
    places = np.flatnonzero(left != right)
    if not len(places):
        return group
    starts = a.position[first : last + 1] - start
    rows = np.searchsorted(starts, places, side="right") - 1
    inside = places - starts[rows]
    free = (inside >= _EPOCH.start) & (inside < _EPOCH.stop) & (a.magic[first + rows] >= 2)
    wrong = rows[~free]
    return int(wrong.min()) if len(wrong) else group


def _same_large(one: Side, other: Side, row: int) -> bool:
    """The same for a batch that is larger than a piece."""
    a, b = int(one.table.position[row]), int(other.table.position[row])
    size = int(one.table.size[row])
    for at in range(0, size, PIECE):
        until = min(at + PIECE, size)
        left, right = one.read(a + at, a + until), other.read(b + at, b + until)
        if at == 0 and int(one.table.magic[row]) >= 2:
            left[_EPOCH.start : _EPOCH.stop] = right[_EPOCH.start : _EPOCH.stop]
        if not np.array_equal(left, right):
            return False
    return True

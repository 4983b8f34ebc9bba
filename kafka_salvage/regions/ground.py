"""Ground: the file that is judged, and the questions about its bytes that several rules ask.

Every answer is remembered by position, so that hostile input cannot make one question cost twice.
"""

from __future__ import annotations

import struct
from enum import IntEnum

import numpy as np

from kafka_salvage.regions.finder import Finder
from kafka_salvage.regions.heads import Head, is_sane, read_head
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.resync import RangeCrc, Sanity
from kafka_salvage.source.source import Source

_LOOKED, _PLACES = 1 << 20, 64
"""Bytes that are searched for a header at once, and places in them that are looked at."""
END_SLACK = 8
"""Zero bytes that a batch may end with and that are taken for the start of the blank tail."""
MOST_CLAIMS = 256
"""Sane headers that a claim may lead through; longer chains come from hostile files, and lead nowhere."""
_PIECE = 1 << 20
_REMEMBERED = 1 << 16
_FEW = 2
"""How many times more index entries must name last offsets than others, to call the others wrong."""
_FEW_ROWS, _IN_A_ROW = 1 << 12, 64
"""Rows from which on they are looked for in the index some at once, and how many."""
_FIRST_PIECE = 4096
"""Most files end with data: a page is enough to see that."""


class Lead(IntEnum):
    """Where the claim of a sane header leads, also through further sane headers."""

    NOWHERE = 0
    CANDIDATE = 1
    DATA_END = 2
    TORN = 3


class Ground:
    """Bytes of one segment file.

    Attributes:
        source: the file. size: its bytes.
        base: lowest sane offset.
        limits: bounds on decompression.
        data_stop: start of the unbroken run of zeros that ends the file (``size`` without one).
        finder: candidates.
        index_positions, index_offsets: entries of `.index`, absolute offsets, sorted by position.
    """

    def __init__(self, source: Source, base: int, limits: Limits, index: tuple[I64, I64]) -> None:
        self.source = source
        self.size = source.size
        self.base = base
        self.limits = limits
        self.use_index(*index)
        self.data_stop = zero_tail(source)
        self.cap = min(limits.batch, (1 << 31) - 1)
        self.finder = Finder(source, self.data_stop, Sanity(base, self.cap), self.sums, self.named_by_index, index[0])
        self._sums: RangeCrc | None = None
        self._from = 0
        self._heads: dict[int, Head | None] = {}
        self._leads: dict[int, Lead] = {}
        self._candidates: dict[int, bool] = {}

    def use_index(self, positions: I64, offsets: I64) -> None:
        """Which index entries count from now on."""
        self.index_positions, self.index_offsets = positions, offsets
        nothing = np.empty(0, np.int64)
        self._asked: tuple[I64, I64, Bool] = nothing, nothing, np.empty(0, np.bool_)

    def begin(self, position: int) -> None:
        """Says that damage was met at ``position``: nothing before it is asked for again."""
        if self._sums is None or position < self._sums.start:
            self._sums, self._from = None, position
        else:
            self._sums.forget(position)
        self.finder.restart(position)

    def sums(self) -> RangeCrc:
        """Running CRCs from the first damage on."""
        if self._sums is None:
            self._sums = RangeCrc(self.source, self._from)
        return self._sums

    def head(self, position: int) -> Head | None:
        """The header at a position, sane or not."""
        if position not in self._heads:
            if len(self._heads) > _REMEMBERED:
                self._heads.clear()
            self._heads[position] = read_head(self.source, position, self.size)
        return self._heads[position]

    def last_header(self, start: int, offset: int) -> Head | None:
        """A sane header behind ``start`` that names an offset, and whose batch would end with the data; None without one."""
        wanted = struct.pack(">q", offset)
        for low in range(start, self.data_stop, _LOOKED):
            data = self.source.read(low, min(low + _LOOKED + len(wanted) - 1, self.data_stop)).tobytes()
            at = data.find(wanted)
            for _ in range(_PLACES):
                if at < 0:
                    break
                head = self.head(low + at)
                far = min(self.size, self.data_stop + END_SLACK)
                if head is not None and self.data_stop <= head.stop <= far and self.sane(low + at):
                    return head
                at = data.find(wanted, at + 1)
        return None

    def sane(self, position: int) -> bool:
        """Whether a sane header stands there."""
        return position < self.data_stop and is_sane(self.head(position), self.base, self.cap)

    def is_data_end(self, position: int) -> bool:
        """Whether a claim that ends there ends with the data."""
        return position == self.size or self.data_stop <= position <= min(self.data_stop + END_SLACK, self.size)

    def is_candidate(self, position: int) -> bool:
        """Whether a sane header whose CRC holds stands there."""
        if position not in self._candidates:
            if len(self._candidates) > _REMEMBERED:
                self._candidates.clear()
            head = self.head(position) if self.sane(position) else None
            self._candidates[position] = (
                head is not None
                and head.stop <= self.size
                and self.sums().batch(position, head.stop, head.magic) == head.crc
            )
        return self._candidates[position]

    def lead(self, position: int) -> Lead:
        """Where the claim of the header at ``position`` leads, through a bounded number of further ones."""
        path: list[int] = []
        at = position
        found: Lead | None = None
        while found is None and len(path) < MOST_CLAIMS:
            found = self._leads.get(at)
            if found is not None:
                break
            path.append(at)
            head = self.head(at)
            if head is None or not self.sane(at):
                found = Lead.NOWHERE
            elif head.stop > self.size:
                found = Lead.TORN
            elif self.is_data_end(head.stop):
                found = Lead.DATA_END
            elif self.is_candidate(head.stop):
                found = Lead.CANDIDATE
            at = head.stop if head is not None else at
        if found is None:
            found, path = Lead.NOWHERE, path[:1]
        if len(self._leads) > _REMEMBERED:
            self._leads.clear()
        for one in path:
            self._leads[one] = found
        return found

    def named_by_index(self, table: BatchTable) -> bool:
        """Whether an `.index` entry names the position of one of these batches with an offset inside it."""
        if not len(self.index_positions):
            return False
        return bool(self.index_agrees(table).any())

    def index_agrees(self, table: BatchTable) -> Bool:
        """For each batch: an entry names its position with an offset inside it."""
        at, known = self.entries(table)
        if not len(self.index_positions):
            return known
        offset = self.index_offsets[at]
        return np.asarray(known & (offset >= table.base_offset) & (offset <= table.last_offset))

    def index_confirms(self, table: BatchTable) -> Bool:
        """For each batch: an entry names its position with exactly its first or its last offset.

        An offset somewhere inside proves the place of the bytes, not their offsets: it lies in most batches that begin a
        few offsets too early or too late, too.
        """
        at, known = self.entries(table)
        if not len(self.index_positions):
            return known
        offset = self.index_offsets[at]
        return np.asarray(known & ((offset == table.base_offset) | (offset == table.last_offset)))

    def index_contradicts(self, table: BatchTable) -> Bool:
        """For each batch: an entry names its position with an offset below it, or below its end where others do not.

        An offset above is none: brokers name the last offset of all batches that were appended at once. Old ones named the
        first or an inner one; if no more than a few entries of the file do, their batches begin too late.
        """
        at, known = self.entries(table)
        if not len(self.index_positions):
            return known
        offset = self.index_offsets[at]
        inner = known & (offset < table.last_offset)
        wide = known & (table.last_offset > table.base_offset)
        few = _FEW * int(inner.sum()) <= int((wide & ~inner).sum())
        return np.asarray(inner if few else known & (offset < table.base_offset))

    def entries(self, table: BatchTable) -> tuple[I64, Bool]:
        """For each batch: the first entry at its position or behind (or the last one), and whether that one names it."""
        if not len(self.index_positions):
            return np.zeros(len(table), np.int64), np.zeros(len(table), np.bool_)
        asked, at, known = self._asked
        if asked is not table.position:
            at = np.minimum(_places_in(self.index_positions, table.position), len(self.index_positions) - 1)
            known = np.asarray(self.index_positions[at] == table.position)
            self._asked = table.position, at, known
        return at, known

    def zeros_before(self, position: int) -> int:
        """Length of the run of zeros that ends at ``position`` (looks at most 4 KiB back)."""
        piece = self.source.read(max(0, position - 4096), position)
        other = np.flatnonzero(piece)
        return len(piece) - 1 - int(other[-1]) if len(other) else len(piece)


def _places_in(entries: I64, positions: I64) -> I64:
    """As `searchsorted` gives them, of positions in ascending order that are mostly those of entries in a row.

    Each is looked for only where the next entry but so many is not it: half of a large table's rules were this search.
    """
    if len(positions) < _FEW_ROWS or not bool((entries[1:] > entries[:-1]).all()):
        return np.searchsorted(entries, positions)
    starts = np.searchsorted(entries, positions[::_IN_A_ROW])
    at = (starts[:, None] + np.arange(_IN_A_ROW)).ravel()[: len(positions)]
    np.minimum(at, len(entries) - 1, out=at)
    rest = np.flatnonzero(entries[at] != positions)
    at[rest] = np.searchsorted(entries, positions[rest])
    return at


def zero_tail(source: Source) -> int:
    """Start of the unbroken run of zeros that ends the file; its size when the last byte is something else."""
    piece = _FIRST_PIECE
    for data in reversed(list(source.data_ranges())):
        stop = data.stop
        while stop > data.start:
            start = max(data.start, stop - piece)
            piece = _PIECE
            other = np.flatnonzero(source.read(start, stop))
            if len(other):
                return start + int(other[-1]) + 1
            stop = start
    return 0

"""Crossed: what a walk went over, held against what the judge would have said of each at once.

The kernels answer what lies in memory (see `vector.crossing`). What they cannot know is asked here, for all of a walk:

1. whether a batch that was proved decodes wholly;
2. whether the chain behind what is lost is anchored: by what follows it, or by an index;
3. whether a chain that nothing anchors fits between its neighbours by offsets and epochs (`Belief.fits_between`, in columns).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kafka_salvage.regions.belief import HEADERS, Side
from kafka_salvage.regions.decoding import decode_all
from kafka_salvage.regions.ground import Ground
from kafka_salvage.regions.proven import Proven
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.scan.records import Outcome
from kafka_salvage.scan.resync import Sanity, odd_rows
from kafka_salvage.source.patched import PatchedSource
from kafka_salvage.vector.doubts import Kind, Over

_ANY_MAGIC = 127
_FAR = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=False, eq=False)
class Crossed:
    """What one walk went over, and its rows.

    Attributes:
        over: rows of `vector.doubts.Over`, in file order.
        rows: of the walk; the first one may lie before it.
        counts: batches of each.
        ground: the file.
    """

    over: I64
    rows: BatchTable
    counts: I64
    ground: Ground

    @cached_property
    def kind(self) -> I64:
        """What each is."""
        return np.ascontiguousarray(self.over[:, Over.KIND])

    @property
    def is_host(self) -> Bool:
        """Which are batches that are proved: what stands behind them is believed."""
        return np.asarray(self.kind == Kind.HOST)

    @cached_property
    def start(self) -> I64:
        """First bytes."""
        return np.ascontiguousarray(self.over[:, Over.POSITION])

    @cached_property
    def stop(self) -> I64:
        """Where the chains behind begin."""
        stops: I64 = self.start + self.over[:, Over.SIZE]
        return stops

    @cached_property
    def _left(self) -> I64:
        """The row before each; -1 where there is none."""
        before: I64 = np.searchsorted(self.rows.position, self.start) - 1
        return before

    @cached_property
    def _first(self) -> I64:
        """The first row of each chain."""
        rows: I64 = np.searchsorted(self.rows.position, self.stop)
        return rows

    @cached_property
    def _last(self) -> I64:
        """The last row of each chain."""
        return np.append(self._left[1:], len(self.rows) - 1)

    @cached_property
    def hosts(self) -> Proven:
        """The batches that are proved, if they decode."""
        rows = self._host_rows
        return Proven.crossed(self.over[self.is_host], self.rows.leader_epoch[rows].astype(np.int64))

    @cached_property
    def _host_rows(self) -> I64:
        rows: I64 = np.searchsorted(self.rows.position, self.start[self.is_host])
        return rows

    @cached_property
    def undecodable(self) -> Bool:
        """Which of them do not decode."""
        found = np.zeros(len(self.over), np.bool_)
        if len(self._host_rows):
            patches = [(patch.position, patch.after) for patch in self.hosts.patches()]
            rows = self.rows.take(self._host_rows)
            outcome = decode_all(PatchedSource(self.ground.source, patches), rows, self.ground.limits)[1]
            found[self.is_host] = outcome != Outcome.OK
        return found

    @cached_property
    def odd(self) -> Bool:
        """Which have a chain behind in which a header is not sane: the search for batches does not take it for one."""
        rows, row = self.rows, np.minimum(self._first, len(self.rows) - 1)
        broken: Bool = (self._last < self._first) | (rows.position[row] != self.stop)
        odd = odd_rows(rows, Sanity(self.ground.base, self.ground.cap))
        if odd.any():
            many = np.concatenate([[0], np.cumsum(odd)])
            broken |= many[np.maximum(self._last + 1, row)] > many[row]
        return np.asarray(broken & ~self.is_host)

    def left(self, at: int) -> Side:
        """The believed neighbour before one."""
        row, rows = int(self._left[at]), self.rows
        epoch, magic = int(rows.leader_epoch[row]), int(rows.magic[row])
        return Side(int(self.start[at]), int(rows.last_offset[row]) + 1, epoch, magic)

    def anchored(self) -> Bool:
        """Which have a chain behind that an index names, or that leads on to the next of them; and all that are proved."""
        kind, rows = self.kind[1:], self.rows
        higher = self.over[1:, Over.OFFSET] > rows.last_offset[self._left[1:]]
        leads = (kind == Kind.SIMPLE) | ((kind == Kind.HOST) & ~self.undecodable[1:]) | ((kind == Kind.TORN) & higher)
        found = np.append(leads, False)
        if len(self.ground.index_positions):
            open_ones = np.flatnonzero(~found & ~self.is_host)
            first = np.minimum(self._first[open_ones], len(rows))
            counts = np.maximum(self._last[open_ones] + 1 - first, 0)
            behind = np.cumsum(counts)
            if len(behind) and behind[-1]:
                asked = np.repeat(first - behind + counts, counts) + np.arange(behind[-1])
                named = np.concatenate([[0], np.cumsum(self.ground.index_agrees(rows.take(asked)))])
                found[open_ones] = named[behind] > named[behind - counts]
        return np.asarray(found | self.is_host)

    def fit(self, some: I64, anchored: Bool, right: Side | None, ceiling: int | None) -> Bool:
        """Whether chains that nothing anchors fit between their neighbours, as `Belief.fits_between` asks.

        Args:
            some: which; they have no such chain right behind a proved batch.
            anchored: which are anchored.
            right: the neighbour behind the last one; None when there is none.
            ceiling: first offset of the next file; None without.
        """
        rows, first, last = self.rows, self._first[some], self._last[some]
        left = self._left[some]
        begins, following = rows.base_offset[first], rows.last_offset[last] + 1
        free = rows.last_offset[left] + 1
        lowest, highest, magic = self._epochs(first, last)
        at = np.append(np.flatnonzero(anchored), len(self.over))
        at = at[np.searchsorted(at, some)]
        inner, there = at < len(self.over), np.minimum(at, len(self.over) - 1)
        begin = np.minimum(self._first[there], len(rows) - 1)
        none = right is None
        side = Side(0, 0) if right is None else right
        behind = np.where(inner, rows.base_offset[begin], side.offset)
        place = np.where(inner, self.stop[there], side.position)
        epoch = np.where(inner, rows.leader_epoch[begin], side.epoch)
        has = inner | (not none)
        header = np.array(HEADERS)[magic]
        many = (last > first) | (self.counts[first] > 1)
        fits = (has | many) & (begins > free) & (self.start[some] + header <= self.stop[some]) & (left >= 0)
        room = (following < behind) & (place - (rows.position[last] + rows.size[last]) >= header)
        fits &= ~has | room
        if ceiling is not None:
            fits &= following <= ceiling
        older = (highest >= 0) & ((lowest < rows.leader_epoch[left]) | (has & (epoch >= 0) & (epoch < highest)))
        return np.asarray(fits & ~older)

    def _epochs(self, first: I64, last: I64) -> tuple[I64, I64, I64]:
        """Lowest and highest leader epoch of chains, and their lowest magic."""
        rows = self.rows
        edges = np.stack([first, last + 1], axis=1).ravel()
        ours = rows.magic >= 2

        def among(values: I64, pad: int, ufunc: np.ufunc) -> I64:
            found: I64 = ufunc.reduceat(np.append(values.astype(np.int64), pad), edges)[::2]
            return found

        lowest = among(np.where(ours, rows.leader_epoch, _FAR), _FAR, np.minimum)
        highest = among(np.where(ours, rows.leader_epoch, -1), -1, np.maximum)
        lowest = np.where(lowest == _FAR, -1, lowest)
        return lowest, highest, among(rows.magic.astype(np.int64), _ANY_MAGIC, np.minimum)

    def ends(self, some: I64) -> I64:
        """First byte and end of the chains behind, a row each."""
        last = self._last[some]
        ends = self.rows.position[last] + self.rows.size[last]
        return np.stack([self.stop[some], ends], axis=1)

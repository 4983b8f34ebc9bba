"""Unfolding: damaged segments of tiny batches, with rows for stretches wherever a rule cannot tell them from their batches.

A row for each of twelve million batches is a gigabyte, and the rules ask for neighbours of what is odd only. So the hunt folds
batches, about `GRID` bytes a row (larger batches are never folded), and

1. in a segment of up to `ALL` batches each batch gets its row back;
2. in a larger one the stretches beside anything odd do: a gap, another epoch, offsets that something else claims; beside bytes
   that are lost the next batch does;
3. whatever a rule said of a stretch makes it fall apart, too, and the rules are asked again.
"""

from __future__ import annotations

import numpy as np

from kafka_salvage.scan.batches import COLUMNS, I64, BatchTable, Bool
from kafka_salvage.scan.held import walk_held
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.ranged import walk_ranges
from kafka_salvage.scan.records import Outcome, validate
from kafka_salvage.source.source import Source

GRID = 16 << 10
"""Bytes of a stretch: the vote of a row on offsets or epochs stands for about so many."""
ALL = 1 << 18
"""Batches of a segment up to which each gets a row."""
ROUNDS = 4
"""Times that the rules are asked before all stretches fall apart."""

_CHANGED = ("offset", "base_offset", "last_offset", "leader_epoch", "record_count")
_NEVER = np.iinfo(np.int64).max


def fold_marks(index_positions: I64, size: int) -> I64:
    """Where rows begin at least: what an index names, and the grid where it names little."""
    if len(index_positions) * GRID >= size:
        return index_positions
    marks = np.concatenate([index_positions, np.arange(0, size, GRID, dtype=np.int64)])
    marks.sort(kind="stable")
    single: I64 = marks[np.concatenate([[True], marks[1:] != marks[:-1]])]
    return single


class Folded:
    """Rows of which some stand for a stretch of batches.

    Args:
        source: the file.
        table: rows.
        counts: batches of each.
    """

    def __init__(self, source: Source, table: BatchTable, counts: I64) -> None:
        self._source = source
        self.table = table
        self.counts = counts

    @property
    def stretches(self) -> Bool:
        """Rows that stand for more than one batch."""
        return np.asarray(self.counts > 1)

    def copy(self) -> BatchTable:
        """The rows, for rules that change offsets and epochs in place."""
        if not self.stretches.any():
            return self.table
        return copied(self.table)

    def unfold(self, which: Bool, parted: Bool | None = None) -> None:
        """Exchanges stretches for their batches; one whose bytes are not what they were stays as it is.

        Args:
            which: they.
            parted: those of them of which only the first and the last batch need rows by themselves; None: none.
        """
        rows = np.flatnonzero(which & self.stretches)
        if not len(rows):
            return
        table = self.table
        folded = np.zeros(len(rows), np.bool_) if parted is None else parted[rows]
        apart = (np.diff(rows) > 1) | (table.position[rows[1:]] != table.stop[rows[:-1]]) | folded[1:] | folded[:-1]
        edges = np.flatnonzero(apart) + 1
        first, behind = np.append(0, edges), np.append(edges, len(rows))
        found, stand, kept = walk_ranges(
            self._source, table.position[rows[first]], table.stop[rows[behind - 1]], folded[first]
        )
        counted, walked = np.append(0, np.cumsum(self.counts[rows])), np.append(0, np.cumsum(stand))
        last = np.cumsum(kept)
        whole = walked[last] - walked[last - kept] == counted[behind] - counted[first]
        turns, fresh = np.ones(len(table), np.int64), np.zeros(len(table), np.bool_)
        turns[rows[np.repeat(whole, behind - first)]] = 0
        turns[rows[first[whole]]], fresh[rows[first[whole]]] = kept[whole], True
        new, old = np.repeat(whole, kept), np.repeat(np.arange(len(table)), turns)
        place = np.flatnonzero(fresh[old])
        self.table = table.take(old)
        for name in COLUMNS:
            getattr(self.table, name)[place] = getattr(found, name)[new]
        self.counts = self.counts[old]
        self.counts[place] = stand[new]

    def beside_odd(self, first: I64, last: I64) -> tuple[Bool, Bool]:
        """Stretches that lie beside something odd, and which of them only beside bytes that are lost, in otherwise good order.

        Args:
            first: first offsets that are claimed elsewhere, by damaged headers or doubtful batches.
            last: their last offsets.
        """
        table = self.table
        odd, much = np.zeros(len(table), np.bool_), np.zeros(len(table), np.bool_)
        if len(table) > 1:
            touches = table.position[1:] == table.stop[:-1]
            like = (table.leader_epoch[1:] == table.leader_epoch[:-1]) & (table.magic[1:] == table.magic[:-1])
            alike = touches & (table.base_offset[1:] == table.last_offset[:-1] + 1) & like
            rough = ~alike & (
                touches | ~like | (table.magic[1:] < 2) | (table.base_offset[1:] <= table.last_offset[:-1])
            )
            odd[1:] |= ~alike
            odd[:-1] |= ~alike
            much[1:] |= rough
            much[:-1] |= rough
        much |= sharing(table, first, last)
        return odd | much, ~much

    def undecodable(self, limits: Limits) -> Bool:
        """Stretches in which some batch does not inflate or parse."""
        found = np.zeros(len(self.table), np.bool_)
        rows = np.flatnonzero(self.stretches)
        position, stop = self.table.position, self.table.stop
        together = np.flatnonzero((np.diff(rows) > 1) | (position[rows[1:]] != stop[rows[:-1]])) + 1
        for group in np.split(rows, together):
            if not len(group):
                continue
            for block in walk_held(self._source, int(position[group[0]]), int(stop[group[-1]])):
                for piece in validate(self._source, block.batches, limits, held=block.held):
                    bad = piece.batches.position[piece.outcome != Outcome.OK]
                    found[np.searchsorted(position, bad, side="right") - 1] = True
        return found


def copied(table: BatchTable) -> BatchTable:
    """The same rows, of which rules may change offsets and epochs in place."""
    return table.replace(**{name: getattr(table, name).copy() for name in _CHANGED})


def sharing(table: BatchTable, first: I64, last: I64) -> Bool:
    """Which rows share an offset with another one, or with what is claimed.

    Args:
        table: rows.
        first: first offsets of claims.
        last: their last offsets.
    """
    low, high = table.base_offset, table.last_offset
    if not len(table) or bool((low[1:] <= high[:-1]).any()) or bool((high < low).any()):
        return overlapping(np.append(low, first), np.append(high, last))[: len(table)]
    begin, end = np.searchsorted(high, first), np.searchsorted(low, np.maximum(first, last), side="right")
    some = np.flatnonzero(begin < end)
    edges = np.zeros(len(table) + 1, np.int64)
    np.add.at(edges, begin[some], 1)
    np.subtract.at(edges, end[some], 1)
    return np.asarray(np.cumsum(edges[:-1]) > 0)


def overlapping(first: I64, last: I64) -> Bool:
    """Which ranges of offsets (inclusive) share one with another."""
    order = np.argsort(first, kind="stable")
    reach = np.maximum.accumulate(last[order])
    shared = np.zeros(len(first), np.bool_)
    before = reach[:-1] >= first[order][1:]
    shared[order[1:]] |= before
    # who reaches the range behind it is one of those that the running maximum stands for
    following = np.append(first[order][1:], _NEVER)
    shared[order] |= last[order] >= following
    return shared

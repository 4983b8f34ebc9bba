"""Compared: which batches several copies of one partition share, and where they differ.

Strategy: the believed batches of all copies are read once more, side by side in offset order, a few thousand at a time, and
only where at least two copies have something. Batches are the same when base offset, last offset and everything that the
CRC covers agree, whatever their leader epochs. Batches that overlap without being the same are settled in `disputes`.

What comes out is small: for each pair of copies the ranges in which they agree and in which they conflict, in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from kafka_salvage.plan.cursors import Rows, chunks
from kafka_salvage.plan.disputes import Compared, Contents, Disputes, EpochQuarrel, Event, Pair, View
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.strands import Strand, both, union
from kafka_salvage.scan.batches import I64, BatchTable, Bool

IDENTITY = ("crc", "size", "record_count", "magic", "producer_id", "base_sequence", "max_timestamp")


def compare(strands: Sequence[Strand], edges: Edges, contents: Contents, *, compacted: bool) -> Compared:
    """Compares copies of one partition.

    Args:
        strands: at least two.
        edges: reads batches again.
        contents: decodes batches.
        compacted: differing batches of one offset may come from compaction.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    covers = [strand.covered() for strand in strands]
    shared = union(both(one, two) for one, two in combinations(covers, 2))
    found = Compared({}, {}, shared=shared)
    if not len(shared[0]):
        return found
    bench = _Bench(len(strands), Disputes(strands, contents, compacted, found), found)
    for chunk in chunks(strands, shared, edges):
        bench.look(chunk)
    return found


class _Bench:
    """Compares chunk by chunk."""

    def __init__(self, strands: int, disputes: Disputes, found: Compared) -> None:
        self._strands = strands
        self._disputes = disputes
        self._found = found

    def look(self, chunk: Sequence[Rows]) -> None:
        """One chunk: rows of each strand, in offset order."""
        table = BatchTable.concat([rows.table for rows in chunk])
        strand = np.concatenate([np.full(len(rows.table), at) for at, rows in enumerate(chunk)])
        piece = np.concatenate([rows.piece for rows in chunk])
        order = np.lexsort((*(getattr(table, name) for name in IDENTITY), table.last_offset, table.base_offset))
        table, strand, piece = table.take(order), strand[order], piece[order]
        same = np.ones(max(len(table) - 1, 0), np.bool_)
        for name in ("base_offset", "last_offset", *IDENTITY):
            column = getattr(table, name)
            same &= column[1:] == column[:-1]
        batch = np.concatenate([np.zeros(1, np.int64), np.cumsum(~same)])
        self._epochs(table, strand, ~same)
        for one, two in combinations(range(self._strands), 2):
            mine = (strand == one) | (strand == two)
            if bool((strand[mine] == one).any()) and bool((strand[mine] == two).any()):
                self._pair((one, two), table.take(mine), strand[mine], piece[mine], batch[mine])

    def _epochs(self, table: BatchTable, strand: I64, breaks: Bool) -> None:
        """Notes batches that copies have with different epochs."""
        heads = np.concatenate([[0], np.flatnonzero(breaks) + 1])
        epochs = table.leader_epoch
        low, high = np.minimum.reduceat(epochs, heads), np.maximum.reduceat(epochs, heads)
        tails = np.append(heads[1:], len(epochs))
        for at in np.flatnonzero(low != high).tolist():
            rows = slice(int(heads[at]), int(tails[at]))
            told = sorted(zip(strand[rows].tolist(), epochs[rows].tolist(), strict=True))
            base, last = int(table.base_offset[rows.start]), int(table.last_offset[rows.start])
            _add_quarrel(self._found.quarrels, EpochQuarrel(base, last + 1, tuple(told)))

    def _pair(self, pair: Pair, table: BatchTable, strand: I64, piece: I64, batch: I64) -> None:
        """Two strands: knots of overlapping batches, and whether both hold the same in each."""
        fresh = table.base_offset[1:] > np.maximum.accumulate(table.last_offset)[:-1]
        heads = np.concatenate([[0], np.flatnonzero(fresh) + 1])
        knot = np.concatenate([np.zeros(1, np.int64), np.cumsum(fresh)])
        mixed = _mixed(batch)
        marks = [np.add.reduceat(np.where(strand == each, mixed, np.uint64(0)), heads) for each in pair]
        present = (marks[0] != 0) & (marks[1] != 0)
        state = np.where(present, np.where(marks[0] == marks[1], 1, 2), 0)
        low, high = table.base_offset[heads], np.maximum.reduceat(table.last_offset, heads) + 1
        view = View(pair, table, strand, piece, knot, state, low, high)
        if bool((state == 2).any()):
            self._disputes.settle(view)
        self._note(pair, state, low, high)

    def _note(self, pair: Pair, state: I64, lows: I64, highs: I64) -> None:
        """Appends a pair's events, joined with the last one of the same kind."""
        events = self._found.events.setdefault(pair, [])
        at = np.flatnonzero(state)
        if not len(at):
            return
        kinds = state[at]
        if int(kinds[-1]) == 1:
            self._disputes.met(pair)
        heads = np.concatenate([[0], np.flatnonzero(kinds[1:] != kinds[:-1]) + 1])
        tails = np.append(heads[1:], len(at)) - 1
        for head, tail in zip(heads.tolist(), tails.tolist(), strict=True):
            agree = int(kinds[head]) == 1
            low, high = int(lows[at[head]]), int(highs[at[tail]])
            if events and events[-1].agree == agree:
                last = events[-1]
                events[-1] = Event(agree, last.low, high, last.disputes + tail - head + 1)
            else:
                events.append(Event(agree, low, high, tail - head + 1))


def _mixed(batch: I64) -> npt.NDArray[np.uint64]:
    """Numbers of batches, mixed so that sums of different ones differ."""
    mixed = (batch.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(32))


def _add_quarrel(quarrels: list[EpochQuarrel], new: EpochQuarrel) -> None:
    last = quarrels[-1] if quarrels else None
    if last is not None and last.epochs == new.epochs and last.high == new.low:
        quarrels[-1] = EpochQuarrel(last.low, new.high, new.epochs)
    else:
        quarrels.append(new)

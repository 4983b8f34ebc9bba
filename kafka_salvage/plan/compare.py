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

from kafka_salvage.plan.cursors import Rows, chunks
from kafka_salvage.plan.disputes import Compared, Contents, Disputes, EpochQuarrel, Event, States, View
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.strands import Strand, both, union
from kafka_salvage.plan.timeline import UNBOUNDED
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
        reach = np.maximum.accumulate(table.last_offset)
        fresh = table.base_offset[1:] > reach[:-1]
        knot = np.concatenate([np.zeros(1, np.int64), np.cumsum(fresh)])
        view = View(table, strand, piece, batch, knot)
        self._epochs(view, ~same)
        self._pairs(view)

    def _epochs(self, view: View, breaks: Bool) -> None:
        """Notes batches that copies have with different epochs."""
        heads = np.concatenate([[0], np.flatnonzero(breaks) + 1])
        epochs = view.table.leader_epoch
        low, high = np.minimum.reduceat(epochs, heads), np.maximum.reduceat(epochs, heads)
        tails = np.append(heads[1:], len(epochs))
        for at in np.flatnonzero(low != high).tolist():
            rows = slice(int(heads[at]), int(tails[at]))
            told = sorted(zip(view.strand[rows].tolist(), epochs[rows].tolist(), strict=True))
            base, last = int(view.table.base_offset[rows.start]), int(view.table.last_offset[rows.start])
            _add_quarrel(self._found.quarrels, EpochQuarrel(base, last + 1, tuple(told)))

    def _pairs(self, view: View) -> None:
        count = int(view.knot[-1]) + 1
        marks = view.signatures(count, self._strands)
        pairs = list(combinations(range(self._strands), 2))
        states: States = {}
        for one, two in pairs:
            present = (marks[one] != 0) & (marks[two] != 0)
            if present.any():
                states[one, two] = np.where(present, np.where(marks[one] == marks[two], 1, 2), 0)
        disputed = np.zeros(count, np.bool_)
        for state in states.values():
            disputed |= state == 2
        if disputed.any():
            self._disputes.settle(view, np.flatnonzero(disputed), states)
        lows = np.full(count, UNBOUNDED)
        highs = np.zeros(count, np.int64)
        np.minimum.at(lows, view.knot, view.table.base_offset)
        np.maximum.at(highs, view.knot, view.table.last_offset + 1)
        for pair, state in states.items():
            self._note(pair, state, lows, highs)

    def _note(self, pair: tuple[int, int], state: I64, lows: I64, highs: I64) -> None:
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


def _add_quarrel(quarrels: list[EpochQuarrel], new: EpochQuarrel) -> None:
    last = quarrels[-1] if quarrels else None
    if last is not None and last.epochs == new.epochs and last.high == new.low:
        quarrels[-1] = EpochQuarrel(last.low, new.high, new.epochs)
    else:
        quarrels.append(new)

"""Finder: candidates behind a position, found window by window and never twice.

The walk has stopped somewhere; what stands behind is looked at in windows that double, only as far as somebody asks. What
was found stays until the judge has passed it, so that many small damages in one window cost one search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.scan.resync import RangeCrc, Sanity, find_candidates, odd_rows
from kafka_salvage.scan.walk import Fold, walk, walk_folded
from kafka_salvage.source.source import Source

FIRST_WINDOW = 32 << 10
LAST_WINDOW = 4 << 20
MOST_CLAIMS = 1 << 20
"""Claims of sane headers remembered, the last ones; more come only from hostile files."""
MOST_NAMED = 1 << 16
"""Batches of one chain that are named where it is not believed."""
MOST_CHAINS = 256
"""Chains remembered; more come only from hostile files."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Candidates with no byte between.

    Attributes:
        batches: they, in file order, as far as was searched; never empty.
        end: where the next byte begins no batch.
        rest: how many more follow behind ``batches``.
        last_offset: of the very last one.
        epochs: lowest and highest leader epoch among magic 2; (-1, -1) without any.
        wrappers: magics of compressed wrappers among all.
        named: positions of ``rest`` that an index might name were met (see `Finder.chain`).
    """

    batches: BatchTable
    end: int
    rest: int
    last_offset: int
    epochs: tuple[int, int]
    wrappers: frozenset[int]
    named: bool

    @property
    def start(self) -> int:
        """First byte."""
        return int(self.batches.position[0])

    def __len__(self) -> int:
        return len(self.batches) + self.rest


class _Summary:
    """What is kept of batches whose rows are not."""

    def __init__(self) -> None:
        self.rows = 0
        self.last_offset = -1
        self.epochs: list[int] = []
        self.wrappers: set[int] = set()
        self.named = False

    def add(self, table: BatchTable, names: Callable[[BatchTable], bool] | None, counts: I64 | None = None) -> None:
        if not len(table):
            return
        self.rows += len(table) if counts is None else int(counts.sum())
        self.last_offset = int(table.last_offset[-1])
        epochs = table.leader_epoch[table.magic >= 2]
        if len(epochs):
            self.epochs += [int(epochs.min()), int(epochs.max())]
        wrappers = table.is_wrapper
        if wrappers.any():
            self.wrappers.update(np.unique(table.magic[wrappers]).tolist())
        if names is not None and not self.named:
            self.named = names(table)


class Finder:
    """Candidates of one file.

    Args:
        source: the file.
        search_stop: no candidate begins at or behind it.
        sanity: what a sane header is.
        running: gives the running CRCs of the file, once they are needed.
        names: whether an index entry names one of these batches.
        marks: positions that the index names, ascending.
        window: bytes of the first window.
    """

    def __init__(
        self,
        source: Source,
        search_stop: int,
        sanity: Sanity,
        running: Callable[[], RangeCrc],
        names: Callable[[BatchTable], bool],
        marks: I64,
        window: int = FIRST_WINDOW,
    ) -> None:
        self._source = source
        self._search_stop = search_stop
        self._sanity = sanity
        self._running = running
        self._first_window = self._window = window
        self._from = self._to = 0
        self._table = BatchTable.empty()
        self._claim_position = self._claim_stop = np.empty(0, np.int64)
        self._names = names
        self._marks = marks
        self._chains: dict[int, Chain] = {}
        self._following: I64 | None = None

    def restart(self, position: int) -> None:
        """Forgets what lies before ``position``; nobody asks below it again, unless it begins there anew."""
        self._window = self._first_window
        self._following = None
        self._chains = {start: chain for start, chain in self._chains.items() if start >= position}
        if not self._from <= position < self._to:
            self._from = self._to = position
            self._table = BatchTable.empty()
            self._claim_position = self._claim_stop = np.empty(0, np.int64)
            return
        self._from = position
        self._table = self._table.take(slice(int(np.searchsorted(self._table.position, position)), None))
        keep = slice(int(np.searchsorted(self._claim_position, position)), None)
        self._claim_position, self._claim_stop = self._claim_position[keep], self._claim_stop[keep]

    def reach(self, position: int) -> None:
        """Searches at least up to ``position``."""
        while self._to < min(position, self._search_stop):
            self._extend()

    def _extend(self) -> None:
        stop = min(self._to + self._window, self._search_stop)
        found = find_candidates(self._source, self._to, stop, self._source.size, self._sanity, running=self._running())
        self._table = BatchTable.concat([self._table, found.batches])
        stops = found.claim_position + found.claim_size
        self._claim_position = np.concatenate([self._claim_position, found.claim_position])[-MOST_CLAIMS:]
        self._claim_stop = np.concatenate([self._claim_stop, stops])[-MOST_CLAIMS:]
        self._to = stop
        self._following = None
        self._window = min(2 * self._window, LAST_WINDOW)

    def following(self, position: int) -> int | None:
        """Start of the first candidate at or behind ``position``; None when there is none."""
        while True:
            at = int(np.searchsorted(self._table.position, position))
            if at < len(self._table):
                return int(self._table.position[at])
            if self._to >= self._search_stop:
                return None
            self._extend()

    def inside(self, start: int, stop: int) -> BatchTable:
        """Candidates that begin in ``[start, stop)``, by position."""
        self.reach(stop)
        low, high = np.searchsorted(self._table.position, [start, stop])
        return self._table.take(slice(int(low), int(high)))

    def claims_ending_at(self, position: int, low: int) -> I64:
        """Positions from ``low`` on, before ``position``, of sane headers whose claim ends there."""
        self.reach(position)
        claims: I64 = self._claim_position[(self._claim_stop == position) & (self._claim_position >= low)]
        return claims

    def members(self, start: int, most: int) -> list[int]:
        """Where the first batches begin of the chain at the candidate at ``start``, as far as was searched."""
        positions: list[int] = self._table.position[self._hop(start, most)[0]].tolist()
        return positions

    def chain(self, start: int) -> Chain:
        """The chain that begins with the candidate at ``start``; only rows of the searched stretch are kept."""
        if start not in self._chains:
            self.reach(start + 1)
            if len(self._chains) >= MOST_CHAINS:
                self._chains.clear()
            self._chains[start] = self._chain(start)
        return self._chains[start]

    def _chain(self, start: int) -> Chain:
        rows, end = self._hop(start)
        table = self._table.take(np.array(rows, np.int64))
        summary = _Summary()
        summary.add(table, None)
        if self._to <= end < self._search_stop:
            for block in walk_folded(self._source, end, Fold(self._marks[np.searchsorted(self._marks, end) :])):
                found, counts = block.batches, block.counts
                odd = odd_rows(found, self._sanity)
                first = int(np.argmax(odd)) if odd.any() else len(found)
                if first < len(
                    found
                ):  # no candidate: the chain ends there, as it does where the search has come so far
                    found, counts = found.take(slice(0, first)), None if counts is None else counts[:first]
                summary.add(found, self._names, counts)
                end = int(found.stop[-1]) if first else end
                if first < len(block.batches):
                    break
        epochs = (min(summary.epochs), max(summary.epochs)) if summary.epochs else (-1, -1)
        rest, wrappers = summary.rows - len(table), frozenset(summary.wrappers)
        return Chain(table, end, rest, summary.last_offset, epochs, wrappers, summary.named)

    def whole(self, chain: Chain) -> BatchTable:
        """All batches of a chain, at most `MOST_NAMED`: those too that lie behind what was searched."""
        tables, count = [chain.batches], len(chain.batches)
        if chain.rest and count < MOST_NAMED:
            for block in walk(self._source, int(chain.batches.stop[-1]), chain.end):
                tables.append(block.batches)
                count += len(block.batches)
                if count >= MOST_NAMED:
                    break
        return BatchTable.concat(tables).take(slice(0, MOST_NAMED))

    def _hop(self, start: int, most: int = 1 << 62) -> tuple[list[int], int]:
        """Rows of the chain as far as was searched, and the end of the last one."""
        if self._following is None:
            positions = self._table.position
            behind = np.searchsorted(positions, self._table.stop)
            padded = np.concatenate([positions, [-1]])
            self._following = np.where(padded[behind] == self._table.stop, behind, -1).astype(np.int64)
        at = int(np.searchsorted(self._table.position, start))
        rows: list[int] = []
        while at >= 0 and len(rows) < most:
            rows.append(at)
            at = int(self._following[at])
        return rows, int(self._table.stop[rows[-1]])

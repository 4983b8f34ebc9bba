"""Passer: what a folded walk needs to go over simply damaged batches, and the table of those that it went over.

Strategy: the kernel decides while the bytes are in the nearest cache (see `vector.passing`). What it lets pass is a guess
until the walk has taken the batch behind; if that does not hold, the walk ends at the damaged batch, as if nothing had been.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.resync import Sanity
from kafka_salvage.source.source import Source

_FIRST = 64
_NOWHERE = -2
"""Below every offset: no row stands before."""


class Passer:
    """Goes over damaged batches for one walk.

    Args:
        source: the file.
        sanity: what a sane header is.
    """

    def __init__(self, source: Source, sanity: Sanity) -> None:
        from kafka_salvage.vector import crossing, framing, passing  # Numba is loaded by those who walk only
        from kafka_salvage.vector.pointers import aligned_buffer

        self._pass, self._cross, self._places = passing.pass_over, crossing.cross, passing.Over
        self._mismatch = int(framing.Outcome.CRC_MISMATCH)
        self._end = source.size
        self._descriptor = source.fileno()
        self._sanity = sanity
        self._before = _NOWHERE
        self._scratch = aligned_buffer(crossing.SCRATCH)
        self._table = np.empty((_FIRST, passing.OVER_WIDTH), np.int64)
        self._count = 0
        self._pending = -1

    def passes(self, outcome: int, state: int, block: int, capacity: int) -> bool:
        """Whether the walk may go on behind what it stopped at.

        Args:
            outcome: why it stopped (`vector.framing.Outcome`).
            state: address of the kernel's state.
            block: address of the rows.
            capacity: rows that fit there.
        """
        from kafka_salvage.vector.pointers import address_of

        if self._pending >= 0:
            return False
        if self._count == len(self._table):
            self._table = np.concatenate([self._table, np.empty_like(self._table)])
        row = self._table[self._count]
        sanity = self._sanity
        where = state, block, capacity, self._before, self._end, sanity.base_offset, sanity.max_size
        memory = address_of(self._scratch), address_of(row)
        if outcome == self._mismatch and self._pass(self._descriptor, *where, *memory):
            self._pending = int(row[self._places.POSITION] + row[self._places.SIZE])
            return True
        if not self._cross(self._descriptor, *where, *memory, outcome):
            return False
        self._count += 1
        return True

    def settle(self, position: int) -> None:
        """Tells how far the walk has come."""
        if 0 <= self._pending < position:
            self._count += 1
            self._pending = -1

    def taken(self, last_offset: int | None) -> I64:
        """What was passed over since the last time, one row of `vector.passing.Over` each.

        Args:
            last_offset: of the last row of the block that ends here; None when it has none.
        """
        if last_offset is not None:
            self._before = last_offset
        made: I64 = self._table[: self._count].copy()
        self._table[: int(self._pending >= 0)] = self._table[self._count : self._count + int(self._pending >= 0)]
        self._count = 0
        return made

    def undone(self) -> I64 | None:
        """The batch that is not simple after all, since the one behind does not hold; None when there is none."""
        if self._pending < 0:
            return None
        self._pending = -1
        row: I64 = self._table[self._count]
        return row


def empty() -> I64:
    """No batches passed over."""
    from kafka_salvage.vector.passing import OVER_WIDTH

    return np.empty((0, OVER_WIDTH), np.int64)


def column(table: I64, name: str) -> Any:
    """One column of a table of batches that were passed over, by its name in `vector.passing.Over`."""
    from kafka_salvage.vector.passing import Over

    return table[:, Over[name]]

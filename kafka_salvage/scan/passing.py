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
        from kafka_salvage.vector import crossing, driving, framing  # Numba is loaded by those who walk only
        from kafka_salvage.vector.doubts import OVER_WIDTH
        from kafka_salvage.vector.pointers import address_of, aligned_buffer

        self._follow, self._places, self._width = driving.follow_over, driving.Drive, OVER_WIDTH
        self._last = int(framing.Outcome.SHORT)
        self._descriptor = source.fileno()
        self._scratch = aligned_buffer(crossing.SCRATCH)
        self._drive = np.zeros(len(driving.Drive), np.int64)
        self._address = address_of(self._drive)
        place = driving.Drive
        self._drive[[place.PENDING, place.BEFORE]] = -1, _NOWHERE
        self._drive[[place.END, place.BASE, place.CAP]] = source.size, sanity.base_offset, sanity.max_size
        self._drive[place.SCRATCH] = address_of(self._scratch)
        self._table = np.empty((0, OVER_WIDTH), np.int64)

    def follow(self, reason: int, area: int, room: int, state: int, block: int, capacity: int) -> int:
        """Follows lengths, and goes over what is simply damaged; gives a `vector.framing.Outcome`.

        Args:
            reason: of `vector.framing.Outcome`: what the walk stands at, if that is damage.
            area: address of the work area.
            room: bytes of its headroom.
            state: address of the kernel's state.
            block: address of the rows.
            capacity: rows that fit there.
        """
        drive, place = self._drive, self._places
        where = self._descriptor, area, room, state, block, capacity, self._address
        while True:
            if drive[place.COUNT] == len(self._table):
                self._grow()
            reason = self._follow(*where, reason)
            if drive[place.COUNT] < len(self._table) or reason <= self._last:
                return reason

    def _grow(self) -> None:
        """Makes room for more rows."""
        from kafka_salvage.vector.pointers import address_of

        table = np.empty((max(2 * len(self._table), _FIRST), self._width), np.int64)
        table[: len(self._table)] = self._table
        self._table = table
        self._drive[[self._places.TABLE, self._places.ROOM]] = address_of(table), len(table)

    def settle(self, position: int) -> None:
        """Tells how far the walk has come by itself."""
        drive, place = self._drive, self._places
        if 0 <= drive[place.PENDING] < position:
            drive[place.COUNT] += 1
            drive[place.PENDING] = -1

    def taken(self, last_offset: int | None) -> I64:
        """What was passed over since the last time, one row of `vector.passing.Over` each.

        Args:
            last_offset: of the last row of the block that ends here; None when it has none.
        """
        drive, place = self._drive, self._places
        if last_offset is not None:
            drive[place.BEFORE] = last_offset
        count, kept = int(drive[place.COUNT]), int(drive[place.PENDING] >= 0)
        made: I64 = self._table[:count].copy()
        self._table[:kept] = self._table[count : count + kept]
        drive[place.COUNT] = 0
        return made

    def undone(self) -> I64 | None:
        """The batch that is not simple after all, since the one behind does not hold; None when there is none."""
        if self._drive[self._places.PENDING] < 0:
            return None
        self._drive[self._places.PENDING] = -1
        row: I64 = self._table[self._drive[self._places.COUNT]]
        return row


def empty() -> I64:
    """No batches passed over."""
    from kafka_salvage.vector.passing import OVER_WIDTH

    return np.empty((0, OVER_WIDTH), np.int64)


def column(table: I64, name: str) -> Any:
    """One column of a table of batches that were passed over, by its name in `vector.passing.Over`."""
    from kafka_salvage.vector.passing import Over

    return table[:, Over[name]]

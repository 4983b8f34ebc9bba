"""Slots: the places of rows that alone lie off the chain, between two neighbours that they touch; all of them at once.

The same questions as `Mender._only_place` asks of one group, in columns. What cannot be said here for certain is left to it.
"""

from __future__ import annotations

import numpy as np

from kafka_salvage.scan.batches import I64, BatchTable, Bool

_FAR = 1 << 61
"""Offsets beyond this are not reckoned with here: sums of them overflow."""


class Standing:
    """What rows that are believed take up, which others are held against.

    Args:
        table: all rows.
        on: those, in file order; mostly their offsets ascend.
    """

    def __init__(self, table: BatchTable, on: I64) -> None:
        self.on = on
        self.first, self.last = table.base_offset[on], table.last_offset[on]
        self.top = int(self.last.max()) + 1 if len(on) else 0
        self.stop = int((table.position[on] + table.size[on]).max()) if len(on) else 0
        ascend = np.all(self.first[1:] > self.last[:-1]) and np.all(self.last >= self.first)
        self.ascend = bool(ascend)

    def has(self, row: int) -> bool:
        """Whether a row is one of them."""
        at = int(np.searchsorted(self.on, row))
        return at < len(self.on) and int(self.on[at]) == row

    def takes(self, first: int, last: int) -> bool:
        """Whether one of them has an offset in ``[first, last]``."""
        if not self.ascend:
            return bool(((self.first <= last) & (self.last >= first)).any())
        at = int(np.searchsorted(self.last, first))
        return at < len(self.on) and int(self.first[at]) <= last

    def free(self, first: I64, last: I64) -> Bool:
        """The same of many ranges, the other way round; only where their offsets ascend."""
        at = np.searchsorted(self.last, first)
        return np.asarray((at == len(self.on)) | (self.first[np.minimum(at, len(self.on) - 1)] > last))


def slots(
    table: BatchTable, rows: I64, among: Standing, low: int | None, high: int | None, data_stop: int
) -> tuple[Bool, I64]:
    """Which rows have exactly one place, and its first offset.

    Args:
        table: all rows.
        rows: some of them that are not ``among``, none beside another.
        among: the rows that are believed.
        low: first offset that the file may hold; None when its name is not believed.
        high: first offset of the next file; None without.
        data_stop: where the file's data ends.
    """
    known = [each for each in (low, high, among.top) if each is not None]
    if not len(among.on) or not among.ascend or max(known) > _FAR or int(among.first[0]) < -_FAR:
        return np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.int64)
    at, last_on = np.searchsorted(among.on, rows), len(among.on) - 1
    start, size = table.position[rows], table.size[rows]
    left, right = np.maximum(at - 1, 0), np.minimum(at, last_on)
    before, behind = among.on[left], among.on[right]
    # 1. What the neighbours leave, where both touch the row.
    touched = np.where(at > 0, table.position[before] + table.size[before] == start, (start == 0) & (low is not None))
    free = np.where(at > 0, among.last[left] + 1, low or 0)
    ends = (start + size >= data_stop) & (high is not None)
    touched &= np.where(at <= last_on, table.position[behind] == start + size, ends)
    until = np.where(at <= last_on, among.first[right], high or 0)
    first, last = table.base_offset[rows], table.last_offset[rows]
    fits = touched & (until - free == last - first + 1)
    # 2. Bytes that were moved have their place elsewhere, and the records of some messages prove their offsets.
    inside = last < high if high is not None else first <= among.top + np.maximum(0, start - among.stop)
    placed = inside & (first >= (low or 0)) & (first <= last) & (last < among.top - 1) & among.free(first, last)
    proved = table.is_wrapper[rows] & (table.magic[rows] == 0)
    return np.asarray(fits & ~placed & ~proved), np.asarray(free)

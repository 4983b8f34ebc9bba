"""Rows: the believed batches of a file while they are gathered, in columns that grow in place."""

from __future__ import annotations

import numpy as np

from kafka_salvage.scan.batches import COLUMNS, I64, BatchTable

_SPARE = 4096


class Rows:
    """Believed batches, gathered in columns that grow in place: there is never a second copy of them.

    Args:
        size: bytes of the file, from which the number of rows to come is reckoned.
    """

    def __init__(self, size: int = 0) -> None:
        self._columns = {name: np.empty(0, dtype) for name, dtype in COLUMNS.items()}
        self.counts = np.empty(0, np.int64)
        self._size = size
        self._room = 0
        self.last: dict[str, int] | None = None
        self.count = 0

    def add(self, table: BatchTable, counts: I64 | None = None) -> None:
        """Appends rows, copied out of the block they came in, and the batches that each stands for."""
        if not len(table):
            return
        self.last = table.row(len(table) - 1)
        need = self.count + len(table)
        if need > self._room:
            reached = max(1, self.last["position"] + self.last["size"])
            self._resize(max(need, min(need * max(self._size, reached) // reached + _SPARE, 2 * need + _SPARE)))
        for name, column in self._columns.items():
            column[self.count : need] = getattr(table, name)
        self.counts[self.count : need] = 1 if counts is None else counts
        self.count = need

    def cut(self, position: int) -> None:
        """Drops the rows that begin at ``position`` or behind."""
        self.count = int(np.searchsorted(self._columns["position"][: self.count], position))
        last = {name: int(column[self.count - 1]) for name, column in self._columns.items()} if self.count else None
        self.last = last

    def seen(self, position: int = 0) -> tuple[BatchTable, I64]:
        """The rows so far from the one before a position on, and the batches that each stands for (views)."""
        low = max(0, int(np.searchsorted(self._columns["position"][: self.count], position)) - 1)
        table = BatchTable(**{name: column[low : self.count] for name, column in self._columns.items()})
        return table, self.counts[low : self.count]

    def _resize(self, room: int) -> None:
        for column in (*self._columns.values(), self.counts):
            column.resize(room, refcheck=False)
        self._room = room

    def table(self) -> BatchTable:
        """All rows; they are given up here."""
        self._resize(self.count)
        columns, self._columns = self._columns, {}
        return BatchTable(**columns)

"""Matching: whether records of a target are those that were to be sent, field by field.

Compared are timestamp, key, value and headers in order, null apart from empty. Offsets are not: they are what is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.records import RecordTable


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What need not agree.

    Attributes:
        timestamps: none of them (a target that overwrites them).
        stamp: a record that is to get this timestamp may have another one: it had none, and an earlier run chose.
    """

    timestamps: bool = False
    stamp: int | None = None


class Cursor:
    """A place in a sequence of tables, row by row."""

    def __init__(self, tables: Iterator[RecordTable]) -> None:
        self._tables = tables
        self._table = RecordTable.empty()
        self._row = 0
        self.passed = 0

    def table(self) -> RecordTable | None:
        """The table under way; None at the end."""
        while self._row >= len(self._table):
            found = next(self._tables, None)
            if found is None:
                return None
            self._table, self._row = found, 0
        return self._table

    @property
    def row(self) -> int:
        """The row in it that comes next."""
        return self._row

    def advance(self, rows: int) -> None:
        """Goes on inside the table under way."""
        self._row += rows
        self.passed += rows

    def skip(self, rows: int) -> bool:
        """Goes on over tables; False when there are not so many rows."""
        while rows > 0:
            table = self.table()
            if table is None:
                return False
            step = min(rows, len(table) - self._row)
            self.advance(step)
            rows -= step
        return True


def _slices(table: RecordTable, name: str, low: int, high: int) -> tuple[I64, Any]:
    return getattr(table, f"{name}_start")[low:high], getattr(table, f"{name}_size")[low:high]


def _same_bytes(one: RecordTable, other: RecordTable, name: str, a: tuple[int, int], b: tuple[int, int]) -> bool:
    from kafka_salvage.vector.gather import gather  # Numba is loaded by those who compare only

    (start, size), (start_b, size_b) = _slices(one, name, *a), _slices(other, name, *b)
    if not np.array_equal(size, size_b):
        return False
    return np.array_equal(gather(one.data, start, size)[0], gather(other.data, start_b, size_b)[0])


def _same_names(one: RecordTable, other: RecordTable, a: tuple[int, int], b: tuple[int, int]) -> bool:
    """As `_same_bytes` for header keys, of which a client's interface shows what is before the first zero byte."""
    if _same_bytes(one, other, "header_key", a, b):
        return True
    start, size = _slices(one, "header_key", *a)
    start_b, size_b = _slices(other, "header_key", *b)
    return all(
        one.data[p : p + n].tobytes().partition(b"\0")[0] == other.data[q : q + m].tobytes().partition(b"\0")[0]
        for p, n, q, m in zip(start.tolist(), size.tolist(), start_b.tolist(), size_b.tolist(), strict=True)
    )


def same(one: RecordTable, low: int, other: RecordTable, low_b: int, rows: int, tolerance: Tolerance) -> bool:
    """Whether rows of one table are those of another.

    Args:
        one: what was to be sent.
        low: its first row.
        other: what is there.
        low_b: its first row.
        rows: how many.
        tolerance: what need not agree.
    """
    times, found = one.timestamp[low : low + rows], other.timestamp[low_b : low_b + rows]
    if not tolerance.timestamps:
        loose = np.zeros(rows, np.bool_) if tolerance.stamp is None else times == tolerance.stamp
        if not ((times == found) | loose).all():
            return False
    first, first_b = one.header_first[low : low + rows + 1], other.header_first[low_b : low_b + rows + 1]
    if not np.array_equal(np.diff(first), np.diff(first_b)):
        return False
    a, b = (low, low + rows), (low_b, low_b + rows)
    inside, inside_b = (int(first[0]), int(first[-1])), (int(first_b[0]), int(first_b[-1]))
    return (
        _same_bytes(one, other, "key", a, b)
        and _same_bytes(one, other, "value", a, b)
        and _same_names(one, other, inside, inside_b)
        and _same_bytes(one, other, "header_value", inside, inside_b)
    )


def agreeing(one: RecordTable, low: int, other: RecordTable, low_b: int, tolerance: Tolerance) -> int:
    """How many rows agree before the first that does not, or before one table ends."""
    rows = min(len(one) - low, len(other) - low_b)
    if rows <= 0 or same(one, low, other, low_b, rows, tolerance):
        return max(rows, 0)
    good, bad = 0, rows
    while bad - good > 1:  # the first `good` rows agree, the first `bad` do not
        middle = (good + bad) // 2
        if same(one, low + good, other, low_b + good, middle - good, tolerance):
            good = middle
        else:
            bad = middle
    return good


_WINDOW = 1 << 10


def first_like(one: RecordTable, low: int, other: RecordTable, start: int, tolerance: Tolerance) -> int:
    """The first row of a table that is a given record, looked for among records of others.

    Args:
        one: what was to be sent.
        low: its row that is looked for.
        other: what is there.
        start: the first row that may be it.
        tolerance: what need not agree.

    Returns:
        The row; the number of rows when none is it.
    """
    window = _WINDOW
    while start < len(other):
        stop = min(start + window, len(other))
        for row in _alike(one, low, other, start, stop, tolerance).tolist():
            if same(one, low, other, row, 1, tolerance):
                return int(row)
        start, window = stop, window * 2
    return len(other)


def _alike(one: RecordTable, low: int, other: RecordTable, start: int, stop: int, tolerance: Tolerance) -> I64:
    """Rows of a window whose sizes, timestamp, key and value are those of one record; headers are counted only."""
    from kafka_salvage.vector.gather import gather  # Numba is loaded by those who compare only

    alike = np.diff(other.header_first[start : stop + 1]) == one.header_first[low + 1] - one.header_first[low]
    if not tolerance.timestamps and one.timestamp[low] != tolerance.stamp:
        alike &= other.timestamp[start:stop] == one.timestamp[low]
    for name in ("key", "value"):
        alike &= getattr(other, f"{name}_size")[start:stop] == getattr(one, f"{name}_size")[low]
    rows = np.flatnonzero(alike) + start
    for name in ("key", "value"):
        begin, size = int(getattr(one, f"{name}_start")[low]), int(getattr(one, f"{name}_size")[low])
        if size > 0 and len(rows) > 1:
            taken, _ = gather(other.data, getattr(other, f"{name}_start")[rows], np.full(len(rows), size, np.int32))
            rows = rows[(taken.reshape(len(rows), size) == one.data[begin : begin + size]).all(axis=1)]
    return np.asarray(rows, np.int64)

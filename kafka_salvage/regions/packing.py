"""Packed: columns of integers as the differences between neighbours, each in the smallest type that holds them.

A compacted log of tiny batches, and transactions that take turns, have a row for nearly every batch, and the rows of all segments are kept until
the report is written. From row to row little changes: packed, a row of a dozen columns takes about ten bytes.

A column that is read is unpacked, and kept for the next reader as long as there is room among those that were read last.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.scan.batches import I64

FEW = 1 << 12
"""Rows of a table that is not worth packing."""
ROOM = 24 << 20
"""Bytes of unpacked columns that are kept at most, over all tables."""
_BOUNDS = {
    np.dtype(kind): (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    for kind in (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)
}
"""What each small type holds, from the smallest on."""
_NARROW = tuple(kind for kind in _BOUNDS if kind.kind == "i")

Column = npt.NDArray[Any]


class _Kept:
    """Unpacked columns, those that were read last."""

    def __init__(self) -> None:
        self._columns: OrderedDict[tuple[int, str], Column] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, key: tuple[int, str]) -> Column | None:
        with self._lock:
            found = self._columns.get(key)
            if found is not None:
                self._columns.move_to_end(key)
            return found

    def keep(self, key: tuple[int, str], column: Column) -> None:
        with self._lock:
            if key in self._columns or column.nbytes > ROOM:
                return
            self._columns[key] = column
            self._bytes += column.nbytes
            while self._bytes > ROOM:
                self._bytes -= self._columns.popitem(last=False)[1].nbytes

    def drop(self, owner: int) -> None:
        with self._lock:
            for key in [key for key in self._columns if key[0] == owner]:
                self._bytes -= self._columns.pop(key).nbytes

    def clear(self) -> None:
        with self._lock:
            self._columns.clear()
            self._bytes = 0


_KEPT = _Kept()


def forget() -> None:
    """Drops all unpacked columns: whoever calls this will read few of them."""
    _KEPT.clear()


class _Differences:
    """One packed column."""

    __slots__ = ("_dtype", "_first", "_rest", "_size")

    def __init__(self, column: Column) -> None:
        self._dtype, self._size = column.dtype, len(column)
        self._first = column[:1].astype(np.int64)
        # a difference that does not fit wraps around, and so does the sum that undoes it
        rest: I64 = np.diff(column if column.dtype == np.int64 else column.astype(np.int64))
        low, high = (int(rest.min()), int(rest.max())) if len(rest) else (0, 0)
        self._rest: Column = rest[:1].copy() if low == high else rest
        for kind in _NARROW if low != high else ():
            if _BOUNDS[kind][0] <= low and high <= _BOUNDS[kind][1]:
                self._rest = rest.astype(kind)
                break

    def unpacked(self) -> Column:
        made = np.empty(self._size, np.int64)
        made[:1], made[1:] = self._first, self._rest
        np.cumsum(made, out=made)
        return made.astype(self._dtype, copy=False)

    @property
    def nbytes(self) -> int:
        return int(self._rest.nbytes)


class _Narrow:
    """One column as it is, in a smaller type."""

    __slots__ = ("_column",)

    def __init__(self, column: Column) -> None:
        self._column = column

    def unpacked(self) -> Column:
        return self._column.astype(np.int64)

    @property
    def nbytes(self) -> int:
        return int(self._column.nbytes)


def narrowest(column: I64) -> _Differences | _Narrow:
    """A column in the fewest bytes, as differences between neighbours or as it is; ``unpacked`` gives it back."""
    packed = _Differences(column)
    if packed.nbytes > len(column) and len(column) > 1:
        low, high = int(column.min()), int(column.max())
        for kind, (least, most) in _BOUNDS.items():
            if least <= low and high <= most:
                narrow = column.astype(kind)
                return _Narrow(narrow) if narrow.nbytes < packed.nbytes else packed
    return packed


class Packed:
    """Columns of one length.

    Args:
        columns: name and values; each is packed as it comes, so that they need not all be in memory at once.
    """

    def __init__(self, columns: Iterable[tuple[str, Column]]) -> None:
        self._columns: dict[str, _Differences] = {}
        self._size = 0
        for name, column in columns:
            self._size = len(column)
            self._columns[name] = _Differences(column)

    def __len__(self) -> int:
        return self._size

    def __del__(self) -> None:
        _KEPT.drop(id(self))

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(column.nbytes for column in self._columns.values())

    def column(self, name: str) -> Column:
        """A column; it must not be written to."""
        key = (id(self), name)
        found = _KEPT.find(key)
        if found is None:
            found = self._columns[name].unpacked()
            found.setflags(write=False)
            _KEPT.keep(key, found)
        return found

    def changed(self, columns: Iterable[tuple[str, Column]]) -> Packed:
        """The same with other values in some columns."""
        made = Packed(columns)
        made._columns = {**self._columns, **made._columns}
        made._size = self._size
        return made

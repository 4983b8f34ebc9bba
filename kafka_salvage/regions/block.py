"""Block: values of a packed sequence as numbers: the shape of each, and columns for each shape."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from kafka_salvage.regions.packing import Column, narrowest
from kafka_salvage.scan.batches import I64

T = TypeVar("T")
Numbers = tuple[int, ...]


class Block:
    """Values, packed: the shape of each, and columns for each shape."""

    __slots__ = ("_columns", "_shapes", "kinds", "size")

    def __init__(self, shapes: Sequence[int], tables: Callable[[int], I64]) -> None:
        self.size = len(shapes)
        self.kinds = tuple(dict.fromkeys(shapes))
        self._shapes: Column | int = shapes[0] if len(self.kinds) == 1 else np.array(shapes, np.int32)
        self._columns = [_columns(tables(kind)) for kind in self.kinds]

    def values(
        self, shapes: Sequence[Any], make: Callable[[Any, Numbers], T], wanted: frozenset[int] | None = None
    ) -> list[T]:
        """All of them, or those of wanted shapes."""
        if isinstance(self._shapes, int):
            shape = shapes[self._shapes]
            return [make(shape, numbers) for numbers in _rows(self._columns[0], self.size)]
        each = self._shapes.tolist()
        rows = {
            kind: iter(_rows(columns, each.count(kind)))
            for kind, columns in zip(self.kinds, self._columns, strict=True)
            if wanted is None or kind in wanted
        }
        if wanted is not None:
            each = [kind for kind in each if kind in wanted]
        return [make(shapes[kind], next(rows[kind])) for kind in each]

    def tables(self) -> Iterator[tuple[int, I64, list[Column]]]:
        """For each shape its number, the places of its values, and their numbers by column."""
        each = np.zeros(self.size, np.int32) if isinstance(self._shapes, int) else self._shapes
        for at, (kind, columns) in enumerate(zip(self.kinds, self._columns, strict=True)):
            places = np.flatnonzero(each == kind) if len(self.kinds) > 1 else np.arange(self.size)
            yield self.kinds[at], places, _unpacked(columns)

    def shapes(self) -> Column:
        """Number of the shape of each value."""
        return np.full(self.size, self._shapes) if isinstance(self._shapes, int) else self._shapes


def numbers_of(shapes: I64, rows: Sequence[I64], widths: Mapping[int, int], kind: int) -> I64:
    """The numbers of the values of one shape, which has so many of them as ``widths`` says."""
    mine = shapes == kind
    columns: I64 = np.stack([row[mine] for row in rows[: widths[kind]]])
    return columns.T  # so each column lies in one piece


def _columns(table: I64) -> list[Any]:
    """Each column as (number of an earlier one that is as far from it everywhere, that far), or packed."""
    made: list[Any] = []
    for at in range(table.shape[1]):
        column = table[:, at]
        for before in range(at):
            apart, at_last = int(column[0]) - int(table[0, before]), int(column[-1]) - int(table[-1, before])
            if apart == at_last and abs(apart) < 1 << 62 and bool((column - table[:, before] == apart).all()):
                made.append((before, apart))
                break
        else:
            made.append(narrowest(column))
    return made


def _rows(columns: Sequence[Any], size: int) -> Iterable[Numbers]:
    if not columns:
        return itertools.repeat((), size)
    return zip(*(column.tolist() for column in _unpacked(columns)), strict=True)


def _unpacked(columns: Sequence[Any]) -> list[Column]:
    made: list[Column] = []
    for column in columns:
        made.append(made[column[0]] + column[1] if isinstance(column, tuple) else column.unpacked())
    return made

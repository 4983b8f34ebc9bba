"""Sheet: values of one kind as columns, before they are put in order and packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from kafka_salvage.regions.compact import Codec, Compact
from kafka_salvage.scan.batches import I64

T = TypeVar("T")
_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True, eq=False)
class Sheet(Generic[T]):
    """Values, column by column; the first two numbers of each are where it begins and ends.

    Attributes:
        shapes: of values, as their codec has them.
        widths: numbers of each shape.
        which: the shape of each value.
        columns: its numbers: the first of each value, the second, and so on; anything where its shape has none.
    """

    shapes: tuple[Any, ...]
    widths: tuple[int, ...]
    which: I64
    columns: tuple[I64, ...]

    def __len__(self) -> int:
        return len(self.which)

    @classmethod
    def of(cls, values: Iterable[T], codec: Codec[T]) -> Sheet[T]:
        """The same values."""
        places: dict[Any, int] = {}
        which, numbers = [], []
        for value in values:
            shape, each = codec.part(value)
            which.append(places.setdefault(shape, len(places)))
            numbers.append(each)
        width = max(map(len, numbers), default=2)
        table = np.array([(*each, *(0,) * (width - len(each))) for each in numbers], np.int64).reshape(-1, width)
        widths = dict(zip(which, map(len, numbers), strict=True))
        columns = tuple(np.ascontiguousarray(table[:, at]) for at in range(width))
        return cls(tuple(places), tuple(widths[at] for at in range(len(places))), np.array(which, np.int64), columns)

    @classmethod
    def together(cls, several: Sequence[Sheet[T]]) -> Sheet[T]:
        """All of several, one after the other."""
        width = max((len(sheet.columns) for sheet in several), default=2)
        shapes = tuple(shape for sheet in several for shape in sheet.shapes)
        widths = tuple(count for sheet in several for count in sheet.widths)
        before = np.cumsum([0, *(len(sheet.shapes) for sheet in several)])
        which = [sheet.which + at for sheet, at in zip(several, before.tolist(), strict=False)]
        columns = (
            [s.columns[at] if at < len(s.columns) else np.zeros(len(s), np.int64) for s in several]
            for at in range(width)
        )
        return cls(shapes, widths, joined(which), tuple(joined(parts) for parts in columns))

    def take(self, rows: I64 | slice) -> Sheet[T]:
        """Some of them."""
        return replace(self, which=self.which[rows], columns=tuple(column[rows] for column in self.columns))

    def add_to(self, values: Compact[T]) -> None:
        """Adds them to others."""
        values.add_columns(self.shapes, self.which, self.columns, self.widths)


def joined(parts: Sequence[I64]) -> I64:
    """Columns one after the other; there may be none."""
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def sheets_of(values: Compact[T], most: int = _AT_ONCE) -> Iterator[Sheet[T]]:
    """Packed values as sheets, of about so many each."""
    parts: list[tuple[Any, I64, Sequence[Any]]] = []
    start = held = behind = 0
    for part in values.tables():
        parts.append(part)
        held, behind = held + len(part[1]), max(behind, int(part[1][-1]) + 1)
        if held >= most and behind - start == held:
            yield _sheet(parts, start, held)
            parts, start, held = [], behind, 0
    if parts:
        yield _sheet(parts, start, held)


def _sheet(parts: Sequence[tuple[Any, I64, Sequence[Any]]], start: int, count: int) -> Sheet[Any]:
    """One sheet of shapes with the places, from ``start`` on, and the numbers of their values."""
    known: dict[Any, int] = {}
    columns = [np.zeros(count, np.int64) for _ in range(max(len(numbers) for _, _, numbers in parts))]
    which, widths = np.empty(count, np.int64), list[int]()
    for shape, places, numbers in parts:
        which[places - start] = known.setdefault(shape, len(known))
        widths += [len(numbers)] if len(known) > len(widths) else []
        for column, values in zip(columns, numbers, strict=False):
            column[places - start] = values
    return Sheet(tuple(known), tuple(widths), which, tuple(columns))

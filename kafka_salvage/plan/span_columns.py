"""SpanColumns: many ranges of a ledger column by column; what says the same becomes one without an object for each."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kafka_salvage.plan.packed import SpanCodec
from kafka_salvage.plan.plan import OffsetSpan, Status
from kafka_salvage.regions.compact import Compact, Same
from kafka_salvage.regions.shapes import Told, together
from kafka_salvage.scan.batches import I64, Bool

Shape = tuple[Any, ...]
_STATUS, _SOURCE, _OPEN, _UPPER, _REASON, _WHY = range(6)
_GIVEN = (Status.RECOVERED, Status.REPAIRED)


class Shapes:
    """Shapes of ranges, as `SpanCodec` parts them, by number."""

    def __init__(self) -> None:
        self.known: list[Shape] = []
        self.codec = SpanCodec()
        self.told = Told()
        self._places: dict[Hashable, int] = {}

    def place(self, shape: Hashable) -> int:
        """Number of a shape."""
        found = self._places.get(shape)
        if found is None:
            found = self._places[shape] = len(self.known)
            self.known.append(shape)  # type: ignore[arg-type] # a tuple, told as a key
        return found

    def columns(self, spans: Iterable[OffsetSpan]) -> SpanColumns:
        """Ranges as columns."""
        rows = []
        for span in spans:
            shape, (start, stop, absent, *where) = self.codec.part(span)
            low, high = where or (0, 0)
            rows.append((self.place(shape), start, stop, absent, low, high))
        return SpanColumns(self, *np.array(rows, np.int64).reshape(-1, 6).T)

    def which(self, says: Any) -> Bool:
        """For each shape whether something holds."""
        return np.array([bool(says(shape)) for shape in self.known], np.bool_)

    def words(self, parts: Sequence[int]) -> I64:
        """For each shape a number; shapes that agree in some parts share it."""
        known: dict[Hashable, int] = {}
        told = [known.setdefault(tuple(shape[part] for part in parts), len(known)) for shape in self.known]
        return np.array(told, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class SpanColumns:
    """Ranges, one row each, in order of their offsets.

    Attributes:
        shapes: all that repeats.
        shape: number of each row's.
        start, stop: offsets.
        absent: how many of them hold no record.
        low, high: rows of the findings, where the shape says in which log.
    """

    shapes: Shapes = field(repr=False)
    shape: I64
    start: I64
    stop: I64
    absent: I64
    low: I64
    high: I64

    def __len__(self) -> int:
        return len(self.shape)

    @property
    def numbers(self) -> tuple[I64, ...]:
        """All columns but the shapes."""
        return self.start, self.stop, self.absent, self.low, self.high

    def take(self, which: Any) -> SpanColumns:
        """Rows chosen by a mask or an index array."""
        return SpanColumns(self.shapes, self.shape[which], *(column[which] for column in self.numbers))

    def settled(self) -> Sequence[OffsetSpan]:
        """The ranges as a sequence."""
        used, which = np.unique(self.shape, return_inverse=True)
        made = Compact(self.shapes.codec)
        made.add_columns([self.shapes.known[at] for at in used.tolist()], which, self.numbers)
        return made.settled()

    def values(self) -> list[OffsetSpan]:
        """The ranges themselves."""
        numbers = zip(*(column.tolist() for column in self.numbers), strict=True)
        make, known = self.shapes.codec.make, self.shapes.known
        return [make(known[at], each) for at, each in zip(self.shape.tolist(), numbers, strict=True)]

    def having(self, statuses: Iterable[Status]) -> Bool:
        """Which have one of some statuses."""
        wanted = frozenset(statuses)
        return self.shapes.which(lambda shape: shape[_STATUS] in wanted)[self.shape]

    def above(self, offset: int) -> SpanColumns:
        """What lies at or above an offset; a range that reaches over it is cut."""
        kept = self.take(self.stop > offset)
        start = np.maximum(kept.start, offset)
        absent = np.where(kept.start < offset, np.minimum(kept.absent, kept.stop - offset), kept.absent)
        return replace(kept, start=start, absent=absent)

    def joined(self) -> SpanColumns:
        """Absent offsets between two recovered ranges of one kind taken into the first, then what says the same made one."""
        if not len(self):
            return self
        gone = self._absorbed()
        word = self.shapes.words((_STATUS, _SOURCE, _REASON, _UPPER))[self.shape]
        word[gone] = word[np.flatnonzero(gone) - 1]
        heads = np.flatnonzero(np.concatenate(([True], ~_goes_on(self, word, gone))))
        if len(heads) == len(self):
            return self
        absent = np.where(gone, self.stop - self.start, self.absent)
        tails = np.concatenate((heads[1:], [len(self)])) - 1
        shape, low, high = self._why(heads, tails - gone[tails], gone)
        return SpanColumns(
            self.shapes, shape, self.start[heads], self.stop[tails], np.add.reduceat(absent, heads), low, high
        )

    def _absorbed(self) -> Bool:
        """Which are absent between two recovered ranges of one kind."""
        gone = np.zeros(len(self), np.bool_)
        absent, given = self.having((Status.ABSENT,)), self.having(_GIVEN)
        kind = self.shapes.words((_STATUS, _SOURCE, _REASON))[self.shape]
        gone[1:-1] = absent[1:-1] & given[:-2] & (kind[:-2] == kind[2:])
        return gone

    def _why(self, heads: I64, last: I64, gone: Bool) -> tuple[I64, I64, I64]:
        """Shape, and rows of the findings, of each group: they are those of all its members, and the rest is the last one's."""
        has_why = self.shapes.which(lambda shape: shape[_WHY] is not None)[self.shape] & ~gone
        shape, low, high = self.shape[last], self.low[last].copy(), self.high[last].copy()
        members = np.flatnonzero(has_why)
        group = np.searchsorted(heads, members, side="right") - 1
        several = np.flatnonzero(np.diff(heads, append=len(self)) > 1)
        several = several[np.isin(several, group)]
        if not len(several):
            return shape, low, high
        first, bound = (
            members[np.searchsorted(group, several, side) - (side == "right")] for side in ("left", "right")
        )
        low[several], high[several] = self.low[first], self.high[bound]
        pairs = np.stack((shape[several], self.shape[first]), axis=1)
        kinds, home = np.unique(pairs, axis=0, return_inverse=True)
        made = [self._with_why(*kind) for kind in kinds.tolist()]
        shape[several] = np.array(made, np.int64)[home.ravel()]
        for at in self._apart(members, group):
            mine = members[group == at]
            why, rows = self.shapes.told.part(together(span.findings for span in self.take(mine).values()))
            low[at], high[at] = rows or (0, 0)
            shape[at] = self.shapes.place((*self.shapes.known[int(shape[at])][:_WHY], why))
        return shape, low, high

    def _with_why(self, shape: int, told: int) -> int:
        known = self.shapes.known
        return self.shapes.place((*known[shape][:_WHY], known[told][_WHY]))

    def _apart(self, members: I64, group: I64) -> list[int]:
        """Groups whose findings do not lie side by side in one log."""
        why = self.shapes.words((_WHY,))[self.shape[members]]
        ranged = self.shapes.which(lambda shape: isinstance(shape[_WHY], Same))[self.shape[members]]
        ranged &= self.low[members] < self.high[members]  # else they are told backwards
        side = (why[1:] == why[:-1]) & ranged[1:] & ranged[:-1] & (self.high[members[:-1]] == self.low[members[1:]])
        found: list[int] = np.unique(group[1:][(group[1:] == group[:-1]) & ~side]).tolist()
        return found


def _goes_on(spans: SpanColumns, word: I64, gone: Bool) -> Bool:
    """Which, but for the first, are one with what lies before."""
    return np.asarray(gone[1:] | ((spans.stop[:-1] == spans.start[1:]) & (word[1:] == word[:-1])))


def together_in_order(parts: Sequence[tuple[I64, SpanColumns]]) -> SpanColumns:
    """Ranges of several tables of the same shapes, by keys; those of one key stay in their order."""
    order = np.argsort(np.concatenate([key for key, _ in parts]), kind="stable")
    tables = [table for _, table in parts]
    shape = np.concatenate([table.shape for table in tables])[order]
    numbers = (np.concatenate(column)[order] for column in zip(*(table.numbers for table in tables), strict=True))
    return SpanColumns(tables[0].shapes, shape, *numbers)

"""Expanse: the map and the findings of a file with very many damages, column by column.

What `terrain` says of one gap after the other is said here of many at once, and is the same: rows that touch are regions, what
the walk went over between believed neighbours is one damaged region with its findings, and all else comes as it was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.compact import Compact, Same, Turned
from kafka_salvage.regions.context import Place
from kafka_salvage.regions.judged import CODES, INTACT, SUSPECT, Judged
from kafka_salvage.regions.map import Region, RegionCodec, RegionMap
from kafka_salvage.regions.over import Overs, damaged_region
from kafka_salvage.regions.sentences import CODEC, in_place, of_damaged
from kafka_salvage.regions.shapes import FEW_TURNED, Findings, Told, findings_of
from kafka_salvage.regions.sheet import Sheet
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import I64, Bool

AT_ONCE = 1 << 14
"""Gaps that are looked at together: a few hundred bytes of memory each."""
_END = 1 << 62
_VERDICTS = (*CODES, Verdict.DAMAGED)
_DAMAGED = len(CODES)
_START = attrgetter("start")


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """Ranges of bytes that the walk went over, between rows whose place is believed.

    Attributes:
        start, stop: bytes.
        row: of `Overs`.
        low, high: offsets that are missing across each.
        lost: whether there are any.
    """

    start: I64
    stop: I64
    row: I64
    low: I64
    high: I64
    lost: Bool

    def __len__(self) -> int:
        return len(self.start)

    def take(self, which: slice) -> Gaps:
        """Some of them."""
        row, low, high = self.row[which], self.low[which], self.high[which]
        return Gaps(self.start[which], self.stop[which], row, low, high, self.lost[which])


@dataclass(frozen=True, slots=True, eq=False)
class _Spots:
    """Regions in columns: bytes, verdict, counts, offsets, the rows of their findings, -1 where there are none, and in which of
    some orders these are told (see `Turned`).
    """

    start: I64
    stop: I64
    verdict: I64
    batches: I64
    records: I64
    low: I64
    high: I64
    named: Bool
    first: I64
    behind: I64
    turn: I64

    def without(self, some: Sequence[int]) -> _Spots:
        """The others."""
        if not some:
            return self
        kept = np.ones(len(self.start), np.bool_)
        kept[list(some)] = False
        return _Spots(*(getattr(self, field.name)[kept] for field in fields(self)))

    def sheet(self, log: Findings, turns: Mapping[tuple[int, ...], int]) -> Sheet[Region]:
        """The regions, with shapes as `RegionCodec` makes them."""
        told, orders = self.first >= 0, list(turns)
        number = (self.turn * len(_VERDICTS) + self.verdict) * 4 + 2 * self.named + told
        keys, which = np.unique(number, return_inverse=True)
        shapes: list[tuple[Any, ...]] = []
        for key in keys.tolist():
            turn, verdict = divmod(key >> 2, len(_VERDICTS))
            why = Turned(log, orders[turn]) if turn else Same(log)
            shapes.append((_VERDICTS[verdict], False, not key & 2, why if key & 1 else None))
        widths = [4 + (key & 2) + 2 * (key & 1) for key in keys.tolist()]
        last = np.where(self.named, self.low, self.first), np.where(self.named, self.high, self.behind)
        columns = (self.start, self.stop, self.batches, self.records, *last, self.first, self.behind)
        return Sheet(tuple(shapes), tuple(widths), which.astype(np.int64), columns)


class Expanse:
    """Puts the map of one file together.

    Args:
        judged: its rows.
        place: for findings.
        overs: what the walk went over.
        size: bytes of the file.
        early: findings that regions of batches are told, if they begin in them.
        late: all other findings but those of what the walk went over.
    """

    def __init__(
        self,
        judged: Judged,
        place: Place,
        overs: Overs,
        size: int,
        early: Sequence[Finding],
        late: Sequence[Finding],
    ) -> None:
        self._judged = judged
        self._place = place
        self._overs = overs
        self._size = size
        self.log: Findings = findings_of()
        self._codec = RegionCodec(Told())
        self._regions: Compact[Region] = Compact(self._codec, (), _START)
        self._heads = heads_of(judged)
        told, done = list[Sheet[Finding]](), 0
        for before, sheet in judged.sheets:
            told += [Sheet.of(early[done:before], CODEC), sheet]
            done = before
        told.append(Sheet.of(early[done:], CODEC))
        late_ones = Sheet.of(late, CODEC)
        every = Sheet.together([*told, late_ones])
        first = slice(len(every) - len(late_ones))
        self._early = every  # the first of them
        self._early_order = np.argsort(every.columns[0][first], kind="stable")
        self._starts = every.columns[0][first][self._early_order]
        loud = np.array([shape[0] == "uncorroborated" for shape in every.shapes], np.bool_)
        self._loud = loud[every.which[first]][self._early_order]
        self._order = in_place(every)
        sorted_already = bool((self._order[1:] > self._order[:-1]).all())
        self._single = every if sorted_already else every.take(self._order)
        self._single_rows = np.empty(len(every), np.int64)
        self._single_done = 0
        self._turns: dict[tuple[int, ...], int] = {(): 0}

    def build(self, gaps: Gaps, others: Sequence[Region]) -> RegionMap:
        """The map; the findings are in `log` then, in their order.

        Args:
            gaps: what the walk went over.
            others: regions of all other bytes that no row covers.
        """
        starts = np.sort(np.concatenate([gaps.start, self._judged.table.position[self._heads]]))
        cuts, at, begin = [-1, *starts[AT_ONCE::AT_ONCE].tolist(), _END], 0, 0
        for low, high in pairwise(cuts):
            end = int(np.searchsorted(gaps.start, high))
            spots, apart = self._say(gaps.take(slice(begin, end)), high)
            rows, told = self._rows(low, high)
            stop = at
            while stop < len(others) and others[stop].start < high:
                stop += 1
            self._add(spots, rows, [*apart, *told, *others[at:stop]])
            at, begin = stop, end
        return RegionMap.packed(self._size, self._regions)

    def _say(self, gaps: Gaps, limit: int) -> tuple[_Spots, list[Region]]:
        """Adds findings that begin before a position to the log; gives the regions of some gaps.

        Those come apart whose findings do not lie side by side.
        """
        overs = Overs(self._overs.table[gaps.row])
        said, zeros = of_damaged(self._place, overs, gaps.low, gaps.high, gaps.lost, self._size)
        done, behind = self._single_done, int(np.searchsorted(self._single.columns[0], limit))
        both = Sheet.together([self._single.take(slice(done, behind)), said])
        order, before, count = in_place(both), len(self.log), behind - done
        rows = np.empty(len(order), np.int64)
        rows[order] = np.arange(before, before + len(order))
        both.take(order).add_to(self.log)
        self._single_rows[self._order[done:behind]] = rows[:count]
        self._single_done = behind
        main, inside = rows[count : count + len(gaps)], rows[count + len(gaps) :]
        first, end = main.copy(), main + 1
        after = inside > main[zeros]
        first[zeros], end[zeros] = np.where(after, main[zeros], main[zeros] + 1), np.where(after, inside + 1, inside)
        none, verdict = np.zeros(len(gaps), np.int64), np.full(len(gaps), _DAMAGED)
        spots = _Spots(gaps.start, gaps.stop, verdict, none, none, gaps.low, gaps.high, gaps.lost, first, end, none)
        strewn = zeros[np.abs(inside - main[zeros]) != 1].tolist()
        return spots.without(strewn), [self._one(overs, gaps, at) for at in strewn]

    def _one(self, overs: Overs, gaps: Gaps, at: int) -> Region:
        lost = OffsetRange(int(gaps.low[at]), int(gaps.high[at])) if gaps.lost[at] else None
        return damaged_region(self._place, overs, at, lost, self._size)[0]

    def _rows(self, low: int, high: int) -> tuple[_Spots, list[Region]]:
        """Regions of the rows that begin in a range of bytes; those apart whose findings do not lie side by side."""
        judged, table = self._judged, self._judged.table
        starts = table.position[self._heads]
        some = slice(*np.searchsorted(starts, [low, high]).tolist())
        heads = self._heads[some]
        if not len(heads):
            none = np.empty(0, np.int64)
            return _Spots(*(none,) * 7, none.astype(np.bool_), none, none, none), []
        end = int(self._heads[some.stop]) if some.stop < len(self._heads) else len(table)
        tails = np.append(heads[1:], end)
        columns = row_columns(judged, heads, tails)
        start, stop, verdict, records, first, last = columns
        batches = tails - heads
        named, following = first <= last, last + 1
        for at in np.flatnonzero(verdict == SUSPECT).tolist():
            hole = judged.holes.get(int(heads[at]))
            named[at] = hole is not None
            first[at], following[at] = (0, 0) if hole is None else (hole.start, hole.stop)
        none = np.full(len(heads), -1, np.int64)
        spots = _Spots(start, stop, verdict, batches, records, first, following, named, none, none.copy(), none * 0)
        return self._told_rows(spots)

    def _told_rows(self, spots: _Spots) -> tuple[_Spots, list[Region]]:
        """The same with the findings that begin in them."""
        low, high = np.searchsorted(self._starts, spots.start), np.searchsorted(self._starts, spots.stop)
        # 1. Mostly there is one.
        one = np.flatnonzero(high == low + 1)
        one = one[(spots.verdict[one] != INTACT) | self._loud[low[one]]]
        spots.first[one] = self._single_rows[self._early_order[low[one]]]
        spots.behind[one] = spots.first[one] + 1
        # 2. Several, side by side or not.
        apart: dict[int, Region] = {}
        for at in np.flatnonzero(high > low + 1).tolist():
            here = self._early_order[low[at] : high[at]]
            if spots.verdict[at] == INTACT:
                here = here[self._loud[low[at] : high[at]]]
            if not len(here):
                continue
            rows = self._single_rows[here]
            lowest, end = int(rows.min()), int(rows.max()) + 1
            if bool((rows[1:] == rows[:-1] + 1).all()):
                spots.first[at], spots.behind[at] = lowest, end
                continue
            if end - lowest == len(rows) <= FEW_TURNED:
                spots.first[at], spots.behind[at] = end, lowest
                spots.turn[at] = self._turns.setdefault(tuple((rows - lowest).tolist()), len(self._turns))
                continue
            offsets = OffsetRange(int(spots.low[at]), int(spots.high[at])) if spots.named[at] else None
            counts = int(spots.batches[at]), int(spots.records[at])
            verdict, found = _VERDICTS[int(spots.verdict[at])], tuple(self._made(row) for row in here.tolist())
            start, stop = int(spots.start[at]), int(spots.stop[at])
            apart[at] = Region(start, stop, verdict, *counts, offsets, findings=found)
        return spots.without(list(apart)), list(apart.values())

    def _made(self, row: int) -> Finding:
        """One of the findings that regions of batches are told."""
        early, kind = self._early, int(self._early.which[row])
        numbers = tuple(int(column[row]) for column in early.columns[: early.widths[kind]])
        return CODEC.make(early.shapes[kind], numbers)

    def _add(self, gaps: _Spots, rows: _Spots, others: Sequence[Region]) -> None:
        """Adds regions to the map, by where they begin."""
        sheets = [gaps.sheet(self.log, self._turns), rows.sheet(self.log, self._turns)]
        if others:
            sheets.append(Sheet.of(others, self._codec))
        every = Sheet.together(sheets)
        every.take(np.argsort(every.columns[0], kind="stable")).add_to(self._regions)


def heads_of(judged: Judged) -> I64:
    """The first row of each stretch of rows that touch and have one verdict."""
    table, verdict = judged.table, judged.verdict
    if not len(table):
        return np.empty(0, np.int64)
    edge = np.flatnonzero((table.position[1:] != table.stop[:-1]) | (verdict[1:] != verdict[:-1])) + 1
    return np.concatenate([[0], edge])


def row_columns(judged: Judged, heads: I64, tails: I64) -> tuple[I64, I64, I64, I64, I64, I64]:
    """First byte and end, code, records, lowest and highest offset of stretches of rows that follow on one another."""
    table, low, high = judged.table, int(heads[0]), int(tails[-1])
    cuts = heads - low
    records = np.add.reduceat(np.maximum(table.record_count[low:high], 0), cuts, dtype=np.int64)
    first = np.minimum.reduceat(table.base_offset[low:high], cuts)
    last = np.maximum.reduceat(table.last_offset[low:high], cuts)
    stop = table.position[tails - 1] + table.size[tails - 1]
    return table.position[heads], stop, judged.verdict[heads].astype(np.int64), records, first, last
